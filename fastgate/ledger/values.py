"""What the requests of one key say of themselves, value by value: when each first came, and what it has spent since.

A value is a user, a session, what a tag says (``tag:project``), a model as its provider calls it, or an environment;
the empty text is that of all requests without one.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb

from fastgate.ledger.attributes import TAG
from fastgate.ledger.inserts import Columns

_COLUMNS: Final = {
    "user": "e.user",
    "session": "e.session",
    "model": "o.upstream_model",
    "environment": "o.environment",
}
_OF_TAG: Final = "coalesce(substr(list_filter(string_split(e.tags, ','), lambda t: starts_with(t, ?))[1], ?), '')"
_BATCH: Final = 100_000


def first_requests(
    cursor: duckdb.DuckDBPyConnection, key: str, name: str, since_us: int
) -> Iterator[list[tuple[str, int]]]:
    """Every value with the moment (Unix microseconds) of its first request that held money at or after ``since_us``.

    In batches, so that a million of them are never in memory at once.
    """
    expression, values = _value(name)
    cursor.execute(
        f"SELECT {expression} AS value, min(e.started_us) FROM events e JOIN origins o ON o.id = e.origin "
        "WHERE o.key = ? AND o.settlement <> 'none' AND e.started_us >= ? GROUP BY value",
        [*values, key, since_us],
    )
    while batch := cursor.fetchmany(_BATCH):
        yield batch


def first_requests_of(
    cursor: duckdb.DuckDBPyConnection, key: str, name: str, wanted: Sequence[str], since_us: int
) -> dict[str, int]:
    """Likewise, of these values alone; without those of which there was none."""
    expression, values = _value(name)
    rows = cursor.execute(
        f"SELECT {expression} AS value, min(e.started_us) FROM events e JOIN origins o ON o.id = e.origin "
        "WHERE o.key = ? AND o.settlement <> 'none' AND e.started_us >= ? "
        "AND value IN (SELECT unnest(?::VARCHAR[])) GROUP BY value",
        [*values, key, since_us, list(wanted)],
    ).fetchall()
    return dict(rows)


def value_at(columns: Columns, position: int, name: str) -> str:
    """What an event says that is not in the ledger yet."""
    if not name.startswith(TAG):
        return str(columns[_COLUMNS[name].partition(".")[2]][position])
    begin = f"{name.removeprefix(TAG)}="
    tags = columns["tags"][position].split(",")
    return next((tag[len(begin) :] for tag in tags if tag.startswith(begin)), "")


def spent_by_value(
    cursor: duckdb.DuckDBPyConnection, key: str, name: str, wanted: Sequence[tuple[str, int]]
) -> list[int]:
    """nano-USD of all requests of each value that began at or after a moment of its own, in the order asked for."""
    if not wanted:
        return []
    expression, values = _value(name)
    texts, since = zip(*wanted, strict=True)
    rows = cursor.execute(
        "SELECT b.position, sum(e.cost_nano) FROM "
        "(SELECT unnest(?::BIGINT[]) AS position, unnest(?::VARCHAR[]) AS value, unnest(?::BIGINT[]) AS since_us) b, "
        f"events e JOIN origins o ON o.id = e.origin WHERE o.key = ? AND {expression} = b.value "
        "AND e.started_us >= b.since_us AND e.started_us >= ? GROUP BY b.position",
        [list(range(len(wanted))), list(texts), list(since), key, *values, min(since)],
    ).fetchall()
    spent = [0] * len(wanted)
    for position, amount in rows:
        spent[position] = int(amount)
    return spent


def _value(name: str) -> tuple[str, list[Any]]:
    """The expression for it, and the parameters that this takes."""
    if not name.startswith(TAG):
        return _COLUMNS[name], []
    tag = name.removeprefix(TAG)
    return _OF_TAG, [f"{tag}=", len(tag) + 2]
