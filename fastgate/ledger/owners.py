"""What owners of budgets spent since some moment: for burn rates, and to rebuild counters that were lost."""

from collections.abc import Sequence
from typing import Final

import duckdb

_CHUNK: Final = 5_000
_MATCHES: Final = {
    "customer": "o.customer = b.name",
    "team": "o.team = b.name",
    "key": "o.key = b.name",
    "provider": "concat(o.key, '/', o.provider) = b.name",
}
"""By level. A provider's owner is ``provider:<key>/<name>``; ids of keys and names of providers have no slash."""


def spent_since(cursor: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[str, int]]) -> list[int]:
    """nano-USD of all requests of each owner (``team:platform``, ``provider:ide/anthropic``) that began at or after a
    moment of its own (Unix microseconds), in the order asked for.
    """
    spent = [0] * len(wanted)
    by_level: dict[str, list[int]] = {level: [] for level in _MATCHES}
    for position, (owner, _) in enumerate(wanted):
        by_level[owner.partition(":")[0]].append(position)
    for level, positions in by_level.items():
        for at in range(0, len(positions), _CHUNK):
            chunk = positions[at : at + _CHUNK]
            names = [wanted[position][0].partition(":")[2] for position in chunk]
            since = [wanted[position][1] for position in chunk]
            for position, amount in cursor.execute(_statement(level), [chunk, names, since, min(since)]).fetchall():
                spent[position] = int(amount)
    return spent


def _statement(level: str) -> str:
    return (
        "SELECT b.position, sum(e.cost_nano) FROM "
        "(SELECT unnest(?::BIGINT[]) AS position, unnest(?::VARCHAR[]) AS name, unnest(?::BIGINT[]) AS since_us) b "
        f"JOIN origins o ON {_MATCHES[level]} JOIN events e ON e.origin = o.id AND e.started_us >= b.since_us "
        "WHERE e.started_us >= ? GROUP BY b.position"
    )


def newest(cursor: duckdb.DuckDBPyConnection) -> int:
    """When the last of all requests began, in Unix microseconds; 0: there is none."""
    row = cursor.execute("SELECT coalesce(max(started_us), 0) FROM events").fetchone()
    return int(row[0]) if row is not None else 0


def first_uses(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """When each budget was first used, Unix nanoseconds by its id."""
    return dict(cursor.execute("SELECT budget, at_ns FROM first_uses").fetchall())
