"""Offers requests at a rate that does not depend on the answers, and says what came of them::

    with OpenLoop(port, offers.constant(1024)) as loop:
        seen = loop.run([Phase(5000, 60)])
    seen.check()                      # RigError where any answer was not what it had to be
    seen.times("latency").p99         # microseconds from when a request was due

The loop itself is ``loadtest/_engine.pyx``; it is built by ``make load``, or ``make .venv/.generator``.
"""

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from loadtest._engine import Engine
from loadtest.errors import RigError
from loadtest.offers import Offer

LONGEST_NS: Final = (1 << 37) - 1
"""What counts as longer counts as this."""
DIGITS: Final = 3
OTHER_FILES: Final = 256
"""That the process has open beside its connections, at most."""


class Phase(NamedTuple):
    """So many requests a second, each as long after the one before it, for so many seconds."""

    rate: float
    seconds: float


@dataclass(frozen=True)
class Times:
    """How a kind of time was distributed, in microseconds; zeros where nothing was counted."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    longest: float

    @classmethod
    def of(cls, found: HdrHistogram) -> Self:
        def at(share: float) -> float:
            microseconds: float = found.get_value_at_percentile(share) / 1000
            return microseconds

        return cls(found.total_count, found.get_mean_value() / 1000, at(50), at(90), at(99), at(99.9), at(100))


def histogram(counts: "np.ndarray[Any, Any]") -> HdrHistogram:
    """One row of the loop's counters, as the library knows it; in nanoseconds."""
    found = HdrHistogram(1, LONGEST_NS, DIGITS)
    for bucket in np.flatnonzero(counts):
        found.record_value(lowest(int(bucket)), int(counts[bucket]))
    return found


def lowest(bucket: int) -> int:
    """The shortest time that is counted in a bucket, in nanoseconds."""
    shift = max(0, bucket // 1024 - 1)
    return (bucket - shift * 1024) << shift


@dataclass(frozen=True)
class Seen:
    """One run: how many were answered as they had to be, how many were not and why, and all times."""

    requests: int
    answered: int
    faults: dict[str, int]
    sample: bytes
    """The beginning of the first wrong answer, or what came of it last."""
    seconds: float
    """From when the first was due to the last answer."""
    cpu_seconds: float
    """Of the loop itself."""
    row_seconds: float
    counts: "dict[str, np.ndarray[Any, Any]]"

    def times(self, kind: str, since: float = 0.0, until: float | None = None) -> Times:
        """Of requests that were due between two moments (seconds from the start, whole rows).

        ``latency``: from due to the answer's end; ``first``: to the first chunk of a stream; ``late``: to its sending,
        which is the loop's own doing, or that of a line in which it waited for a connection. ``delay``: of each chunk,
        from its writing to its reading; ``gap``: between it and the one before it.
        """
        return Times.of(self.histogram(kind, since, until))

    def histogram(self, kind: str, since: float = 0.0, until: float | None = None) -> HdrHistogram:
        """Likewise, all of it."""
        rows = self.counts[kind][self._row(since) : None if until is None else self._row(until)]
        return histogram(rows.sum(axis=0, dtype=np.int64))

    def by_row(self, kind: str) -> list[Times]:
        """Of each row by itself."""
        return [Times.of(histogram(row)) for row in self.counts[kind]]

    def check(self) -> None:
        """Raises RigError unless every request was answered as it had to be."""
        if self.answered != self.requests or self.faults:
            raise RigError(f"{self.answered} of {self.requests} requests were answered; {self.faults}: {self.sample!r}")

    def _row(self, seconds: float) -> int:
        return round(seconds / self.row_seconds)


class OpenLoop:
    """Connections to a port of the loopback; a context, which closes them."""

    def __init__(
        self,
        port: int,
        offer: Offer,
        *,
        connections: int = 1024,
        seconds: float = 10.0,
        keeps: bool = True,
        rotates: bool = False,
    ) -> None:
        """``connections``: open at most; ``seconds``: for an answer; ``keeps`` False: a connection for each request.

        ``rotates``: each request takes the connection that has rested longest, else the one that was used last.
        """
        allow_files(connections + OTHER_FILES)
        self._engine = Engine(
            port,
            offer.before,
            offer.after,
            offer.expected,
            connections=connections,
            seconds=seconds,
            keeps=keeps,
            rotates=rotates,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def run(self, phases: Sequence[Phase], row_seconds: float = 1.0) -> Seen:
        """Offer all phases, one after another without a pause, and wait for what is on its way then.

        It holds its thread, not the interpreter: other threads run on. Connections stay open for the next run.
        """
        requests = sum(int(phase.rate * phase.seconds + 0.5) for phase in phases)
        return Seen(requests=requests, row_seconds=row_seconds, **self._engine.run(phases, row_seconds))

    def saturate(self, seconds: float) -> Seen:
        """A closed loop, as clients are that wait for each answer: a connection asks again as soon as it has one.

        All connections are opened at once. A request is due when its connection is free for it.
        """
        found = self._engine.saturate(seconds)
        return Seen(requests=found["answered"] + sum(found["faults"].values()), row_seconds=seconds, **found)


def allow_files(count: int) -> None:
    """Have this process, and those that it starts, open so many files. Raises RigError where they may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise RigError(f"{count} open files are needed, and a process may have {hard} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
