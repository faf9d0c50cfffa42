"""What it takes to hold four budgets and settle them, as a ratio to the same sums on Python objects in the same run.

The reference is what a gateway of one process that may forget everything would do: no shared memory, no other process
to agree with, nothing that survives a crash. Measured on 2026-11-26 (2-core AMD EPYC VM, Python 3.11.7, busy): 668 ns
against its 693 for a hold and its settlement, journal event included; 188 ns for a refusal.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal, segments_of
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate._core.windows import Period

OWNERS: Final = ("provider:k/p", "key:k", "team:t", "customer:c")
LIMIT: Final = 10**15
MONTH: Final = Period(6)
AMOUNT, COST = 1000, 700
BATCH: Final = 500
"""Fits into the segment that ``prepare`` keeps ready, whatever was written before."""
ROUNDS: Final = 40
PAIR_GATE: Final = 1.2
REFUSAL_GATE: Final = 0.5
ALONE_NS: Final = 1000
BESIDE_NS: Final = 3000
"""What a hold and its settlement may take, called from Python; the second: with another process on the same cells."""

USAGE: Final = Usage(input=250, output=12)
REQUEST: Final = os.urandom(16)


class Counter:
    """A budget as a Python object."""

    def __init__(self) -> None:
        self.spent = self.held = self.window = 0


class InPython:
    """The reference: the same sums over objects of this process."""

    def __init__(self) -> None:
        self.counters = [Counter() for _ in OWNERS]
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


class Budgets:
    """Four levels in an arena, with an owner and its journal."""

    def __init__(self, folder: Path) -> None:
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(str(folder), self.owner.slot)
        cells = [self.arena.cell(f"{owner}/month/default") for owner in OWNERS]
        self.levels = Levels(self.arena, [Level(cell, LIMIT, MONTH) for cell in cells])
        self.draft = Draft(key="k", team="t", customer="c", provider="p", model="m", dialect="openai-chat")

    def pair(self, now_ns: int) -> None:
        held = hold(self.owner, self.journal, self.levels, self.draft, AMOUNT, now_ns, REQUEST)
        assert isinstance(held, Hold)
        held.settle(COST, USAGE, SETTLED_EXACT, OUTCOME_OK, 200)

    def refusal(self, now_ns: int) -> None:
        refused = hold(self.owner, self.journal, self.levels, self.draft, LIMIT + 1, now_ns, REQUEST)
        assert refused == 0


@pytest.fixture
def budgets(tmp_path: Path) -> Iterator[Budgets]:
    made = Budgets(tmp_path)
    yield made
    made.journal.close()
    made.owner.release()


def in_turns(budgets: Budgets, ours: str) -> tuple[float, float]:
    """Seconds of one operation, ours and the reference's: the fastest of many short runs that take turns."""
    reference = InPython()
    operation, best, best_reference = getattr(budgets, ours), float("inf"), float("inf")
    for _ in range(ROUNDS):
        now_ns = time.time_ns()
        budgets.journal.prepare()
        began = time.perf_counter()
        for _ in range(BATCH):
            operation(now_ns)
        middle = time.perf_counter()
        for _ in range(BATCH):
            if reference.hold(AMOUNT, now_ns):
                reference.settle(AMOUNT, COST, now_ns)
        best = min(best, middle - began)
        best_reference = min(best_reference, time.perf_counter() - middle)
    return best / BATCH, best_reference / BATCH


@pytest.mark.parametrize(("ours", "gate"), [("pair", PAIR_GATE), ("refusal", REFUSAL_GATE)], ids=["pair", "refusal"])
def test_four_levels(benchmark: BenchmarkFixture, budgets: Budgets, ours: str, gate: float) -> None:
    operation, now_ns = getattr(budgets, ours), time.time_ns()

    def batch() -> None:
        for _ in range(BATCH):
            operation(now_ns)

    benchmark.pedantic(batch, setup=budgets.journal.prepare, rounds=ROUNDS)  # type: ignore[no-untyped-call]

    seconds, reference = in_turns(budgets, ours)
    benchmark.extra_info.update(ns=round(seconds * 1e9), reference_ns=round(reference * 1e9))
    benchmark.extra_info["ratio"] = round(seconds / reference, 3)
    assert seconds / reference < gate
    if ours == "pair":
        assert seconds * 1e9 <= ALONE_NS


def beside(folder: Path, ready: Any, done: Any) -> None:
    """The other process: pairs on the same cells until it is told to end, which does not take long."""
    budgets = Budgets(folder)
    ends = time.monotonic() + 20
    ready.set()
    while not done.is_set() and time.monotonic() < ends:
        budgets.journal.prepare()
        now_ns = time.time_ns()
        for _ in range(BATCH):
            budgets.pair(now_ns)
        drained(folder, budgets)
    budgets.journal.close()
    budgets.owner.release()


def drained(folder: Path, budgets: Budgets) -> None:
    """Nobody reads these journals, and they need not fill the disk."""
    for path in segments_of(str(folder), budgets.owner.slot)[:-1]:
        Path(path).unlink()


def test_four_levels_beside_another_process(budgets: Budgets, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """CPU time, the median of the batches during which the other process was at work: both on the same four cells."""
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=beside, args=(tmp_path, ready, done))
    other.start()
    cell = budgets.arena.cell(f"{OWNERS[0]}/month/default")
    contended: list[float] = []

    def pairs_ever() -> int:
        return budgets.arena.read_cell(cell, MONTH, time.time_ns())[0] // COST

    def batches() -> None:
        ends = time.monotonic() + 10
        while len(contended) < ROUNDS and time.monotonic() < ends:
            budgets.journal.prepare()
            now_ns, before, began = time.time_ns(), pairs_ever(), time.thread_time()
            for _ in range(BATCH):
                budgets.pair(now_ns)
            took = time.thread_time() - began
            if pairs_ever() - before > 1.5 * BATCH:
                contended.append(took / BATCH)

    try:
        assert ready.wait(20)
        benchmark.pedantic(batches, rounds=1)  # type: ignore[no-untyped-call]
    finally:
        done.set()
        other.join()
    assert len(contended) >= ROUNDS, "the other process hardly ran"
    nanoseconds = sorted(contended)[ROUNDS // 2] * 1e9
    benchmark.extra_info["ns"] = round(nanoseconds)
    assert nanoseconds <= BESIDE_NS


def test_every_pair_was_counted(budgets: Budgets) -> None:
    for _ in range(BATCH):
        budgets.pair(time.time_ns())
    for owner in OWNERS:
        cell = budgets.arena.cell(f"{owner}/month/default")
        assert budgets.arena.read_cell(cell, MONTH, time.time_ns())[:3] == (BATCH * COST, 0, 0)
