"""What windows spend, each and together, whatever turns, rolls over and grows late: the promise in plain numbers.

The paper knows when a request was admitted and what it holds or cost, and nothing of how a window turns.
"""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate._core.windows import Period

NANO = 1_000_000_000
SECOND = 1
START = 1_790_000_000 * NANO
LIMIT = 1000


@dataclass
class Admitted:
    """A hold, and the second after the first use in which it was taken."""

    handle: Hold
    window: int
    amount: int


class Seconds(RuleBasedStateMachine):
    """One budget for a second."""

    @initialize(rolls=st.booleans())
    def start(self, rolls: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.arena = Arena(f"{self.folder.name}/arena.bin", create=True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(self.folder.name, self.owner.slot)
        self.rolls = rolls
        self.levels = Levels(self.arena, [Level(self.arena.cell("k"), LIMIT, Period(SECOND), rolls=rolls)])
        self.now = START
        self.first = 0
        self.open: list[Admitted] = []
        self.paper: Counter[int] = Counter()

    def window(self) -> int:
        self.first = self.first or self.now
        return (self.now - self.first) // NANO

    @rule(amount=st.integers(1, 3 * LIMIT))
    def take(self, amount: int) -> None:
        got = hold(self.owner, self.journal, self.levels, Draft(key="k"), amount, self.now, os.urandom(16))
        if isinstance(got, Hold):
            self.open.append(Admitted(got, self.window(), amount))
            self.paper[self.window()] += amount

    @precondition(lambda self: self.open)
    @rule(data=st.data(), more=st.integers(1, LIMIT))
    def grow(self, data: st.DataObject, more: int) -> None:
        growing = data.draw(st.sampled_from(self.open))
        if growing.handle.grow(more, 0) is None:
            growing.amount += more
            self.paper[growing.window] += more

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.sampled_from([0.0, 0.3, 1.0]))
    def settle(self, data: st.DataObject, share: float) -> None:
        done = data.draw(st.sampled_from(self.open))
        self.open.remove(done)
        cost = int(done.amount * share)
        assert done.handle.settle(cost, Usage(input=1), SETTLED_EXACT, OUTCOME_OK, 200)
        self.paper[done.window] += cost - done.amount

    @rule(seconds=st.sampled_from([0.4, 1, 2]))
    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * NANO)

    @invariant()
    def no_window_is_above_what_it_may_spend(self) -> None:
        """Where nothing rolls over each has its limit; else all together have what there were of limits."""
        if not self.rolls:
            assert max(self.paper.values(), default=0) <= LIMIT
        for last in self.paper:
            assert sum(spent for window, spent in self.paper.items() if window <= last) <= (last + 1) * LIMIT

    def teardown(self) -> None:
        self.open.clear()
        self.folder.cleanup()


TestSeconds = Seconds.TestCase
TestSeconds.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
