"""What it takes to hold four budgets and settle them, as a ratio to the same sums on Python objects in the same run.

The reference is what a gateway of one process that may forget everything would do: no shared memory, no other process
to agree with, nothing that survives a crash.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.turns import Compare, Operation
from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal, segments_of
from fastgate._core.levels import OPEN, REQUESTS, TOKENS, Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate._core.windows import Period

OWNERS: Final = ("provider:k/p", "key:k", "team:t", "customer:c")
LIMIT: Final = 10**15
MONTH: Final = Period(6)
AMOUNT, COST = 1000, 700
BATCH: Final = 500
"""Fits into the segment that ``prepare`` keeps ready, whatever was written before."""

USAGE: Final = Usage(input=250, output=12)
REQUEST: Final = os.urandom(16)


class Counter:
    """A budget as a Python object."""

    def __init__(self) -> None:
        self.spent = self.held = self.window = 0


class InPython:
    """The reference: the same sums over so many objects of this process."""

    def __init__(self, count: int = len(OWNERS)) -> None:
        self.counters = [Counter() for _ in range(count)]
        self.log: list[tuple[object, ...]] = []

    def hold(self, amount: int, now_ns: int) -> bool:
        window = now_ns // (30 * 86_400 * 10**9)
        for counter in self.counters:
            if counter.window != window:
                counter.window, counter.spent = window, 0
            if counter.spent + counter.held + amount > LIMIT:
                return False
        for counter in self.counters:
            counter.held += amount
        return True

    def settle(self, amount: int, cost: int, now_ns: int) -> None:
        for counter in self.counters:
            counter.held -= amount
            counter.spent += cost
        self.log.append((REQUEST, "k", "t", "c", "p", "m", now_ns, cost, USAGE, 200, "ok"))

    def pairs(self) -> None:
        now_ns = time.time_ns()
        for _ in range(BATCH):
            if self.hold(AMOUNT, now_ns):
                self.settle(AMOUNT, COST, now_ns)
        self.log.clear()


class Budgets:
    """Four levels in an arena, and three limits if they are asked for, with an owner and its journal."""

    def __init__(self, folder: Path) -> None:
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(str(folder), self.owner.slot)
        cells = [self.arena.cell(f"{owner}/month/default") for owner in OWNERS]
        rules = [Level(cell, LIMIT, MONTH) for cell in cells]
        limits = [Level(self.arena.cell(f"key:k/{unit}"), LIMIT, MONTH, unit) for unit in (REQUESTS, TOKENS, OPEN)]
        self.levels = Levels(self.arena, rules)
        self.limited = Levels(self.arena, [*limits, *rules])
        self.draft = Draft(key="k", team="t", customer="c", provider="p", model="m", dialect="openai-chat")

    def take(self, levels: Levels, now_ns: int) -> Hold:
        held = hold(self.owner, self.journal, levels, self.draft, AMOUNT, now_ns, REQUEST, output_tokens=1)
        assert isinstance(held, Hold)
        return held

    def pairs(self, levels: Levels) -> None:
        now_ns = time.time_ns()
        for _ in range(BATCH):
            self.take(levels, now_ns).settle(COST, USAGE, SETTLED_EXACT, OUTCOME_OK, 200)

    def refusals(self) -> None:
        now_ns = time.time_ns()
        for _ in range(BATCH):
            assert hold(self.owner, self.journal, self.levels, self.draft, LIMIT + 1, now_ns, REQUEST) == 0

    def growth(self) -> None:
        """One stream's top-ups."""
        held = self.take(self.levels, time.time_ns())
        for _ in range(BATCH):
            assert held.grow(AMOUNT, 1) is None
        held.void()


@pytest.fixture
def budgets(tmp_path: Path) -> Iterator[Budgets]:
    made = Budgets(tmp_path)
    yield made
    made.journal.close()
    made.owner.release()


@pytest.mark.parametrize("ours", ["pairs", "pairs with limits", "refusals", "growth"])
def test_levels(compare: Compare, budgets: Budgets, ours: str) -> None:
    """A hold and its settlement, journal event included; refusals; the top-ups of a stream."""
    operations: dict[str, Operation] = {
        "pairs": partial(budgets.pairs, budgets.levels),
        "pairs with limits": partial(budgets.pairs, budgets.limited),
        "refusals": budgets.refusals,
        "growth": budgets.growth,
    }
    reference = InPython(len(budgets.limited if ours == "pairs with limits" else budgets.levels))
    compare(f"budget: {ours}", operations[ours], reference.pairs, number=1, before=budgets.journal.prepare)


def beside(folder: Path, ready: Any, done: Any) -> None:
    """The other process: pairs on the same cells until it is told to end, which does not take long."""
    budgets = Budgets(folder)
    ends = time.monotonic() + 60
    ready.set()
    while not done.is_set() and time.monotonic() < ends:
        budgets.journal.prepare()
        budgets.pairs(budgets.levels)
        drained(folder, budgets)
    budgets.journal.close()
    budgets.owner.release()


def drained(folder: Path, budgets: Budgets) -> None:
    """Nobody reads these journals, and they need not fill the disk."""
    for path in segments_of(str(folder), budgets.owner.slot)[:-1]:
        Path(path).unlink()


@pytest.fixture
def other(budgets: Budgets, tmp_path: Path) -> Iterator[None]:
    """Another process at work on the same four cells."""
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=beside, args=(tmp_path, ready, done))
    process.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        done.set()
        process.join()


@pytest.mark.usefixtures("other")
def test_levels_beside_another_process(compare: Compare, budgets: Budgets) -> None:
    """Only rounds count during which that one was at work, too."""
    cell = budgets.arena.cell(f"{OWNERS[0]}/month/default")
    before = 0

    def spent() -> int:
        return budgets.arena.read_cell(cell, MONTH, time.time_ns())[0] // COST

    def begin() -> None:
        nonlocal before
        budgets.journal.prepare()
        before = spent()

    compare(
        "budget: pairs beside another process",
        partial(budgets.pairs, budgets.levels),
        InPython().pairs,
        number=1,
        before=begin,
        counts=lambda: spent() - before > 1.5 * BATCH,
        slowdown=10,  # two processes on one core are never in each other's way
    )


def test_every_pair_was_counted(budgets: Budgets) -> None:
    budgets.pairs(budgets.levels)
    for owner in OWNERS:
        cell = budgets.arena.cell(f"{owner}/month/default")
        assert budgets.arena.read_cell(cell, MONTH, time.time_ns())[:3] == (BATCH * COST, 0, 0)
