"""Which limits any host has used, of those that somebody looks at: looking is no use, and makes no counter."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from fastgate._core import leases
from fastgate._core.arena import Arena, ArenaFull
from fastgate._core.windows import number_ending
from fastgate.budgets.leases.store import LeaseStore
from fastgate.budgets.periods import period_of
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

Record = BudgetRecord | LimitRecord


def used(arena: Arena, store: LeaseStore, records: Iterable[Record], now_ns: int) -> Iterator[Record]:
    """In no order. Those that have no counter here get one. Raises StoreAway."""
    new: dict[bool, list[Record]] = {False: [], True: []}
    for record in records:
        in_calendar = period_of(record).calendar is not None
        cell = arena.find(record.id)
        if cell is not None and (in_calendar or arena.anchor(cell)):
            yield record
        else:
            new[in_calendar].append(record)
    firsts = store.first_uses([record.id for record in new[False]])
    windows = [(number_ending(period_of(record).window(0, now_ns)[1]), record.id) for record in new[True]]
    for record, first in zip(new[False], firsts, strict=True):
        if first is not None:
            with suppress(ArenaFull):
                leases.set_anchor(arena, arena.cell(record.id), first)
                yield record
    for record, is_used in zip(new[True], store.are_used(windows), strict=True):
        if is_used:
            with suppress(ArenaFull):
                arena.cell(record.id)
                yield record
