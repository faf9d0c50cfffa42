"""Thresholds that budgets have reached: a table of their own, which has each once per window.

They are written in the transaction of the requests that reached them. So none is lost or told twice, whoever is
killed in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Alert:
    """That so much of a budget was spent; moments in Unix microseconds, amounts in nano-USD."""

    budget: str
    percent: int
    ends_us: int
    """When the window ends; 0: never."""
    at_us: int
    spent: int
    limit: int


def told(cursor: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[str, int]]) -> list[set[int]]:
    """What was told already of budgets in windows of theirs, by id and ``ends_us``, in the order asked for."""
    found: list[set[int]] = [set() for _ in wanted]
    if not wanted:
        return found
    ids, ends = zip(*wanted, strict=True)
    rows = cursor.execute(
        "SELECT b.position, a.percent FROM "
        "(SELECT unnest(?::BIGINT[]) AS position, unnest(?::VARCHAR[]) AS budget, unnest(?::BIGINT[]) AS ends_us) b "
        "JOIN alerts a ON a.budget = b.budget AND a.ends_us = b.ends_us",
        [list(range(len(wanted))), list(ids), list(ends)],
    ).fetchall()
    for position, percent in rows:
        found[position].add(int(percent))
    return found


def page(
    cursor: duckdb.DuckDBPyConnection,
    before: int | None,
    limit: int,
    budget: str | None = None,
    owner: str | None = None,
) -> list[tuple[int, Alert]]:
    """Alerts with their numbers, which rise with time; newest first, from in front of ``before``."""
    conditions, values = ["TRUE"], []
    for text, value in (("number < ?", before), ("budget = ?", budget), ("starts_with(budget, ? || '/')", owner)):
        if value is not None:
            conditions.append(text)
            values.append(value)
    rows = cursor.execute(
        "SELECT number, budget, percent, ends_us, at_us, spent_nano, limit_nano FROM alerts "
        f"WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?",
        [*values, limit],
    ).fetchall()
    return [(row[0], Alert(*row[1:])) for row in rows]
