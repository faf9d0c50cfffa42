"""From budgets and limits as workers read them to the levels that the core holds against."""

from collections.abc import Iterable

from fastgate._core.arena import Arena
from fastgate._core.levels import USD, Level, Levels
from fastgate.budgets.periods import period_of
from fastgate.wire.snapshot import BudgetRecord, LimitRecord


def levels_of(arena: Arena, records: Iterable[BudgetRecord | LimitRecord]) -> Levels:
    """The levels of budgets and limits, in their order; what was never used gets its counter. Raises ArenaFull."""
    return Levels(arena, [level_of(arena, record) for record in records])


def level_of(arena: Arena, record: BudgetRecord | LimitRecord) -> Level:
    """One of them."""
    unit = record.counted if isinstance(record, LimitRecord) else USD
    return Level(arena.cell(record.id), record.limit, period_of(record), unit)
