"""From budgets as workers read them to the levels that the core holds against."""

from collections.abc import Iterable

from fastgate._core.arena import Arena
from fastgate._core.levels import Level, Levels
from fastgate.budgets.periods import period_of
from fastgate.wire.snapshot import BudgetRecord


def levels_of(arena: Arena, records: Iterable[BudgetRecord]) -> Levels:
    """The levels of budgets, in their order; those that were never used get their counters. Raises ArenaFull."""
    return Levels(arena, [Level(arena.cell(record.id), record.limit, period_of(record)) for record in records])
