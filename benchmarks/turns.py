"""How an operation is compared with a reference: both in turns, by the CPU time of this process."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, repeat
from statistics import median
from time import process_time
from typing import Final

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.gates import Gates

Operation = Callable[[], object]

ROUNDS: Final = 25
TRIES: Final = 20
"""How many rounds there are at most for each that counts."""
SHOWN_ROUNDS: Final = 5
"""Of the table that pytest-benchmark prints."""
PROOF_ROUNDS: Final = 7
SLOWDOWN: Final = 3
"""What is planted: a gate that lets an operation pass which takes so many times as long is too wide."""
LEAST_SECONDS: Final = 0.002
"""Of a round, on either side: below, the clock itself is part of what is measured."""


class Compare:
    """Gates what an operation takes of the CPU, as a multiple of what a reference takes: the median of many rounds."""

    def __init__(self, benchmark: BenchmarkFixture, gates: Gates) -> None:
        self._benchmark = benchmark
        self._gates = gates

    def __call__(
        self,
        name: str,
        ours: Operation,
        reference: Operation,
        *,
        number: int | None = None,
        rounds: int = ROUNDS,
        before: Operation | None = None,
        counts: Callable[[], bool] | None = None,
        overall: bool = False,
        slowdown: float = SLOWDOWN,
    ) -> None:
        """Hold it against the gate ``name``, and prove that: see ``Gates.hold``.

        ``number``: how often each is called in a round, None: as often as a round takes to be long enough. ``before``:
        called ahead of each round, not measured. ``counts``: asked after ours, whether the round counts. ``overall``:
        of all rounds together instead, where some pay for others. ``slowdown``: what is planted to prove the gate.
        """
        number = number or enough(ours, reference)
        turns = Turns(many(ours, number), many(reference, number), before, counts, overall)
        slow = replace(turns, ours=slowed(turns.ours, slowdown))
        self._benchmark.pedantic(turns.ours, setup=before, rounds=SHOWN_ROUNDS)  # type: ignore[no-untyped-call]
        self._gates.hold("ratios", name, partial(turns.ratio, rounds), partial(slow.ratio, PROOF_ROUNDS))


@dataclass
class Turns:
    """Rounds of an operation and of its reference; see ``Compare``."""

    ours: Operation
    reference: Operation
    before: Operation | None
    counts: Callable[[], bool] | None
    overall: bool

    def ratio(self, rounds: int) -> float:
        """What ours takes as a multiple of the reference. Raises RuntimeError where hardly a round counts."""
        gc.collect()
        gc.disable()  # what a collection takes depends on what else this process has
        try:
            taken = list(islice(filter(None, (self._round() for _ in range(rounds * TRIES))), rounds))
        finally:
            gc.enable()
        if len(taken) < rounds:
            raise RuntimeError(f"only {len(taken)} of {rounds * TRIES} rounds count")
        if self.overall:
            return sum(ours for ours, _ in taken) / sum(reference for _, reference in taken)
        return median(ours / reference for ours, reference in taken)

    def _round(self) -> tuple[float, float] | None:
        if self.before:
            self.before()
        ours = cpu_seconds(self.ours)
        if self.counts and not self.counts():
            return None
        return ours, cpu_seconds(self.reference)


def many(operation: Operation, number: int) -> Operation:
    """The operation so many times."""

    def work() -> None:
        for _ in repeat(None, number):
            operation()

    return operation if number == 1 else work


def slowed(operation: Operation, times: float) -> Operation:
    """An operation that spins on when it is done, until it took so many times as long."""

    def work() -> None:
        began = process_time()
        operation()
        ends = began + times * (process_time() - began)
        while process_time() < ends:
            pass

    return work


def cpu_seconds(operation: Operation) -> float:
    """Of this process, all its threads: what others do on the machine is no part of it."""
    began = process_time()
    operation()
    return process_time() - began


def enough(*operations: Operation) -> int:
    """How often to call each of them, so that none is done in less than ``LEAST_SECONDS``."""
    number = 1
    while any(cpu_seconds(many(operation, number)) < LEAST_SECONDS for operation in operations):
        number *= 2
    return number
