"""``python -m loadtest.hits``: what an answer from the exact cache takes, one worker; ``make bench-hits``.

So many questions are asked until each has its answer kept; then the same are asked again, by wrk, each connection the
next one of them. Every answer has to have the upstream's text, none may reach the upstream, and the ledger has to have
them all at no cost.
"""

import argparse
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Final

from loadtest import nginx, wrk
from loadtest.cores import Cores, cpu_seconds
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, KEY, Booked, House, arena_folder
from loadtest.machine import describe
from loadtest.options import between
from loadtest.programs import Programs
from loadtest.report import promises, table
from loadtest.runs import played

NEEDED: Final = ("nginx", "wrk", "taskset", "setpriv")
WANTED: Final = "    cache: {exact: true, ttl_seconds: 86400}\n    limits: [{requests: 1000000000, window: minute}]\n"
"""Of the key: what it keeps, and a limit that counts hits, as it counts all requests."""
WARM_SECONDS: Final = 3


@dataclass(frozen=True)
class Plan:
    """How long and how much."""

    runs: int = 5
    seconds: int = 6
    connections: int = 64
    questions: int = 5_000
    kilobytes: int = 1


@dataclass(frozen=True)
class Run:
    """``cpu``: microseconds of the worker's, and of the control plane's, per hit; latencies in microseconds."""

    hits: int
    rate: float
    cpu: float
    control: float
    p50: float
    p99: float


@dataclass
class Found:
    """All runs."""

    runs: list[Run] = field(default_factory=list)

    def bounds(self) -> Iterable[Bound]:
        """What is promised."""
        yield Bound("hits/s", median(run.rate for run in self.runs), "/s", 22_000, at_least=True)
        yield Bound("the worker's CPU per hit", median(run.cpu for run in self.runs), "µs", 35)


class Turns:
    """One gateway whose answers are all kept."""

    def __init__(self, plan: Plan, house: House, upstream: nginx.Nginx) -> None:
        self._plan = plan
        self._house = house
        self._upstream = upstream
        self._stamp = secrets.token_hex(8)

    def runs(self) -> Iterator[Run]:
        """After one in which every question is asked for the first time."""
        self._load(WARM_SECONDS)
        asked = self._upstream.requests()
        if asked < self._plan.questions:
            raise RigError(f"{asked} of {self._plan.questions} questions were asked so far: fewer --questions")
        self._house.settled(CONSTANT, asked)
        for number in range(self._plan.runs):
            run = self._run()
            print(f"round {number + 1}: {run.rate:,.0f} hits/s, {run.cpu:.1f} µs of CPU each", file=sys.stderr)
            if self._upstream.requests() != asked:
                raise RigError(f"{self._upstream.requests() - asked} requests reached the upstream: not all were hits")
            yield run

    def _run(self) -> Run:
        house = self._house
        pids = house.worker, house.control
        booked, before = house.booked(CONSTANT), [*map(cpu_seconds, pids)]
        loaded = self._load(self._plan.seconds)
        seen = house.settled(CONSTANT, booked.requests + loaded.requests).since(booked)
        spent = [now - then for now, then in zip(map(cpu_seconds, pids), before, strict=True)]
        if not loaded.requests <= seen.requests <= loaded.requests + self._plan.connections:
            raise RigError(f"{loaded.requests} requests were answered, the ledger has {seen.requests}")
        if seen != Booked(seen.requests, Decimal(0), 0):
            raise RigError(f"hits are free, and the ledger has {seen}")
        cpu, control = (seconds / seen.requests * 1e6 for seconds in spent)
        rate = loaded.requests / loaded.seconds
        return Run(seen.requests, rate, cpu, control, loaded.p50, loaded.p99)

    def _load(self, seconds: int) -> wrk.Loaded:
        plan = self._plan
        return wrk.load(
            self._house.port,
            prompt_bytes=plan.kilobytes * 1024,
            model=f"{CONSTANT}/{nginx.MODEL}",
            key=KEY,
            connections=plan.connections,
            seconds=seconds,
            text=nginx.CONTENT,
            questions=plan.questions,
            stamp=self._stamp,
        )


def measure(plan: Plan, folder: Path) -> Found:
    """Starts everything."""
    cores = Cores.choose()
    with ExitStack() as stack:
        arena_dir = Path(stack.enter_context(arena_folder()))
        programs = stack.enter_context(Programs(folder))
        upstream = nginx.upstream(programs, cores.load)
        port = upstream.port
        house = House(programs, cores, arena_dir, upstream_port=port, source_port=port, key_settings=WANTED)
        return Found(list(Turns(plan, house, upstream).runs()))


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    figures = [
        f"{median(run.rate for run in found.runs):,.0f}",
        f"{median(run.cpu for run in found.runs):.1f}",
        f"{median(run.control for run in found.runs):.1f}",
        f"{median(run.p50 for run in found.runs) / 1000:.2f}",
        f"{median(run.p99 for run in found.runs) / 1000:.2f}",
    ]
    lines = [
        "# Answers from the exact cache",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* method: {plan.runs} runs of {plan.seconds} s; one worker on its core, all else on the other; wrk (1 thread)"
        f" with {plan.connections} connections, each of which asks anew when it is answered; {plan.questions:,}"
        f" questions of {plan.kilobytes} KB in turn, all of whose answers are kept; a key, four budgets, a limit\n"
        "* every answer was a 200 with the upstream's text, none reached the upstream, the ledger had all at no cost\n"
        "* figures: medians; CPU is user and system time of the process per hit",
        table(
            ["", "hits/s", "µs of CPU each", "control plane", "p50 ms", "p99 ms"], [["fastgate, one worker", *figures]]
        ),
        promises(found.bounds()),
    ]
    return "\n\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.hits", description="What answers from the cache take.")
    add = chosen.add_argument
    add("--runs", type=between(1, 100), default=plan.runs, help="(default: %(default)s)")
    add("--seconds", type=between(1, 300), default=plan.seconds, help="of each (default: %(default)s)")
    add("--connections", type=between(1, 4096), default=plan.connections, help="of the load (default: %(default)s)")
    add("--questions", type=between(1, 20_000), default=plan.questions, help="that are kept (default: %(default)s)")
    add("--kilobytes", type=between(1, 64), default=plan.kilobytes, help="of a question (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    return played("hits", parser(), plan=Plan, measure=measure, markdown=markdown, needed=NEEDED)


if __name__ == "__main__":
    sys.exit(main())
