"""Counters of templates' budgets that a lost arena took with it: made anew from the ledger, in batches.

The ledger keeps the first use of a template, not of each of its budgets. The first use of one of them is the first
request of its value since then that held money; what was spent are the rows since its window began.
"""

import time
from functools import partial
from typing import Final

from fastgate._core.arena import Arena
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import BUDGETS, MOST_VALUES, made_of, said
from fastgate.control.rebuilding import Moments, rebuild
from fastgate.ledger.resets import reset_since
from fastgate.ledger.store import Ledger
from fastgate.ledger.values import first_requests, spent_by_value
from fastgate.wire.snapshot import BudgetRecord

_SECONDS: Final = 600
"""That the ledger may take for one answer."""


def restore_values(arena: Arena, ledger: Ledger, template: BudgetRecord, first_ns: int) -> int:
    """Sets the counters of all budgets of ``template``, which was first used at ``first_ns``; returns how many.

    The template's own comes last: who is killed before is followed by one that does it all again.
    """
    counting, restored = arena.cell(template.id), 0
    key, name, _ = said(template.owner)
    with ledger.cursor(seconds=_SECONDS) as cursor:
        for batch in first_requests(cursor, key, name, first_ns // 1000):
            values = {made_of(template, value).id: value for value, _ in batch}
            missing = [(made_of(template, value), started_us * 1000) for value, started_us in batch]
            restored += rebuild(
                arena,
                missing,
                partial(_spent, ledger, template, values),
                lambda record: arena.member(record.id, counting, MOST_VALUES, BUDGETS),
            )
    arena.restore_cell(counting, period_of(template), first_ns, 0, time.time_ns())
    return restored


def _spent(ledger: Ledger, template: BudgetRecord, values: dict[str, str], wanted: Moments) -> list[int]:
    """nano-USD that count in each budget since a moment of its own; ``values``: by the budgets' ids."""
    key, name, _ = said(template.owner)
    by_value = [(values[record.id], since // 1000) for record, since in wanted]
    with ledger.cursor(seconds=_SECONDS) as cursor:
        spent = spent_by_value(cursor, key, name, by_value)
        resets = reset_since(cursor, [(record.id, since // 1000) for record, since in wanted])
    return [amount - reset for amount, reset in zip(spent, resets, strict=True)]
