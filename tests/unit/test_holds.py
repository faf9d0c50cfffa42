"""A hold ends itself when nobody has it any more, whatever way it was lost."""

import gc
import time
from pathlib import Path
from typing import Any

import pytest

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal, SegmentReader, segments_of
from fastgate._core.levels import REQUESTS, Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.windows import Period


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_a_hold_that_is_dropped_ends_itself(tmp_path: Path, *, in_a_cycle: bool, sent: bool) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), create=True)
    owner, journal = Owner(arena, WORKER, 1), Journal(str(tmp_path), 0)
    levels = Levels(arena, [Level(arena.cell("a"), 5, Period(0)), Level(arena.cell("b"), 5, Period(0), REQUESTS)])
    now = time.time_ns()
    taken = hold(owner, journal, levels, Draft(key="a"), 3, now, bytes(16))
    assert isinstance(taken, Hold)
    if sent:
        taken.sent()
    keeper: dict[str, Any] = {"hold": taken}
    if in_a_cycle:  # as an exception has its frame, and the frame the exception
        keeper["itself"] = keeper
    del taken, keeper
    gc.collect()
    assert owner.open_holds == 0
    assert [levels.standing(level, now)[1] for level in range(2)] == ([3, 1] if sent else [0, 0])
    journal.close()
    rows = [batch["cost_nano"] for path in segments_of(str(tmp_path)) if (batch := SegmentReader(path).read(0, 9))]
    assert [cost for costs in rows for cost in costs] == ([3] if sent else [])


def test_no_request_counts_before_the_first_use_of_what_it_counts_in(tmp_path: Path) -> None:
    """Another process may be first although its request came later; a rebuild by the ledger begins at the first use."""
    arena = Arena(str(tmp_path / "arena.bin"), create=True)
    owner = Owner(arena, WORKER)
    journal = Journal(str(tmp_path), owner.slot)
    cell = arena.cell("key:k/lifetime/default")
    levels = Levels(arena, [Level(cell, 1000, Period(0))])
    first = 1_790_000_000_000_000_000
    for at in (first, first - 5_000_000):
        taken = hold(owner, journal, levels, Draft(key="k"), 10, at, bytes(16))
        assert isinstance(taken, Hold)
        taken.settle(10, None, SETTLED_EXACT, OUTCOME_OK, 200)
    assert arena.anchor(cell) == first
    [path] = segments_of(str(tmp_path))
    events = SegmentReader(path).read(0, 10)
    assert events is not None
    assert list(events["started_us"]) == [first // 1000] * 2
