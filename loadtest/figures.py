"""What was measured: one record a run, and the medians of many."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from loadtest.cores import Cores

ALONE: Final = "load and upstream alone"
NGINX: Final = "nginx, proxy_pass"
BARE: Final = "bare Granian relay"
FASTGATE: Final = "fastgate, one worker"
PORTKEY: Final = "Portkey's gateway"
LITELLM: Final = "LiteLLM's proxy, one worker"
HIDDEN: Final = "fastgate, usage taken out"


@dataclass(frozen=True)
class Run:
    """One subject under one load for a few seconds. ``cpu``: microseconds per request (or chunk) of each process."""

    subject: str
    prompt_kb: int
    """0: streams."""
    round: int
    count: int
    """Answered requests, or relayed chunks."""
    rate: float
    """Of them, a second."""
    cpu: dict[str, float]
    p50: float
    """Microseconds: of a request's latency, or of a chunk's delay."""
    p99: float
    p999: float
    outside: float
    """Share of the subject's core that went to others."""
    private_bytes: int
    """Of the subject's process after it; 0 where none is measured."""


@dataclass
class Figures:
    """All runs of one measurement."""

    cores: Cores
    machine: dict[str, str]
    """As it was before the first run, with the versions of what ran."""
    runs: list[Run] = field(default_factory=list)

    def of(self, subject: str, prompt_kb: int) -> list[Run]:
        return [run for run in self.runs if run.subject == subject and run.prompt_kb == prompt_kb]

    def median(self, subject: str, prompt_kb: int, value: Callable[[Run], float]) -> float:
        """Over the runs of a subject under one load."""
        return median(value(run) for run in self.of(subject, prompt_kb))

    def ratio(self, subject: str, other: str, prompt_kb: int, value: Callable[[Run], float]) -> float:
        """The median of the ratios within each round: what disturbed a round disturbed both."""
        others = {run.round: value(run) for run in self.of(other, prompt_kb)}
        return median(value(run) / others[run.round] for run in self.of(subject, prompt_kb))

    def sizes(self) -> list[int]:
        return sorted({run.prompt_kb for run in self.runs if run.prompt_kb})

    def subjects(self, prompt_kb: int) -> list[str]:
        return list(dict.fromkeys(run.subject for run in self.runs if run.prompt_kb == prompt_kb))

    def private_bytes(self, *subjects: str) -> list[int]:
        """After each run of the subjects, which may be the same process under several names."""
        return [run.private_bytes for run in self.runs if run.subject in subjects]


def rate(run: Run) -> float:
    return run.rate


def cpu_of(process: str) -> Callable[[Run], float]:
    return lambda run: run.cpu[process]


@dataclass(frozen=True)
class Bound:
    """Something that is promised, and what was found."""

    what: str
    found: float
    unit: str
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound


LONG_KB: Final = 64
"""Prompts from which on wrk, which copies each of them several times to make it unique, would be what is measured."""
LEAST_RATES: Final = {1: 18_000, 16: 15_000, 200: 3_500}
"""Requests a second that one worker has to do, by the KB of their prompts."""


def bounds(figures: Figures) -> Iterable[Bound]:
    """The promises that the measured sizes and streams allow to be checked."""
    for size in figures.sizes():
        if size in LEAST_RATES:
            found = figures.median(FASTGATE, size, rate)
            yield Bound(f"requests/s, {size} KB prompts", found, "/s", LEAST_RATES[size], at_least=True)
    if 1 in figures.sizes():
        yield Bound("the worker's CPU per request, 1 KB", figures.median(FASTGATE, 1, cpu_of("subject")), "µs", 50)
        yield Bound("the control plane's CPU per request", figures.median(FASTGATE, 1, cpu_of("control")), "µs", 10)
        yield Bound(
            "load and upstream alone do", figures.ratio(ALONE, FASTGATE, 1, rate), "times that", 1.3, at_least=True
        )
    yield Bound("the worker's private memory", max(figures.private_bytes(FASTGATE, HIDDEN)) / 1e6, "MB", 120)
    for subject in (FASTGATE, HIDDEN):
        chunk = figures.ratio(subject, BARE, 0, cpu_of("subject"))
        yield Bound(f"CPU per relayed chunk: {subject}", chunk, "times the bare relay", 1.25)
    delay = max(figures.median(subject, 0, lambda run: run.p999) for subject in (FASTGATE, HIDDEN)) / 1000
    yield Bound("a chunk's delay, p99.9", delay, "ms", 5)
