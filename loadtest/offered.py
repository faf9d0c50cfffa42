"""What came of offers, one record a run, and what is promised of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from loadtest.figures import ALONE, BARE, FASTGATE, Bound
from loadtest.openloop import Times
from loadtest.profiles import Profile

REQUESTS: Final = "requests"
STREAMS: Final = "streams"
BROKEN_US: Final = 10_000
"""A subject does not keep up with a rate at which its p99 is longer."""
BACK_ROWS: Final = 3
"""Rows in a row that have to be as before."""


@dataclass(frozen=True)
class Offered:
    """One subject under one load. ``cpu``: microseconds of each process, per request or per chunk."""

    subject: str
    kind: str
    """``REQUESTS`` or ``STREAMS``."""
    round: int
    rate: float
    """Offered, a second."""
    count: int
    """Requests, or chunks."""
    cpu: dict[str, float]
    outside: float
    """Share of the subject's core that went to others."""
    private_bytes: int
    """Of the subject afterwards; 0 where there is none."""
    grown_bytes: int
    """By how much they grew."""
    times: dict[str, Times]
    """By what they are of, as in ``Seen.times``."""
    encoded: dict[str, str]
    """Likewise, all of each histogram, as HdrHistogram has it (V2, nanoseconds)."""
    rows: list[Times] = field(default_factory=list)
    """Latencies by when a request was due, where the profile shows that."""


@dataclass
class Found:
    """All runs of a profile."""

    runs: list[Offered] = field(default_factory=list)
    undisturbed: bool = False
    """Whether what was measured came before all else that the machine does."""

    def of(self, subject: str, kind: str) -> list[Offered]:
        return [run for run in self.runs if (run.subject, run.kind) == (subject, kind)]

    def subjects(self, kind: str) -> list[str]:
        return list(dict.fromkeys(run.subject for run in self.runs if run.kind == kind))

    def median(self, subject: str, kind: str, value: Callable[[Offered], float]) -> float:
        """Over the runs of a subject."""
        return median(value(run) for run in self.of(subject, kind))

    def added(self, subject: str, kind: str, value: Callable[[Offered], float], to: str = ALONE) -> float:
        """What a subject adds to another one, in the median of the rounds."""
        return median(own - its for own, its in self._pairs(subject, to, kind, value))

    def ratio(self, subject: str, other: str, kind: str, value: Callable[[Offered], float]) -> float:
        """Likewise, how many times the other's it is."""
        return median(own / its for own, its in self._pairs(subject, other, kind, value))

    def _pairs(
        self, subject: str, other: str, kind: str, value: Callable[[Offered], float]
    ) -> list[tuple[float, float]]:
        """What was found of both within each round, under the same load: what disturbed it disturbed both."""
        others = {(run.round, run.rate): value(run) for run in self.of(other, kind)}
        return [(value(run), others[run.round, run.rate]) for run in self.of(subject, kind)]

    def knee(self, subject: str) -> float:
        """The highest rate that a subject kept up with, in the median of the rounds; 0 where there is none."""
        kept = [(run.round, run.rate) for run in self.of(subject, REQUESTS) if kept_up(run)]
        rounds = {run.round for run in self.runs}
        return median(max((rate for one, rate in kept if one == number), default=0.0) for number in rounds)

    def bounds(self, profile: Profile) -> Iterable[Bound]:
        """What is promised of the profile's question. Wrong and missing answers made the run void before."""
        if not profile.promised:
            return
        if self.of(FASTGATE, REQUESTS):
            added = {share: self.added(FASTGATE, REQUESTS, time("latency", share)) for share in ("p50", "p99")}
            yield Bound("added to a request, p50", added["p50"], "µs", 200)
            yield Bound("added to a request, p99", added["p99"], "µs", 1000)
        if self.of(FASTGATE, STREAMS):
            chunk = self.ratio(FASTGATE, BARE, STREAMS, lambda run: run.cpu["subject"])
            yield Bound("CPU per chunk", chunk, "times the bare relay", 1.25)
            first = {share: self.added(FASTGATE, STREAMS, time("first", share)) for share in ("p50", "p99")}
            yield Bound("added to the first chunk, p50", first["p50"], "µs", 300)
            yield Bound("added to the first chunk, p99", first["p99"], "µs", 1500)
            delay = self.median(FASTGATE, STREAMS, time("delay", "p999"))
            yield Bound("a chunk's delay, p99.9", delay / 1000, "ms", 20)


def time(kind: str, share: str) -> Callable[[Offered], float]:
    """Microseconds: one number of one kind of time."""
    return lambda run: float(getattr(run.times[kind], share))


def kept_up(run: Offered) -> bool:
    """Whether a subject answered as fast as it was asked."""
    return run.times["latency"].p99 <= BROKEN_US


def recovered(run: Offered, profile: Profile) -> float | None:
    """Seconds from the end of a burst, the second of three phases, until latencies are as before; None: never.

    As before are ``BACK_ROWS`` rows whose p90 is at most twice the median one of the first phase.
    """
    before, burst, _ = profile.phases
    first = round(before.seconds / profile.row_seconds)
    end = first + round(burst.seconds / profile.row_seconds)
    usual = 2 * median(row.p90 for row in run.rows[:first])
    for row in range(end, len(run.rows) - BACK_ROWS + 1):
        if all(later.p90 <= usual for later in run.rows[row : row + BACK_ROWS]):
            return (row - end) * profile.row_seconds
    return None
