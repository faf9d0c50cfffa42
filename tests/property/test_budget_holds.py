"""Holds against an independent model: conservation, never above the limit, settle once, windows."""

import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

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

NANO = 1_000_000_000
KINDS = {0: None, 1: 1, 2: 60, 3: 3600, 4: 86_400, 5: 604_800}
NO_LIMIT = 1 << 62
START = 1_790_000_000 * NANO


@dataclass
class ModelCell:
    """A budget as one would keep it on paper: amounts by window number."""

    limit: int
    kind: int
    every: int
    anchor: int = 0
    spent: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)

    @property
    def period(self) -> Period:
        return Period(self.kind, self.every)

    def window(self, now: int) -> int:
        seconds = KINDS[self.kind]
        if seconds is None or not self.anchor:
            return 0
        return int(
            (datetime.fromtimestamp(now / NANO, UTC) - datetime.fromtimestamp(self.anchor / NANO, UTC))
            // timedelta(seconds=seconds * self.every)
        )

    def used(self, now: int) -> int:
        number = self.window(now)
        return self.spent.get(number, 0) + self.held.get(number, 0)


@dataclass
class ModelHold:
    handle: Hold
    amount: int
    places: list[tuple[ModelCell, int]]


class Budgets(RuleBasedStateMachine):
    @initialize(
        shapes=st.lists(
            st.tuples(st.integers(0, 5000), st.sampled_from(sorted(KINDS)), st.integers(1, 3)), min_size=3, max_size=3
        )
    )
    def start(self, shapes: list[tuple[int, int, int]]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.arena = Arena(f"{self.folder.name}/arena.bin", create=True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(self.folder.name, self.owner.slot)
        self.model = [ModelCell(*shape) for shape in shapes]
        self.cells = [self.arena.cell(f"key:k{i}/w/default") for i in range(len(shapes))]
        self.now = START
        self.holds: list[ModelHold] = []
        self.settled: list[int] = []

    def levels(self, which: list[int]) -> Levels:
        return Levels(self.arena, [Level(self.cells[i], self.model[i].limit, self.model[i].period) for i in which])

    @rule(which=st.sets(st.integers(0, 2)).map(sorted), amount=st.integers(0, 3000))
    def take(self, which: list[int], amount: int) -> None:
        got = hold(self.owner, self.journal, self.levels(which), Draft(key="k"), amount, self.now, os.urandom(16))
        short = [place for place, i in enumerate(which) if self.model[i].used(self.now) + amount > self.model[i].limit]
        if short:
            assert got == short[0]
            return
        assert isinstance(got, Hold)
        places = []
        for i in which:
            cell = self.model[i]
            cell.anchor = cell.anchor or self.now
            number = cell.window(self.now)
            cell.held[number] = cell.held.get(number, 0) + amount
            places.append((cell, number))
        self.holds.append(ModelHold(got, amount, places))

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), actual=st.integers(0, 4000))
    def settle(self, data: st.DataObject, actual: int) -> None:
        done = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        assert done.handle.settle(actual, Usage(input=1), SETTLED_EXACT, OUTCOME_OK, 200)
        assert not done.handle.settle(actual, None, SETTLED_EXACT, OUTCOME_OK, 200)
        assert not done.handle.void()
        self.settled.append(actual)
        for cell, number in done.places:
            cell.held[number] -= done.amount
            cell.spent[number] = cell.spent.get(number, 0) + actual

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        done = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        assert done.handle.void()
        assert not done.handle.void()
        assert not done.handle.settle(1, None, SETTLED_EXACT, OUTCOME_OK, 200)
        for cell, number in done.places:
            cell.held[number] -= done.amount

    @rule(which=st.integers(0, 2))
    def begin_anew(self, which: int) -> None:
        cell = self.model[which]
        levels = Levels(self.arena, [Level(self.cells[which], NO_LIMIT, cell.period)])
        taken_off = reset(self.owner, self.journal, levels, Draft(key="k"), self.now, os.urandom(16))
        cell.anchor = cell.anchor or self.now
        assert taken_off == cell.spent.pop(cell.window(self.now), 0)
        if taken_off:
            self.settled.append(-taken_off)

    @rule(seconds=st.sampled_from([0.2, 1, 7, 61, 3601, 90_000, 700_000]))
    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * NANO)

    @invariant()
    def the_arena_says_what_the_paper_says(self) -> None:
        for cell, number in zip(self.model, self.cells, strict=True):
            spent, held, _, resets = self.arena.read_cell(number, cell.period, self.now)
            window = cell.window(self.now)
            assert (spent, held) == (cell.spent.get(window, 0), cell.held.get(window, 0))
            if cell.anchor and KINDS[cell.kind]:
                assert self.now < resets <= self.now + KINDS[cell.kind] * cell.every * NANO
            else:
                assert resets == 0

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


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
