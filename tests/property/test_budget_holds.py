"""Holds against an independent model: conservation, never above the limit, settle once, windows of every kind.

The model keeps books as one would on paper: amounts by the second in which a window ends, limits from what was
written and from what the window before left. It computes windows and limits by itself; of the arena it asks nothing.
"""

import math
import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold, reset
from fastgate._core.journal import Draft, Journal, SegmentReader, segments_of
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate._core.windows import Period
from fastgate.budgets.periods import period

NANO = 1_000_000_000
LIFETIME, SECOND, MINUTE, HOUR, DAY, WEEK = range(6)
LENGTHS = {SECOND: 1, MINUTE: 60, HOUR: 3600, DAY: 86_400, WEEK: 604_800}
ZONES = ("", "UTC", "Europe/Paris", "Asia/Kolkata")
PERCENTS = (50, 80, 100)
NO_LIMIT = 1 << 62
START = 1_790_000_000 * NANO + 250_000_000


def second_of(at_ns: float) -> float:
    return at_ns if math.isinf(at_ns) else at_ns // NANO


def civil_window(kind: int, zone: ZoneInfo, now: int) -> tuple[int, int]:
    """Begin and end of a calendar's single second, minute, hour, day or week, in Unix nanoseconds."""
    local = datetime.fromtimestamp(now // NANO, zone)
    if kind in (DAY, WEEK):
        day = local.date() - timedelta(local.weekday() if kind == WEEK else 0)
        days = (day, day + timedelta(7 if kind == WEEK else 1))
        begin, end = (int(datetime(each.year, each.month, each.day, tzinfo=zone).timestamp()) for each in days)
    else:
        into = {SECOND: 0, MINUTE: local.second, HOUR: local.minute * 60 + local.second}[kind]
        begin = now // NANO - into
        end = begin + LENGTHS[kind]
    return begin * NANO, end * NANO


@dataclass
class ModelCell:
    """A budget as one would keep it on paper: amounts by the second with which the window ends."""

    limit: int
    kind: int
    zone: str
    rolls: bool
    soft: bool
    increases: tuple[tuple[int, int], ...] = ()
    anchor: int = 0
    opened: list[float] = field(default_factory=list)
    spent: dict[float, int] = field(default_factory=dict)
    held: dict[float, int] = field(default_factory=dict)
    told: dict[float, int] = field(default_factory=dict)

    @property
    def period(self) -> Period:
        return period(self.kind, 1, self.zone)

    def level(self, cell: int) -> Level:
        return Level(cell, self.limit, self.period, soft=self.soft, rolls=self.rolls, increases=self.increases)

    def cut(self, now: int) -> tuple[float, float]:
        """Begin and end of the window by what is written now, in nanoseconds."""
        if self.kind == LIFETIME:
            return -math.inf, math.inf
        if self.zone:
            return civil_window(self.kind, ZoneInfo(self.zone), now)
        anchor, length = self.anchor or now, timedelta(seconds=LENGTHS[self.kind])
        since = timedelta(microseconds=(now - anchor) // 1000)
        begin = anchor + int(since // length * length.total_seconds()) * NANO
        return begin, begin + LENGTHS[self.kind] * NANO

    def window(self, now: int) -> float:
        """The one that counts: a window that was opened runs to its end, whatever was written since."""
        if self.opened and self.opened[-1] > now // NANO:
            return self.opened[-1]
        return second_of(self.cut(now)[1])

    def used(self, window: float) -> int:
        return self.spent.get(window, 0) + self.held.get(window, 0)

    def raised(self, now: int) -> int:
        return self.limit + sum(amount for until, amount in self.increases if now < until)

    def rolled(self, now: int, window: float) -> int:
        """What the window before left of the limit as it is written now."""
        before = [each for each in self.opened if each < window]
        if not self.rolls or not before:
            return 0
        begin, end = self.cut(now)
        if before[-1] < second_of(begin) and window == second_of(end):
            return self.limit  # nothing was used in it
        return max(0, self.limit - self.used(before[-1]))

    def in_force(self, now: int) -> int:
        return self.raised(now) + self.rolled(now, self.window(now))

    def open(self, now: int) -> float:
        """As a hold does."""
        window = self.window(now)
        self.anchor = self.anchor or now
        if not self.opened or self.opened[-1] != window:
            self.opened.append(window)
        return window


@dataclass
class Place:
    """Where a hold counts, and what was written of the limit when it was taken."""

    cell: ModelCell
    window: float
    limit: int
    own: int
    rolls: bool
    soft: bool
    begin: float

    def grows(self, more: int) -> bool:
        """In a window that has turned since, by the limit alone, and not at all once what it left has rolled over.

        In one that is long gone not at all.
        """
        opened = self.cell.opened
        if self.soft:
            return True
        if self.window not in opened[-2:] or (self.rolls and self.window != opened[-1]):
            return False
        limit = self.limit
        at = opened.index(self.window)
        if self.rolls and at:
            unused = opened[at - 1] < second_of(self.begin)
            limit += self.own if unused else max(0, self.own - self.cell.used(opened[at - 1]))
        return self.cell.used(self.window) + more <= limit


@dataclass
class ModelHold:
    handle: Hold
    amount: int
    places: list[Place]


SHAPES = st.builds(
    ModelCell,
    limit=st.integers(0, 5000),
    kind=st.sampled_from([LIFETIME, *LENGTHS]),
    zone=st.sampled_from(ZONES),
    rolls=st.booleans(),
    soft=st.sampled_from([False, False, True]),
)


class Budgets(RuleBasedStateMachine):
    @initialize(shapes=st.lists(SHAPES, min_size=3, max_size=3))
    def start(self, shapes: list[ModelCell]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.arena = Arena(f"{self.folder.name}/arena.bin", create=True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(self.folder.name, self.owner.slot)
        self.model = [ModelCell(each.limit, each.kind, each.zone, each.rolls, each.soft) for each in shapes]
        self.cells = [self.arena.cell(f"key:k{i}/w/default") for i in range(len(shapes))]
        self.now = START
        self.holds: list[ModelHold] = []
        self.settled: list[int] = []

    def levels(self, which: list[int]) -> Levels:
        return Levels(self.arena, [self.model[i].level(self.cells[i]) for i in which])

    @rule(which=st.sets(st.integers(0, 2)).map(sorted), amount=st.integers(0, 3000))
    def take(self, which: list[int], amount: int) -> None:
        got = hold(self.owner, self.journal, self.levels(which), Draft(key="k"), amount, self.now, os.urandom(16))
        cells = [self.model[i] for i in which]
        short = [
            place
            for place, cell in enumerate(cells)
            if not cell.soft and cell.used(cell.window(self.now)) + amount > cell.in_force(self.now)
        ]
        if short:
            assert got == short[0]
            return
        assert isinstance(got, Hold)
        places = []
        for cell in cells:
            window = cell.open(self.now)
            begin, end = cell.cut(self.now)
            cell.held[window] = cell.held.get(window, 0) + amount
            begin = begin if window == second_of(end) else -math.inf  # of a cutting that is not written any more
            places.append(Place(cell, window, cell.raised(self.now), cell.limit, cell.rolls, cell.soft, begin))
        self.holds.append(ModelHold(got, amount, places))

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), more=st.integers(0, 2000))
    def grow(self, data: st.DataObject, more: int) -> None:
        """All levels or none, in the windows in which the hold was taken."""
        growing = self.holds[data.draw(st.integers(0, len(self.holds) - 1))]
        short = [i for i, place in enumerate(growing.places) if more and not place.grows(more)]
        assert growing.handle.grow(more, 0) == (short[0] if short else None)
        if not short:
            growing.amount += more
            for place in growing.places:
                place.cell.held[place.window] += more

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), actual=st.integers(0, 4000))
    def settle(self, data: st.DataObject, actual: int) -> None:
        """However late, it lands in the window of its admission."""
        done = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        assert done.handle.settle(actual, Usage(input=1), SETTLED_EXACT, OUTCOME_OK, 200)
        assert not done.handle.settle(actual, None, SETTLED_EXACT, OUTCOME_OK, 200)
        assert not done.handle.void()
        self.settled.append(actual)
        for place in done.places:
            place.cell.held[place.window] -= done.amount
            place.cell.spent[place.window] = place.cell.spent.get(place.window, 0) + actual

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        done = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        assert done.handle.void()
        assert not done.handle.void()
        assert not done.handle.settle(1, None, SETTLED_EXACT, OUTCOME_OK, 200)
        for place in done.places:
            place.cell.held[place.window] -= done.amount

    @rule(which=st.integers(0, 2))
    def begin_anew(self, which: int) -> None:
        cell = self.model[which]
        levels = Levels(self.arena, [Level(self.cells[which], NO_LIMIT, cell.period)])
        taken_off = reset(self.owner, self.journal, levels, Draft(key="k"), self.now, os.urandom(16))
        assert taken_off == cell.spent.pop(cell.open(self.now), 0)
        if taken_off:
            self.settled.append(-taken_off)

    @rule(which=st.integers(0, 2), limit=st.integers(0, 5000), rolls=st.booleans(), soft=st.booleans())
    def edit(self, which: int, limit: int, rolls: bool, soft: bool) -> None:
        cell = self.model[which]
        cell.limit, cell.rolls, cell.soft = limit, rolls, soft

    @rule(which=st.integers(0, 2), zone=st.sampled_from(ZONES))
    def cut_anew(self, which: int, zone: str) -> None:
        """An edit of calendar or time zone neither loses what was used nor gives it back."""
        cell = self.model[which]
        before = cell.used(cell.window(self.now)) if cell.opened and cell.opened[-1] > self.now // NANO else None
        cell.zone = zone
        assert before in (None, cell.used(cell.window(self.now)))

    @rule(which=st.integers(0, 2), seconds=st.sampled_from([1, 30, 4000, 100_000]), amount=st.integers(0, 3000))
    def increase(self, which: int, seconds: int, amount: int) -> None:
        self.model[which].increases += ((self.now + seconds * NANO, amount),)

    @rule(which=st.integers(0, 2))
    def tell(self, which: int) -> None:
        """Thresholds are told once per window."""
        cell = self.model[which]
        window, limit = cell.window(self.now), cell.in_force(self.now)
        last = cell.told.get(window, 0)
        expected = tuple(p for p in PERCENTS if cell.spent.get(window, 0) * 100 >= p * limit and p > last)
        assert self.levels([which]).tell(0, PERCENTS, self.now) == expected
        assert self.levels([which]).tell(0, PERCENTS, self.now) == ()
        if expected:
            cell.told[window] = expected[-1]

    @rule(seconds=st.sampled_from([0.2, 1, 7, 61, 3601, 90_000, 700_000]))
    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * NANO)

    @invariant()
    def the_arena_says_what_the_paper_says(self) -> None:
        for i, (cell, number) in enumerate(zip(self.model, self.cells, strict=True)):
            spent, held, _, resets = self.arena.read_cell(number, cell.period, self.now)
            window = cell.window(self.now)
            assert (spent, held) == (cell.spent.get(window, 0), max(0, cell.held.get(window, 0)))
            limit, used, again = self.levels([i]).standing(0, self.now)
            assert limit == cell.in_force(self.now)
            assert used == cell.used(window)
            _, end = cell.cut(self.now)
            if window == math.inf or not (cell.anchor or cell.zone):
                assert resets == 0
            else:
                assert resets == (end if window == second_of(end) else window * NANO)
                assert resets == again
                assert resets > self.now // NANO * NANO

    @invariant()
    def windows_only_ever_follow(self) -> None:
        for cell in self.model:
            assert all(earlier < later for earlier, later in pairwise(cell.opened))

    @invariant()
    def every_settlement_is_in_the_journal_once(self) -> None:
        costs: list[int] = []
        for path in segments_of(self.folder.name):
            batch = SegmentReader(path).read(0, 100_000)
            costs += batch["cost_nano"] if batch else []
        assert costs == self.settled
        assert self.owner.open_holds == len(self.holds)

    def teardown(self) -> None:
        self.holds.clear()
        self.folder.cleanup()


def test_the_model_knows_a_day_of_paris() -> None:
    begin, end = civil_window(
        DAY, ZoneInfo("Europe/Paris"), int(datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp()) * NANO
    )
    assert end - begin == 23 * 3600 * NANO


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
