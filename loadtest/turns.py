"""One subject under one load, from the first request until the ledger has the last one."""

from collections.abc import Sequence
from typing import Final

from loadtest.house import House
from loadtest.offered import REQUESTS, STREAMS, Offered
from loadtest.openloop import OpenLoop, Phase, Seen, Times
from loadtest.stage import Subject
from loadtest.subjects import Audit, Clock, outside, weight

KINDS: Final = {REQUESTS: ("latency", "late"), STREAMS: ("latency", "late", "first", "delay", "gap")}


class Turn:
    """One subject under one load: what came of it, what it cost, and whether the ledger knows."""

    seen: Seen

    def __init__(self, subject: Subject, place: House, provider: str) -> None:
        self._subject = subject
        self._ledger = Audit(place, provider, subject)
        self._spent: dict[str, float] = {}

    def measure(self, loop: OpenLoop, phases: Sequence[Phase], row_seconds: float, core: int) -> None:
        """Offer the phases; ``core`` is the subject's. Raises RigError where an answer was wrong."""
        self._phases, self._before = phases, weight(self._subject)
        self._clock = Clock(self._subject.pids, core)
        self.seen = loop.run(phases, row_seconds)
        self._busy = self._clock.busy()
        self.seen.check()

    def settle(self, requests: int, output_tokens: int) -> None:
        """Wait for the ledger. Raises RigError unless it has just these requests, since the turn began."""
        self._ledger.settle(requests)
        self._spent = self._clock.spent()
        self._ledger.compare(requests, output_tokens)

    def offered(
        self, kind: str, number: int, *, each: int = 1, since: float = 0.0, shows_time: bool = False
    ) -> Offered:
        """The record. ``each``: chunks of a request; times count ``since`` so many seconds."""
        seen, count, private = self.seen, self.seen.requests * each, weight(self._subject)
        found = {name: seen.histogram(name, since) for name in KINDS[kind]}
        return Offered(
            subject=self._subject.name,
            kind=kind,
            round=number,
            rate=seen.requests / sum(phase.seconds for phase in self._phases),
            count=count,
            cpu={name: used * 1e6 / count for name, used in {**self._spent, "load": seen.cpu_seconds}.items()},
            outside=outside(self._busy, self._spent, seen.seconds),
            private_bytes=private,
            grown_bytes=private - self._before,
            times={name: Times.of(one) for name, one in found.items()},
            encoded={name: one.encode().decode() for name, one in found.items()},
            rows=seen.by_row("latency") if shows_time else [],
        )
