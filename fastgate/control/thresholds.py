"""Thresholds of budgets: which of them the requests of a batch reach, told once per window.

What was spent in a window is summed from the ledger when its first request comes, and kept up to date from then on.
So it does not matter what the arena counts meanwhile, how late a batch is drained, or who was killed before.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fastgate._core.arena import Arena
from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.levels import raised
from fastgate.budgets.periods import period_of
from fastgate.control.counters import NEVER, owners_of
from fastgate.ledger.alerts import Alert, told
from fastgate.ledger.inserts import Columns
from fastgate.ledger.owners import first_uses, spent_since
from fastgate.ledger.resets import Reset, reset_since
from fastgate.ledger.store import Ledger
from fastgate.wire.snapshot import BudgetRecord

MOST_KEPT: Final = 100_000
"""Budgets, and callers; beyond them all are forgotten and asked for again."""
_MOST_WINDOWS: Final = 64
"""Of one budget: requests come late, but not by so many."""

Caller = tuple[str, str, str, str]
"""Customer, team, key and provider of a request."""
OfOwner = Callable[[str], Iterable[BudgetRecord]]
"""The budgets of ``team:platform``."""


@dataclass
class _Window:
    """A budget in one window; amounts in nano-USD, moments in Unix microseconds."""

    record: BudgetRecord
    before_us: int
    """Begin of the window before, where what that left rolls over; else ``begin_us``."""
    begin_us: int
    end_us: int
    spent: int = 0
    rolled: int = 0
    untold: list[int] | None = None
    """Percents, rising; None: nothing was asked of the ledger yet."""

    @property
    def ends_us(self) -> int:
        """As in an alert."""
        return 0 if self.end_us == NEVER // 1000 else self.end_us

    def book(self, cost: int, at_us: int) -> Iterator[Alert]:
        """The thresholds that a request reaches; from here on they are told."""
        self.spent += cost
        if not self.untold:
            return
        limit = raised(self.record, at_us * 1000) + self.rolled
        while self.untold and self.spent * 100 >= self.untold[0] * limit:
            yield Alert(self.record.id, self.untold.pop(0), self.ends_us, at_us, self.spent, limit)


class Thresholds:
    """Of one control process, for the thread that writes the ledger."""

    def __init__(self, arena: Arena, ledger: Ledger) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        """Alerts since this process began, by level and percent."""
        self._arena = arena
        self._ledger = ledger
        self._watched: dict[Caller, tuple[BudgetRecord, ...]] = {}
        self._windows: dict[str, list[_Window]] = {}
        self._coming: list[Alert] | None = None
        """Of the batch that is on its way into the ledger."""
        self._changed = False

    def of_batch(self, columns: Columns, resets: Sequence[Reset], of_owner: OfOwner) -> list[Alert]:
        """What the requests of a batch reach, to be written together with them; ``taken`` has to follow.

        Raises what the ledger raises.
        """
        if self._changed or self._coming is not None or len(self._windows) > MOST_KEPT:
            self._changed = False
            self._windows.clear()  # also where the batch before did not get into the ledger
            self._watched.clear()
        self._coming = []
        callers = zip(*(columns[name] for name in ("customer", "team", "key", "provider")), strict=True)
        booked = [
            (self._window(record, at_us), cost, at_us)
            for caller, cost, at_us in zip(callers, columns["cost_nano"], columns["started_us"], strict=True)
            if cost
            for record in self._watched_of(caller, of_owner)
        ]
        self._load([window for window in {id(each): each for each, _, _ in booked}.values() if window.untold is None])
        for window, cost, at_us in booked:
            self._coming += window.book(cost, at_us)
        for reset in resets:
            for window in self._windows.get(reset.budget, ()):
                if window.begin_us <= reset.at_us < window.end_us:
                    window.spent -= reset.amount
        return self._coming

    def taken(self) -> None:
        """The batch is in the ledger."""
        for alert in self._coming or ():
            label = (level_of(alert.budget), str(alert.percent))
            self.counts[label] = self.counts.get(label, 0) + 1
        self._coming = None

    def forget(self) -> None:
        """Budgets may have changed; from any thread."""
        self._changed = True

    def _watched_of(self, caller: Caller, of_owner: OfOwner) -> tuple[BudgetRecord, ...]:
        """The budgets with thresholds that bind a caller."""
        watched = self._watched.get(caller)
        if watched is None:
            if len(self._watched) >= MOST_KEPT:
                self._watched.clear()
            records = (record for owner in owners_of(*caller) for record in of_owner(owner))
            watched = self._watched[caller] = tuple(record for record in records if record.alerts)
        return watched

    def _window(self, record: BudgetRecord, at_us: int) -> _Window:
        """That of a moment."""
        known = self._windows.setdefault(record.id, [])
        for window in reversed(known):
            if window.begin_us <= at_us < window.end_us:
                return window
        anchor, period = self._anchor(record.id), period_of(record)
        begin, end = period.window(anchor, max(at_us * 1000, anchor))
        begin = before = max(begin, anchor)
        if record.rollover and begin > anchor:
            before = max(anchor, period.window(anchor, begin - 1)[0])
        if len(known) >= _MOST_WINDOWS:
            del known[: _MOST_WINDOWS // 2]
        window = _Window(record, before // 1000, min(begin // 1000, at_us), end // 1000)
        known.append(window)
        return window

    def _anchor(self, id_: str) -> int:
        """When a budget was first used, in Unix nanoseconds."""
        cell = self._arena.find(id_)
        anchor = 0 if cell is None else self._arena.anchor(cell)
        if not anchor:  # the arena was lost
            with self._ledger.cursor() as cursor:
                anchor = first_uses(cursor).get(id_, 0)
        return anchor

    def _load(self, fresh: Sequence[_Window]) -> None:
        """Asks the ledger what it has of windows that are seen for the first time."""
        if not fresh:
            return
        asked = [(window.record, at) for window in fresh for at in (window.before_us, window.begin_us, window.end_us)]
        with self._ledger.cursor(seconds=600) as cursor:
            spent = spent_since(cursor, [(record.owner, at) for record, at in asked])
            resets = reset_since(cursor, [(record.id, at) for record, at in asked])
            known = told(cursor, [(window.record.id, window.ends_us) for window in fresh])
        since = [amount - reset for amount, reset in zip(spent, resets, strict=True)]
        for position, window in enumerate(fresh):
            before, begin, end = since[3 * position : 3 * position + 3]
            window.spent = begin - end
            if window.before_us < window.begin_us:
                window.rolled = max(0, window.record.limit - (before - begin))
            window.untold = [percent for percent in window.record.alerts if percent not in known[position]]
