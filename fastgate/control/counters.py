"""The budgets' counters: what they show, since when, and how they come back after the arena was lost.

The arena survives the death of any process. After power loss, or when its layout changed, a new one is made: then each
budget's first use, which the ledger keeps, gives its window, and the ledger's rows give what was spent in it.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastgate._core.arena import Arena
from fastgate._core.windows import index_at, start_of
from fastgate.ledger.inserts import Columns
from fastgate.ledger.owners import first_uses, spent_since
from fastgate.ledger.store import Ledger
from fastgate.wire.snapshot import BudgetRecord

log = logging.getLogger("fastgate.control")

MOST_NANO = 2**63 - 1
"""What a counter can hold; more is as good as that."""


@dataclass(frozen=True)
class Standing:
    """A budget now; amounts in nano-USD, ``resets_at_ns`` 0 where it never resets or was never used."""

    record: BudgetRecord
    spent: int
    held: int
    overrun: int
    resets_at_ns: int

    @property
    def left(self) -> int:
        """What new requests may still hold."""
        return max(0, self.record.limit - self.spent - self.held)


def standing(arena: Arena, record: BudgetRecord) -> Standing:
    """Reads the budget's cell; one that was never used has none."""
    cell = arena.find(record.id)
    if cell is None:
        return Standing(record, 0, 0, 0, 0)
    return Standing(record, *arena.read_cell(cell, record.window, record.every, time.time_ns()))


def anchor_of(arena: Arena, record: BudgetRecord) -> int:
    """When the budget was first used, in Unix nanoseconds; 0: never."""
    cell = arena.find(record.id)
    return 0 if cell is None else arena.anchor(cell)


class FirstUses:
    """Carries the moment of each budget's first use from the arena to the ledger, once."""

    def __init__(self, arena: Arena, ledger: Ledger) -> None:
        self._arena = arena
        self._ledger = ledger
        self._known: set[str] = set()
        self._callers: set[tuple[str, ...]] = set()
        """Customer, team, key and provider together, all of whose budgets are known."""

    def note_batch(
        self, columns: Columns, by_owner: Mapping[str, Sequence[BudgetRecord]], *, arena_is_new: bool
    ) -> None:
        """Keeps the first uses of the budgets that these events touch.

        Called before the events are in the ledger, so that none is there without them.

        Events that a lost arena left in the journals tell themselves when their budgets were first used: whatever came
        before them is known.
        """
        callers = list(zip(*(columns[name] for name in ("customer", "team", "key", "provider")), strict=True))
        fresh: dict[str, int] = {}
        for caller in set(callers).difference(self._callers):
            records = [record for owner in _owners(*caller) for record in by_owner.get(owner, ())]
            if arena_is_new:
                held = zip(callers, columns["settlement"], columns["started_us"], strict=True)
                started = [at for each, settlement, at in held if each == caller and settlement != "none"]
                for record in records:
                    if started:
                        fresh[record.id] = min(fresh.get(record.id, min(started) * 1000), min(started) * 1000)
            else:
                self.note(records)
                if all(record.id in self._known for record in records):
                    self._callers.add(caller)
        if fresh:
            self._ledger.inserts.note_first_uses(fresh)

    def forget_callers(self) -> None:
        """Budgets may have been added."""
        self._callers.clear()

    def note(self, records: Iterable[BudgetRecord]) -> None:
        """Keeps the first uses of those that have one and are not kept yet. From the thread that writes the ledger."""
        fresh = {}
        for record in records:
            if record.id not in self._known and (anchor := anchor_of(self._arena, record)):
                fresh[record.id] = anchor
        if fresh:
            self._ledger.inserts.note_first_uses(fresh)
            self._known.update(fresh)


def _owners(customer: str, team: str, key: str, provider: str) -> tuple[str, ...]:
    """Whose budgets bind a request."""
    return (f"customer:{customer}", f"team:{team}", f"key:{key}", f"provider:{key}/{provider}")


def lost(arena: Arena, ledger: Ledger, records: Iterable[BudgetRecord]) -> list[tuple[BudgetRecord, int]]:
    """Budgets that the ledger knows to have been used although their counters do not, each with its first use."""
    unused = [record for record in records if anchor_of(arena, record) == 0]
    if not unused:
        return []
    with ledger.cursor() as cursor:
        known = first_uses(cursor)
    return [(record, known[record.id]) for record in unused if record.id in known]


def restore(arena: Arena, ledger: Ledger, missing: Sequence[tuple[BudgetRecord, int]]) -> int:
    """Sets lost counters to what the ledger says; returns how many. The journals must have been drained before."""
    now = time.time_ns()
    wanted = []
    for record, anchor in missing:
        index = index_at(record.window, record.every, anchor, now)
        since = start_of(record.window, record.every, anchor, index) if record.window else anchor
        wanted.append((record.owner, since // 1000))
    with ledger.cursor(seconds=600) as cursor:
        amounts = spent_since(cursor, wanted)
    restored = 0
    for (record, anchor), spent in zip(missing, amounts, strict=True):
        restored += arena.restore_cell(
            arena.cell(record.id), record.window, record.every, anchor, min(spent, MOST_NANO), now
        )
    log.warning("the arena had lost %d budgets' counters: rebuilt from the ledger", restored)
    return restored
