"""Resets of budgets among the journal's events: they are no requests, and have a table of their own.

A reset takes off a budget what was spent in its window so far. When counters are rebuilt, what was spent since a
moment is less by the resets since then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final

import duckdb

OUTCOME: Final = "reset"
"""Of the event; its ``route`` is the budget's id, its cost what was taken off, below nothing."""


@dataclass(frozen=True)
class Reset:
    """What was taken off a budget, in nano-USD, at a moment in Unix microseconds."""

    budget: str
    at_us: int
    amount: int


def without_resets(columns: dict[str, Any]) -> tuple[dict[str, Any], list[Reset]]:
    """The requests among the events of a batch, and the resets."""
    outcomes: list[str] = columns["outcome"]
    if OUTCOME not in outcomes:
        return columns, []
    told = zip(outcomes, columns["route"], columns["started_us"], columns["cost_nano"], strict=True)
    resets = [Reset(budget, at_us, -cost) for outcome, budget, at_us, cost in told if outcome == OUTCOME]
    kept = [outcome != OUTCOME for outcome in outcomes]
    return {name: _compressed(values, kept) for name, values in columns.items()}, resets


def _compressed(values: Any, kept: list[bool]) -> Any:
    found = list(compress(values, kept))
    return found if isinstance(values, list) else type(values)(values.typecode, found)


def reset_since(cursor: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[str, int]]) -> list[int]:
    """nano-USD that resets took off each budget at or after a moment of its own (Unix microseconds)."""
    if not wanted:
        return []
    ids, since = zip(*wanted, strict=True)
    rows = cursor.execute(
        "SELECT b.position, sum(r.amount_nano) FROM "
        "(SELECT unnest(?::BIGINT[]) AS position, unnest(?::VARCHAR[]) AS budget, unnest(?::BIGINT[]) AS since_us) b "
        "JOIN resets r ON r.budget = b.budget AND r.at_us >= b.since_us GROUP BY b.position",
        [list(range(len(wanted))), list(ids), list(since)],
    ).fetchall()
    found = [0] * len(wanted)
    for position, amount in rows:
        found[position] = int(amount)
    return found
