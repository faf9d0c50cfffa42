"""From budgets and limits as workers read them to the levels that the core holds against."""

from collections.abc import Iterable

from fastgate._core.arena import Arena
from fastgate._core.levels import Level, Levels
from fastgate.budgets.periods import period_of
from fastgate.wire.snapshot import BudgetRecord, LimitRecord


def levels_of(arena: Arena, records: Iterable[BudgetRecord | LimitRecord]) -> Levels:
    """The levels of budgets and limits, in their order; what was never used gets its counter. Raises ArenaFull."""
    return Levels(arena, [level_at(arena.cell(record.id), record) for record in records])


def level_at(cell: int, record: BudgetRecord | LimitRecord) -> Level:
    """The level of one of them, which is counted in that cell."""
    if isinstance(record, LimitRecord):
        return Level(cell, record.limit, period_of(record), record.counted)
    return Level(
        cell,
        record.limit,
        period_of(record),
        soft=record.soft,
        rolls=record.rollover,
        increases=record.increases,
    )


def raised(record: BudgetRecord, now_ns: int) -> int:
    """The limit of a budget with its increases, in nano-USD, without what rolled over."""
    return record.limit + sum(amount for until, amount in record.increases if now_ns < until)
