"""Counters set to what the ledger says was spent: by the window that a budget's first use gives."""

import time
from collections.abc import Callable, Sequence

from fastgate._core.arena import Arena
from fastgate.budgets.periods import period_of
from fastgate.wire.money import MOST_NANO
from fastgate.wire.snapshot import BudgetRecord

Moments = Sequence[tuple[BudgetRecord, int]]
"""Budgets, each with a moment of its own in Unix nanoseconds."""


def rebuild(
    arena: Arena,
    missing: Moments,
    spent_since: Callable[[Moments], Sequence[int]],
    cell_of: Callable[[BudgetRecord], int | None],
) -> int:
    """Sets the counters of budgets, each with its first use; returns how many. Those in use are never touched.

    ``spent_since``: nano-USD that count in each budget since its moment. ``cell_of``: where it is counted; None: there
    is no place. Windows are cut as the budgets say now, whatever they said before the loss.
    """
    now = time.time_ns()
    moments = [_moments(record, anchor, now) for record, anchor in missing]
    present = spent_since([(record, begin) for (record, _), (begin, _) in zip(missing, moments, strict=True)])
    rolling = [
        (record, before) for (record, _), (_, before) in zip(missing, moments, strict=True) if before is not None
    ]
    since_before = dict(zip((record.id for record, _ in rolling), spent_since(rolling), strict=True))
    rebuilt = 0
    for (record, anchor), spent in zip(missing, present, strict=True):
        cell, before = cell_of(record), since_before.get(record.id)
        if cell is not None:
            left = None if before is None else _kept(before - spent)
            rebuilt += arena.restore_cell(cell, period_of(record), anchor, _kept(spent), now, left)
    return rebuilt


def _moments(record: BudgetRecord, anchor: int, now: int) -> tuple[int, int | None]:
    """Since when its present window counts, and the one before where what that left rolls over; None: none does."""
    period = period_of(record)
    begin, _ = period.window(anchor, now)
    if not record.rollover or begin <= anchor:
        return max(anchor, begin), None
    return begin, max(anchor, period.window(anchor, begin - 1)[0])


def _kept(amount: int) -> int:
    return min(max(0, amount), MOST_NANO)
