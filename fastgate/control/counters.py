"""The budgets' counters: what they show, since when, and how they come back after the arena was lost.

The arena survives the death of any process. After power loss, or when its layout changed, a new one is made: then each
budget's first use, which the ledger keeps, gives its window, and the ledger's rows give what was spent in it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fastgate._core.arena import Arena
from fastgate._core.levels import Levels
from fastgate.budgets.leases.messages import Elsewhere
from fastgate.budgets.levels import level_at, raised
from fastgate.budgets.limits import is_limit
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import EACH, LEVELS
from fastgate.control.rebuilding import Moments, rebuild
from fastgate.control.value_counters import restore_values
from fastgate.ledger.inserts import Columns
from fastgate.ledger.owners import first_uses, spent_since
from fastgate.ledger.resets import reset_since
from fastgate.ledger.store import Ledger
from fastgate.wire.snapshot import BudgetRecord

log = logging.getLogger("fastgate.control")

LEARNED: Final = "learned/"
"""How the ids of cells begin in which is kept what the traffic teaches."""
NEVER: Final = (1 << 63) - 1
"""When a window ends that has no end."""
_AT_ONCE: Final = 10_000
"""Cells that are looked at together."""


@dataclass(frozen=True)
class Standing:
    """A budget now; amounts in nano-USD, ``resets_at_ns`` 0 where it never resets, or its first use decides when."""

    record: BudgetRecord
    spent: int
    held: int
    overrun: int
    resets_at_ns: int
    limit: int
    """In force: with increases, and what rolled over."""
    elsewhere: Elsewhere | None = None
    """What other hosts have of it; None: nobody has said, or nothing is shared."""

    @property
    def left(self) -> int:
        """What new requests may still hold."""
        return max(0, self.limit - self.spent - self.held)


def standing(arena: Arena, record: BudgetRecord, *, shared: bool = False) -> Standing:
    """Reads the budget's cell; one that was never used has none. ``shared``: with what is known of other hosts."""
    now = time.time_ns()
    cell = arena.find(record.id)
    if cell is None:
        _, end = period_of(record).window(0, now)
        return Standing(record, 0, 0, 0, 0 if end == NEVER else end, raised(record, now))
    levels = Levels(arena, [level_at(cell, record, shared=shared)])
    spent, held, overrun, resets_at_ns = arena.read_cell(cell, period_of(record), now)
    used_elsewhere, spent_elsewhere = levels.elsewhere(0, now)
    limit, _, _ = levels.standing(0, now)
    held += max(0, used_elsewhere - spent_elsewhere)
    return Standing(record, spent + spent_elsewhere, held, overrun, resets_at_ns, limit)


class FirstUses:
    """Carries the moment of each budget's first use from the arena to the ledger, once."""

    def __init__(self, arena: Arena, ledger: Ledger) -> None:
        self._arena = arena
        self._ledger = ledger
        self._known: set[str] = set()
        self._opening = 0
        """Of the ledger, for which all this holds: a file may be put in the place of another."""
        self._callers: set[tuple[str, ...]] = set()
        """Customer, team, key and provider together, all of whose budgets are known."""

    def note_batch(
        self, columns: Columns, of_owner: Callable[[str], Iterable[BudgetRecord]], *, arena_is_new: bool
    ) -> None:
        """Keeps the first uses of the budgets that these events touch.

        Called before the events are in the ledger, so that none is there without them.

        Events that a lost arena left in the journals tell themselves when their budgets were first used: whatever came
        before them is known.
        """
        self._forget_another_ledger()
        callers = list(zip(*(columns[name] for name in ("customer", "team", "key", "provider")), strict=True))
        fresh: dict[str, int] = {}
        for caller in set(callers).difference(self._callers):
            owners = (*owners_of(*caller), f"{EACH}{caller[2]}")  # customer, team, key, provider
            records = [record for owner in owners for record in of_owner(owner)]
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
        self._forget_another_ledger()
        found = ((record.id, self._arena.find(record.id)) for record in records if record.id not in self._known)
        self._keep((cell, id_) for id_, cell in found if cell is not None)

    def note_all(self) -> None:
        """Those of every budget that was ever used on this arena; templates stand for all that they made."""
        self._forget_another_ledger()
        place, more = 0, True
        while more:
            cells, place = self._arena.scan(place, _AT_ONCE)
            self._keep((cell, id_) for cell, id_ in cells if id_ not in self._known and _is_budget(id_))
            more = place > 0

    def _forget_another_ledger(self) -> None:
        if self._opening != self._ledger.openings:
            self._opening = self._ledger.openings
            self._known.clear()
            self._callers.clear()

    def _keep(self, cells: Iterable[tuple[int, str]]) -> None:
        fresh = {id_: anchor for cell, id_ in cells if (anchor := self._arena.anchor(cell))}
        if fresh:
            self._ledger.inserts.note_first_uses(fresh)
            self._known.update(fresh)


def _is_budget(id_: str) -> bool:
    return not id_.startswith(LEARNED) and not is_limit(id_)


def owners_of(customer: str, team: str, key: str, provider: str) -> tuple[str, ...]:
    """Whose budgets bind a request."""
    return (f"customer:{customer}", f"team:{team}", f"key:{key}", f"provider:{key}/{provider}")


def lost(arena: Arena, ledger: Ledger, find: Callable[[str], BudgetRecord | None]) -> list[tuple[BudgetRecord, int]]:
    """Budgets that the ledger knows to have been used although their counters do not, each with its first use.

    ``find`` gives a budget by its id, None where there is none any more.
    """
    with ledger.cursor() as cursor:
        known = first_uses(cursor)
    missing = ((find(id_), at) for id_, at in known.items() if not _was_used(arena, id_))
    return [(record, at) for record, at in missing if record is not None]


def _was_used(arena: Arena, id_: str) -> bool:
    cell = arena.find(id_)
    return cell is not None and arena.anchor(cell) != 0


def restore(arena: Arena, ledger: Ledger, missing: Sequence[tuple[BudgetRecord, int]]) -> int:
    """Sets lost counters to what the ledger says; returns how many. The journals must have been drained before."""
    written = [(record, at) for record, at in missing if record.level not in LEVELS]
    restored = rebuild(arena, written, lambda wanted: _spent(ledger, wanted), lambda record: arena.cell(record.id))
    restored += sum(restore_values(arena, ledger, record, at) for record, at in missing if record.level in LEVELS)
    log.warning("the arena had lost %d budgets' counters: rebuilt from the ledger", restored)
    return restored


def _spent(ledger: Ledger, wanted: Moments) -> list[int]:
    """nano-USD that count in each budget since a moment of its own: requests less resets."""
    with ledger.cursor(seconds=600) as cursor:
        spent = spent_since(cursor, [(record.owner, since // 1000) for record, since in wanted])
        resets = reset_since(cursor, [(record.id, since // 1000) for record, since in wanted])
    return [amount - reset for amount, reset in zip(spent, resets, strict=True)]
