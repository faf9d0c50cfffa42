"""Templates against a model on paper: two workers on one arena, any users, any order, windows that turn."""

import os
import tempfile
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate.budgets.levels import rules_of
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import made_of
from fastgate.gateway.attribution import Attributes
from fastgate.gateway.binding import Binding
from fastgate.gateway.templates import Templates
from fastgate.wire.snapshot import BudgetRecord, Counted, LimitRecord, Window

NANO = 1_000_000_000
START = 1_790_000_000 * NANO
HOUR = 3600 * NANO
USER = BudgetRecord(1000, Window.HOUR, 1, "user", "user:ide/*", "user:ide/*/hour/default")
TAG = BudgetRecord(2500, Window.LIFETIME, 1, "tag", "tag:ide/p=*", "tag:ide/p=*/lifetime/default")
LIMIT = LimitRecord(5, Counted.REQUESTS, Window.HOUR, 1, "user", "user:ide/*", "user:ide/*/limit/requests/hour")
KEY = BudgetRecord(20_000, Window.LIFETIME, 1, "key", "key:ide", "key:ide/lifetime/default")

REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["", "ann", "bob", "-", "a/b", "x" * 128]),
        st.sampled_from(["", "apollo", "zeus"]),
        st.integers(0, 600),
        st.integers(0, 600),
        st.integers(0, HOUR // 2),
    ),
    max_size=60,
)


class Worker:
    """As each request finds its leg: templates are bound, then everything is held."""

    def __init__(self, folder: str) -> None:
        self.arena = Arena(os.path.join(folder, "arena.bin"), True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(folder, self.owner.slot, segment_bytes=1 << 20)
        base = Binding.of(self.arena, rules_of(self.arena, (KEY,)))
        self.templates = Templates(self.arena, base, {"user": (USER, LIMIT), "tag:p": (TAG,)}, {})
        self.bound: dict[tuple[str, ...], Levels] = {}

    def ask(self, said: Attributes, held: int, cost: int, now: int) -> int | None:
        """None: it was served; else the number of the level that has no room."""
        values = self.templates.values(said)
        if values not in self.bound:
            self.bound[values] = self.templates.bound(values, now).levels
        taken = hold(self.owner, self.journal, self.bound[values], Draft(key="ide"), held, now, bytes(16))
        if not isinstance(taken, Hold):
            return taken
        taken.settle(cost, Usage(), SETTLED_EXACT, OUTCOME_OK, 200)
        return None


class Paper:
    """What was spent, by budget and window."""

    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        self.spent: dict[tuple[str, int], int] = defaultdict(int)

    def ask(self, user: str, tag: str, held: int, cost: int, now: int) -> int | None:
        places = [("limit " + user, 1, 5), ("key", 0, 20_000), (f"user {user}", 1, 1000), (f"tag {tag}", 0, 2500)]
        windows = [(name, (now - self.first.get(name, now)) // HOUR * by_hour) for name, by_hour, _ in places]
        for number, (place, (_, _, limit)) in enumerate(zip(windows, places, strict=True)):
            if self.spent[place] + (held if number else 1) > limit:
                return number
        for number, (name, window) in enumerate(windows):
            self.first.setdefault(name, now)
            self.spent[name, window] += cost if number else 1
        return None


@settings(max_examples=150, deadline=None)
@given(REQUESTS)
def test_every_request_ends_as_on_paper(requests: list[tuple[int, str, str, int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workers, paper, now = [Worker(folder), Worker(folder)], Paper(), START
        for worker, user, tag, held, cost, later in requests:
            now += later
            said = Attributes(user=user, tags=(("p", tag),) if tag else ())
            assert workers[worker].ask(said, held, cost, now) == paper.ask(user, tag, held, cost, now)
        arena = workers[0].arena
        for name, first in paper.first.items():
            level, _, value = name.partition(" ")
            record = KEY if level == "key" else made_of({"user": USER, "tag": TAG, "limit": LIMIT}[level], value)
            cell = arena.find(record.id)
            assert cell is not None
            window = (now - first) // HOUR if level in ("user", "limit") else 0
            settled, held, *_ = arena.read_cell(cell, period_of(record), now)
            assert settled + held == paper.spent[name, window]  # of limits the arena has the sum alone
        made = sum(name.startswith("user ") for name in {name for name, _ in paper.spent})
        if requests:
            for template in (USER, LIMIT):
                counting = arena.find(template.id)
                assert counting is not None
                assert arena.members(counting) == made
