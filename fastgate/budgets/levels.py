"""From budgets and limits as workers read them to the levels that the core holds against."""

from collections.abc import Iterable

from fastgate._core.arena import Arena
from fastgate._core.levels import Level, Levels
from fastgate.budgets.periods import period_of
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

Rule = tuple[BudgetRecord | LimitRecord, Level]
"""What a request has to pass, and where that is counted."""


def rules_of(arena: Arena, records: Iterable[BudgetRecord | LimitRecord], *, shared: bool = False) -> list[Rule]:
    """Those of budgets and limits, in their order; what was never used gets its counter. ``shared``: by hosts.

    Raises ArenaFull.
    """
    return [(record, level_at(arena.cell(record.id), record, shared=shared)) for record in records]


def levels_of(arena: Arena, rules: Iterable[Rule]) -> Levels:
    """What the core holds a request against."""
    return Levels(arena, [level for _, level in rules])


def rewritten(levels: Levels, records: Iterable[BudgetRecord | LimitRecord | None]) -> Levels:
    """``levels`` on the same counters, by what is written of each of them now; None: nothing, so it stays as it was."""
    pairs = zip(levels.rules, records, strict=True)
    return Levels(
        levels.arena,
        [rule if record is None else level_at(rule.cell, record, shared=rule.shared) for rule, record in pairs],
    )


def level_at(cell: int, record: BudgetRecord | LimitRecord, *, shared: bool = False) -> Level:
    """The level of one of them, which is counted in that cell.

    ``shared``: a request has room in what was granted to this host. What never refuses needs no grant, but is told.
    """
    if isinstance(record, LimitRecord):
        return Level(cell, record.limit, period_of(record), record.counted, shared=shared)
    return Level(
        cell,
        record.limit,
        period_of(record),
        soft=record.soft,
        rolls=record.rollover,
        increases=record.increases,
        shared=shared,
    )


def raised(record: BudgetRecord, now_ns: int) -> int:
    """The limit of a budget with its increases, in nano-USD, without what rolled over."""
    return record.limit + sum(amount for until, amount in record.increases if now_ns < until)
