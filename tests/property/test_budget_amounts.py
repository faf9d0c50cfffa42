"""Amounts at the ends of 64 bits: what is full stays full, whatever is booked after it."""

import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate._core.arena import Arena, ArenaError
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.windows import Period

MOST = 2**63 - 1
LIMIT = 10**10
HELD = 1000


@given(st.lists(st.one_of(st.integers(0, 10**6), st.integers(MOST - 10, MOST), st.integers(0, MOST)), max_size=8))
def test_a_budget_never_opens_again(amounts: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(f"{folder}/arena.bin", True)
        owner, journal = Owner(arena, WORKER, 1), Journal(folder, 0)
        levels = Levels(arena, [Level(arena.cell("key:a/lifetime/default"), LIMIT, Period(0))])
        now = time.time_ns()

        def take(number: int) -> Hold | int:
            return hold(owner, journal, levels, Draft(key="a"), HELD, now, number.to_bytes(16, "big"))

        holds = [take(number) for number in range(len(amounts))]
        spent = overrun = 0
        for held, amount in zip(holds, amounts, strict=True):
            assert isinstance(held, Hold)
            assert held.settle(amount, None, SETTLED_EXACT, OUTCOME_OK, 200)
            spent, overrun = min(spent + amount, MOST), min(overrun + max(0, amount - HELD), MOST)
            assert arena.read_cell(arena.cell("key:a/lifetime/default"), Period(0), now)[::2] == (spent, overrun)
        assert isinstance(take(99), Hold) == (spent + HELD <= LIMIT)
        journal.close()


def fill(arena: Arena) -> None:
    for number in range(10_000):
        arena.cell(f"cell-{number}")


def test_growth_that_fails_loses_no_chunk(tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    arena.cell("first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = arena.statistics()
    resource.setrlimit(resource.RLIMIT_FSIZE, (before["bytes"], hard))
    try:
        with pytest.raises(ArenaError, match="cannot grow"):
            fill(arena)
        for _ in range(50):
            with pytest.raises(ArenaError):
                arena.cell("one more")
        assert arena.statistics()["chunks"] == before["chunks"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    arena.cell("one more")
    assert arena.statistics()["chunks"] == before["chunks"] + 1
