"""What differs between the databases that requests are kept in; a third, ClickHouse say, would be a third class here.

Statements are written with ``?`` for parameters, of requests as ``events e`` and ``origins o``.
"""

from typing import Any, Final, Protocol


class Cursor(Protocol):
    """What statements are put to."""

    def execute(self, query: Any, parameters: Any = ..., /) -> Any:
        """Returns something that has ``fetchall``."""
        ...


class Dialect(Protocol):
    """How one of them says what the others say otherwise."""

    has_tag: str
    """Whether ``e.tags`` has a tag of one value: of a parameter ``,name=value,``."""

    def tag_value(self, begin: int) -> str:
        """What a tag says in ``g.tags``, or NULL: of a parameter ``name=``, behind which the value begins."""
        ...

    def number(self, column: str) -> str:
        """A number of ``events``."""
        ...

    def calendar(self, interval: str) -> str:
        """The moment at which the month or year of ``e.started_us`` began, in microseconds."""
        ...

    def newest(self, columns: str, clause: str) -> str:
        """A statement for the requests of the highest ids, as many as the last parameter says."""
        ...


class DuckDialect:
    """A host's own ledger."""

    # `,a=1,b=2,` holds `,b=2,`: no value of another tag can look like it, since none has a comma.
    has_tag = "contains(concat(',', e.tags, ','), ?)"

    def tag_value(self, begin: int) -> str:
        """The first entry that begins so."""
        return f"substr(list_filter(string_split(g.tags, ','), lambda t: starts_with(t, ?))[1], {begin})"

    def number(self, column: str) -> str:
        """As it stands there."""
        return f'e."{column}"'

    def calendar(self, interval: str) -> str:
        """Its time stamps have no zone, and are UTC here."""
        return f"epoch_us(date_trunc('{interval}', make_timestamp(e.started_us)))"

    def newest(self, columns: str, clause: str) -> str:
        """The page is chosen on two narrow columns; only its rows are then read whole."""
        return (
            f"WITH chosen AS (SELECT e.rowid AS place FROM events e WHERE {clause} "
            "ORDER BY e.id_high DESC, e.id_low DESC LIMIT ?) "
            f"SELECT {columns} FROM events e JOIN origins o ON o.id = e.origin "
            "WHERE e.rowid IN (SELECT place FROM chosen) ORDER BY e.id_high DESC, e.id_low DESC"
        )


class PostgresDialect:
    """The ledger that hosts share. Text is compared there as bytes, by its columns' collation."""

    has_tag = "strpos(',' || e.tags || ',', ?) > 0"

    def tag_value(self, begin: int) -> str:
        """The first entry that begins so."""
        return (
            f"(SELECT substr(t.said, {begin}) FROM unnest(string_to_array(g.tags, ',')) "
            "WITH ORDINALITY t (said, place) WHERE starts_with(t.said, ?) ORDER BY t.place LIMIT 1)"
        )

    def number(self, column: str) -> str:
        """NULL stands for 0."""
        return f'coalesce(e."{column}", 0)'

    def calendar(self, interval: str) -> str:
        """In UTC, whatever the zone of the session."""
        moment = f"date_trunc('{interval}', to_timestamp(e.started_us / 1000000) AT TIME ZONE 'UTC')"
        return f"(extract(epoch FROM {moment})::bigint * 1000000)"

    def newest(self, columns: str, clause: str) -> str:
        """Each day's index has them in their order."""
        return (
            f"SELECT {columns} FROM (SELECT * FROM events e WHERE {clause} "
            "ORDER BY e.id_high DESC, e.id_low DESC LIMIT ?) e "
            "JOIN origins o ON o.id = e.origin ORDER BY e.id_high DESC, e.id_low DESC"
        )


DUCKDB: Final = DuckDialect()
POSTGRES: Final = PostgresDialect()
