"""Thresholds of budgets: which of them the requests of a batch reach, told once per window.

What was spent in a window is summed from the ledger when its first request comes, and kept up to date from then on.
So it does not matter what the arena counts meanwhile, how late a batch is drained, or who was killed before.

Where hosts share budgets, what the others have spent is added, as they told it last. That is a second or two old, so a
window is looked at for some seconds more after its last request here: who spend beside each other tell what they reach
together.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import Final

from fastgate._core.arena import Arena
from fastgate._core.levels import Levels
from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.levels import level_at, raised
from fastgate.budgets.periods import period_of
from fastgate.control.counters import NEVER
from fastgate.control.payments import MOST_KEPT, OfOwner, Paid, Payments
from fastgate.control.spent import Payer, spent
from fastgate.ledger.alerts import Alert, told
from fastgate.ledger.inserts import Columns
from fastgate.ledger.owners import first_uses, newest
from fastgate.ledger.resets import Reset, reset_since
from fastgate.ledger.store import Ledger
from fastgate.ledger.values import first_requests_of
from fastgate.wire.snapshot import BudgetRecord

LATE_NS: Final = 15_000_000_000
"""For so long after its last request here a window is looked at, until this host has heard of what came before."""
_LOOK_NS: Final = 1_000_000_000
"""Between two such looks."""
_MOST_WINDOWS: Final = 64
"""Of one budget: requests come late, but not by so many."""

_Row = tuple[Paid, int, int]
"""A budget, what a request of it cost, and when that began."""


@dataclass
class _Window:
    """A budget in one window; amounts in nano-USD, moments in Unix microseconds."""

    record: BudgetRecord
    payer: Payer
    before_us: int
    """Begin of the window before, where what that left rolls over; else ``begin_us``."""
    begin_us: int
    end_us: int
    spent: int = 0
    elsewhere: int = 0
    """What other hosts have spent."""
    rolled: int = 0
    untold: list[int] | None = None
    """Percents, rising; None: nothing was asked of the ledger yet."""
    late_ns: int = 0
    """Until when it is looked at without a request."""

    @property
    def ends_us(self) -> int:
        """As in an alert."""
        return 0 if self.end_us == NEVER // 1000 else self.end_us

    def book(self, cost: int, at_us: int) -> Iterator[Alert]:
        """The thresholds that a request reaches, or, at no cost, that are reached; from here on they are told."""
        self.spent += cost
        if not self.untold:
            return
        limit, spent = raised(self.record, at_us * 1000) + self.rolled, self.spent + self.elsewhere
        while self.untold and spent * 100 >= self.untold[0] * limit:
            yield Alert(self.record.id, self.untold.pop(0), self.ends_us, at_us, spent, limit)


class Thresholds:
    """Of one control process, for the thread that writes the ledger. ``shares``: whether hosts share budgets."""

    def __init__(self, arena: Arena, ledger: Ledger, shares: Callable[[], bool] = lambda: False) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        """Alerts since this process began, by level and percent."""
        self._arena = arena
        self._ledger = ledger
        self._shares = shares
        self._payments = Payments(lambda record: bool(record.alerts))
        self._windows: dict[str, list[_Window]] = {}
        self._late: dict[int, _Window] = {}
        """Those that are looked at without a request, by their identity."""
        self._look_at_ns = 0
        self._firsts: dict[str, int] = {}
        """While the arena does not know: when budgets of values were first used, as in its cells."""
        self._newest_us: int | None = None
        """When the last request began that is in the ledger, or may be; None: nobody has asked yet."""
        self._coming: list[Alert] | None = None
        """Of the batch that is on its way into the ledger."""
        self._changed = False

    def of_batch(self, columns: Columns, resets: Sequence[Reset], of_owner: OfOwner) -> list[Alert]:
        """What the requests of a batch reach, to be written together with them; ``taken`` has to follow.

        Raises what the ledger raises.
        """
        self._begin()
        self._coming = []
        costs, moments = columns["cost_nano"], columns["started_us"]
        rows = [
            (paid, costs[position], moments[position])
            for position in range(len(costs))
            if costs[position]
            for paid in self._payments.of(columns, position, of_owner)
        ]
        self._firsts = {} if self._arena.counted else self._first_uses(rows)
        booked = [(self._window(paid, at_us), cost, at_us) for paid, cost, at_us in rows]
        touched = {id(window): window for window, _, _ in booked}
        self._load([window for window in touched.values() if window.untold is None])
        if self._shares():
            now_ns = time_ns()
            for window in touched.values():
                self._look_elsewhere(window, now_ns)
                window.late_ns = now_ns + LATE_NS
            self._late |= touched
        self._newest_us = max(self._newest(), *moments, 0)
        for window, cost, at_us in booked:
            self._coming += window.book(cost, at_us)
        for reset in resets:
            for window in self._windows.get(reset.budget, ()):
                if window.begin_us <= reset.at_us < window.end_us:
                    window.spent -= reset.amount
        self._coming += self._of_late()
        return self._coming

    def of_others(self) -> list[Alert]:
        """What is reached by what others spent; written without requests; ``taken`` has to follow if it is any."""
        if not self._late:
            return []
        self._begin()
        found = self._of_late()
        self._coming = found or None
        return found

    def taken(self) -> None:
        """The batch is in the ledger."""
        for alert in self._coming or ():
            label = (level_of(alert.budget), str(alert.percent))
            self.counts[label] = self.counts.get(label, 0) + 1
        self._coming = None

    def forget(self) -> None:
        """Budgets may have changed; from any thread."""
        self._changed = True

    def _begin(self) -> None:
        """All is asked for anew where budgets have changed, and where the batch before did not get into the ledger."""
        if self._changed or self._coming is not None or len(self._windows) > MOST_KEPT:
            self._changed = False
            self._windows.clear()
            self._late.clear()
            self._payments.forget()
        self._coming = None

    def _of_late(self) -> list[Alert]:
        """What windows have reached that nobody here has spent in just now."""
        now_ns = time_ns()
        if not self._late or now_ns < self._look_at_ns:
            return []
        self._look_at_ns = now_ns + _LOOK_NS
        self._late = {each: window for each, window in self._late.items() if window.late_ns > now_ns and window.untold}
        for window in self._late.values():
            self._look_elsewhere(window, now_ns)
        return [alert for window in self._late.values() for alert in window.book(0, now_ns // 1000)]

    def _look_elsewhere(self, window: _Window, now_ns: int) -> None:
        """Adds what other hosts have spent in a window of now, as far as this one knows."""
        cell = self._arena.find(window.record.id)
        if cell is not None and window.begin_us * 1000 <= now_ns < window.end_us * 1000:
            levels = Levels(self._arena, [level_at(cell, window.record, shared=True)])
            window.elsewhere = levels.elsewhere(0, now_ns)[1]

    def _window(self, paid: Paid, at_us: int) -> _Window:
        """That of a moment."""
        record = paid.record
        known = self._windows.setdefault(record.id, [])
        for window in reversed(known):
            if window.begin_us <= at_us < window.end_us:
                return window
        anchor, period = self._anchor(paid, at_us), period_of(record)
        begin, end = period.window(anchor, max(at_us * 1000, anchor))
        begin = before = max(begin, anchor)
        if record.rollover and begin > anchor:
            before = max(anchor, period.window(anchor, begin - 1)[0])
        if len(known) >= _MOST_WINDOWS:
            del known[: _MOST_WINDOWS // 2]
        window = _Window(record, paid.payer, before // 1000, min(begin // 1000, at_us), end // 1000)
        if before == begin and anchor // 1000 > self._newest():
            window.untold = list(record.alerts)  # the ledger has nothing of it yet, and nothing rolls over
        known.append(window)
        return window

    def _newest(self) -> int:
        if self._newest_us is None:
            with self._ledger.cursor() as cursor:
                self._newest_us = newest(cursor)
        return self._newest_us

    def _anchor(self, paid: Paid, at_us: int) -> int:
        """When a budget was first used, in Unix nanoseconds; one of a value at ``at_us``, where nobody knows better."""
        cell = self._arena.find(paid.record.id)
        anchor = 0 if cell is None else self._arena.anchor(cell)
        if anchor:
            return anchor
        if not isinstance(paid.payer, str):
            return self._firsts.get(paid.record.id, at_us * 1000)
        with self._ledger.cursor() as cursor:  # the arena was lost
            return first_uses(cursor).get(paid.first, 0)

    def _first_uses(self, rows: Sequence[_Row]) -> dict[str, int]:
        """Of budgets of values in a batch that a lost arena left behind: first requests, here or in the ledger."""
        made: dict[tuple[str, str, str], dict[str, Paid]] = {}
        found: dict[str, int] = {}
        for paid, _, at_us in rows:
            if not isinstance(paid.payer, str):
                key, name, value = paid.payer
                made.setdefault((paid.first, key, name), {})[value] = paid
                found[paid.record.id] = min(at_us * 1000, found.get(paid.record.id, at_us * 1000))
        with self._ledger.cursor(seconds=600) as cursor:
            uses = first_uses(cursor) if made else {}
            for (template, key, name), values in made.items():
                before = first_requests_of(cursor, key, name, list(values), uses.get(template, 0) // 1000)
                for value, at_us in before.items():
                    id_ = values[value].record.id
                    found[id_] = min(found[id_], at_us * 1000)
        return found

    def _load(self, fresh: Sequence[_Window]) -> None:
        """Asks the ledger what it has of windows that are seen for the first time."""
        if not fresh:
            return
        asked = [(window, at) for window in fresh for at in (window.before_us, window.begin_us, window.end_us)]
        with self._ledger.cursor(seconds=600) as cursor:
            amounts = spent(cursor, [(window.payer, at) for window, at in asked])
            resets = reset_since(cursor, [(window.record.id, at) for window, at in asked])
            known = told(cursor, [(window.record.id, window.ends_us) for window in fresh])
        since = [amount - reset for amount, reset in zip(amounts, resets, strict=True)]
        for position, window in enumerate(fresh):
            before, begin, end = since[3 * position : 3 * position + 3]
            window.spent = begin - end
            if window.before_us < window.begin_us:
                window.rolled = max(0, window.record.limit - (before - begin))
            window.untold = [percent for percent in window.record.alerts if percent not in known[position]]
