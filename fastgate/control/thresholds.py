"""Thresholds of budgets: which of them the requests of a batch reach, told once per window.

What was spent in a window is summed from the ledger when its first request comes, and kept up to date from then on.
So it does not matter what the arena counts meanwhile, how late a batch is drained, or who was killed before.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from fastgate._core.arena import Arena
from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.levels import raised
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import EACH, made_of, said
from fastgate.control.counters import NEVER, owners_of
from fastgate.control.spent import Payer, Value, spent
from fastgate.ledger.alerts import Alert, told
from fastgate.ledger.inserts import Columns
from fastgate.ledger.owners import first_uses, newest
from fastgate.ledger.resets import Reset, reset_since
from fastgate.ledger.store import Ledger
from fastgate.ledger.values import first_requests_of, value_at
from fastgate.wire.snapshot import BudgetRecord

MOST_KEPT: Final = 100_000
"""Budgets, callers, and values of templates; beyond them all are forgotten and asked for again."""
_MOST_WINDOWS: Final = 64
"""Of one budget: requests come late, but not by so many."""

Caller = tuple[str, str, str, str]
"""Customer, team, key and provider of a request."""
OfOwner = Callable[[str], Iterable[BudgetRecord]]
"""The budgets of ``team:platform``; of ``each:ide``: the templates of that key."""


class _Watched(NamedTuple):
    """A budget with thresholds, whose requests are spent in it, and as what the ledger knows its first use."""

    record: BudgetRecord
    payer: Payer
    first: str


_Row = tuple[_Watched, int, int]
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
        self._watched: dict[Caller, tuple[tuple[_Watched, ...], tuple[BudgetRecord, ...]]] = {}
        """What binds all its requests, and the templates of its key."""
        self._made: dict[tuple[str, str], _Watched] = {}
        """By the id of a template, and a value."""
        self._windows: dict[str, list[_Window]] = {}
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
        if self._changed or self._coming is not None or len(self._windows) > MOST_KEPT:
            self._changed = False
            for kept in (self._windows, self._watched, self._made):
                kept.clear()  # also where the batch before did not get into the ledger
        self._coming = []
        costs, moments = columns["cost_nano"], columns["started_us"]
        rows = [
            (watched, costs[position], moments[position])
            for position in range(len(costs))
            if costs[position]
            for watched in self._watched_by(columns, position, of_owner)
        ]
        self._firsts = {} if self._arena.counted else self._first_uses(rows)
        booked = [(self._window(watched, at_us), cost, at_us) for watched, cost, at_us in rows]
        self._load([window for window in {id(each): each for each, _, _ in booked}.values() if window.untold is None])
        self._newest_us = max(self._newest(), *moments, 0)
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

    def _watched_by(self, columns: Columns, position: int, of_owner: OfOwner) -> Iterator[_Watched]:
        """What binds the request in this place: as a caller's, and as one of values of templates."""
        caller: Caller = tuple(columns[name][position] for name in ("customer", "team", "key", "provider"))
        known = self._watched.get(caller)
        if known is None:
            if len(self._watched) >= MOST_KEPT:
                self._watched.clear()
            records = (record for owner in owners_of(*caller) for record in of_owner(owner) if record.alerts)
            written = tuple(_Watched(record, record.owner, record.id) for record in records)
            templates = tuple(record for record in of_owner(f"{EACH}{caller[2]}") if record.alerts)
            known = self._watched[caller] = written, templates
        yield from known[0]
        for template in known[1]:
            key, name, _ = said(template.owner)
            yield self._made_of(template, (key, name, value_at(columns, position, name)))

    def _made_of(self, template: BudgetRecord, value: Value) -> _Watched:
        watched = self._made.get((template.id, value[2]))
        if watched is None:
            watched = self._made[template.id, value[2]] = _Watched(made_of(template, value[2]), value, template.id)
        return watched

    def _window(self, watched: _Watched, at_us: int) -> _Window:
        """That of a moment."""
        record = watched.record
        known = self._windows.setdefault(record.id, [])
        for window in reversed(known):
            if window.begin_us <= at_us < window.end_us:
                return window
        anchor, period = self._anchor(watched, at_us), period_of(record)
        begin, end = period.window(anchor, max(at_us * 1000, anchor))
        begin = before = max(begin, anchor)
        if record.rollover and begin > anchor:
            before = max(anchor, period.window(anchor, begin - 1)[0])
        if len(known) >= _MOST_WINDOWS:
            del known[: _MOST_WINDOWS // 2]
        window = _Window(record, watched.payer, before // 1000, min(begin // 1000, at_us), end // 1000)
        if before == begin and anchor // 1000 > self._newest():
            window.untold = list(record.alerts)  # the ledger has nothing of it yet, and nothing rolls over
        known.append(window)
        return window

    def _newest(self) -> int:
        if self._newest_us is None:
            with self._ledger.cursor() as cursor:
                self._newest_us = newest(cursor)
        return self._newest_us

    def _anchor(self, watched: _Watched, at_us: int) -> int:
        """When a budget was first used, in Unix nanoseconds; one of a value at ``at_us``, where nobody knows better."""
        cell = self._arena.find(watched.record.id)
        anchor = 0 if cell is None else self._arena.anchor(cell)
        if anchor:
            return anchor
        if not isinstance(watched.payer, str):
            return self._firsts.get(watched.record.id, at_us * 1000)
        with self._ledger.cursor() as cursor:  # the arena was lost
            return first_uses(cursor).get(watched.first, 0)

    def _first_uses(self, rows: Sequence[_Row]) -> dict[str, int]:
        """Of budgets of values in a batch that a lost arena left behind: first requests, here or in the ledger."""
        made: dict[tuple[str, str, str], dict[str, _Watched]] = {}
        found: dict[str, int] = {}
        for watched, _, at_us in rows:
            if not isinstance(watched.payer, str):
                key, name, value = watched.payer
                made.setdefault((watched.first, key, name), {})[value] = watched
                found[watched.record.id] = min(at_us * 1000, found.get(watched.record.id, at_us * 1000))
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
