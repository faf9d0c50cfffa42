"""A clock that jumps: windows turn early when it goes forward, and never go back to an older, emptier count."""

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate.budgets.periods import period
from fastgate.wire.snapshot import Window

HOUR = 3600 * 10**9
START = 1_795_000_000 * 10**9
LIMIT = 1000
HOURLY = period(Window.HOUR, 1)
EVENTS = st.lists(st.tuples(st.integers(-5 * HOUR, 5 * HOUR), st.integers(0, 600), st.booleans()), max_size=30)


class Host:
    """One budget of an hour, and a clock that is set at will."""

    def __init__(self, folder: Path) -> None:
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(str(folder), self.owner.slot)
        self.cell = self.arena.cell("key:k/hour/default")
        self.levels = Levels(self.arena, [Level(self.cell, LIMIT, HOURLY)])
        self._count = 0

    def hold(self, amount: int, now_ns: int) -> Hold | int:
        self._count += 1
        return hold(self.owner, self.journal, self.levels, Draft(), amount, now_ns, self._count.to_bytes(16, "big"))

    def spend(self, amount: int, now_ns: int) -> bool:
        taken = self.hold(amount, now_ns)
        if not isinstance(taken, Hold):
            return False
        taken.sent()
        taken.settle(amount, Usage(), SETTLED_EXACT, OUTCOME_OK, 200)
        return True

    def used(self, now_ns: int) -> int:
        spent, held, _, _ = self.arena.read_cell(self.cell, HOURLY, now_ns)
        return spent + held


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_no_window_ever_takes_more_than_its_limit(events: list[tuple[int, int, bool]]) -> None:
    """An independent count: what is admitted belongs to the latest window that anybody has seen, whatever the clock."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        host = Host(Path(folder))
        assert host.spend(0, START)  # hours are counted from here
        latest, admitted = 0, {0: 0}
        for offset, amount, kept in events:
            now = START + offset
            latest = max(latest, offset // HOUR)
            room = LIMIT - admitted.setdefault(latest, 0)
            taken = host.hold(amount, now)
            assert isinstance(taken, Hold) == (amount <= room)
            if isinstance(taken, Hold) and kept:
                taken.settle(amount, Usage(), SETTLED_EXACT, OUTCOME_OK, 200)
                admitted[latest] += amount
            elif isinstance(taken, Hold):
                taken.void()
            assert host.used(START + latest * HOUR) == admitted[latest]
        assert all(amount <= LIMIT for amount in admitted.values())


def test_a_jump_forward_turns_the_window_and_the_way_back_stays_in_it(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.spend(900, START)
    assert not host.spend(200, START + 1)
    assert host.spend(300, START + 3 * HOUR), "a new window"
    assert not host.spend(800, START + 2), "back in the first hour it is still the window of the third"
    assert host.used(START + 3 * HOUR) == 300
    assert host.spend(700, START + 2)
    assert not host.spend(1, START + 3 * HOUR)
    assert host.spend(1000, START + 4 * HOUR), "it is over when the clock gets there"


def test_a_settlement_after_a_jump_belongs_to_the_window_of_its_admission(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.spend(0, START)
    taken = host.hold(400, START)
    assert isinstance(taken, Hold)
    assert host.spend(100, START + 2 * HOUR)
    taken.settle(400, Usage(), SETTLED_EXACT, OUTCOME_OK, 200)
    assert host.used(START + 2 * HOUR) == 100


def test_a_first_use_in_the_future_begins_windows_there(tmp_path: Path) -> None:
    """The clock was wrong when the budget was first used, and is put right: its first window lasts until then."""
    host = Host(tmp_path)
    assert host.spend(600, START + 24 * HOUR)
    assert not host.spend(600, START)
    assert host.spend(400, START + 24 * HOUR + HOUR // 2)
    assert not host.spend(1, START)
    assert host.spend(1000, START + 25 * HOUR)
