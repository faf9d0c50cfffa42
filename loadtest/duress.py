"""``python -m loadtest.duress``: what requests feel of all that happens beside them; ``make bench-duress``.

The same rate of requests, in turns without and with: the heaviest queries for spend one after another, a reload every
few seconds, and a slow disk under the journals, the ledger and the snapshots.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from loadtest import nginx, offers
from loadtest.clients import ask, prompts
from loadtest.cores import Cores, give_way
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, House, arena_folder
from loadtest.machine import describe
from loadtest.openloop import OpenLoop, Phase, Times
from loadtest.options import between
from loadtest.programs import Programs
from loadtest.report import promises, table
from loadtest.runs import played
from loadtest.slow_disk import SlowDisk
from loadtest.stage import Subject
from loadtest.subjects import Audit

QUIET: Final = "quiet"
DURESS: Final = "in duress"
HEAVIEST: Final = {"by": "user,session,operation,tag:feature,key,model,provider,status", "interval": "minute"}
"""As many attributes as can be combined, those among them that stand with each request."""
CONNECTIONS: Final = 256
SHARES: Final = {"p50": "p50 ms", "p99": "p99 ms", "p999": "p99.9 ms", "longest": "longest"}
NEEDED: Final = ("gcc", "nginx", "taskset", "setpriv")


@dataclass(frozen=True)
class Plan:
    """``rows`` in the ledger before the first turn; a reload each ``reload_seconds``; a disk slower by ``disk_ms``."""

    rate: int = 2000
    seconds: int = 30
    runs: int = 5
    rows: int = 200_000
    reload_seconds: int = 5
    disk_ms: int = 20


@dataclass(frozen=True)
class Run:
    """One turn: latencies from when requests were due, and how late the loop itself sent them, in microseconds."""

    name: str
    round: int
    latency: Times
    late: Times
    queries: int
    reloads: int


@dataclass
class Found:
    """All turns."""

    runs: list[Run] = field(default_factory=list)

    def of(self, name: str) -> list[Run]:
        return [run for run in self.runs if run.name == name]

    def bounds(self) -> Iterable[Bound]:
        """What is promised."""
        turns = zip(self.of(QUIET), self.of(DURESS), strict=True)
        ratio = median(duress.latency.p999 / quiet.latency.p999 for quiet, duress in turns)
        yield Bound("p99.9 of a request in duress", ratio, "times that of quiet", 2)


class Troubles:
    """Queries and reloads for as long as the block lasts; a context."""

    def __init__(self, house: House, reload_seconds: float) -> None:
        self._house = house
        self._reload_seconds = reload_seconds
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._query, self._reload)]
        self.queries = 0
        self.error: Exception | None = None

    def __enter__(self) -> "Troubles":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self.error is not None:
            raise RigError(f"a query or a reload failed: {self.error}")

    def _query(self) -> None:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # this thread alone: the load is on the same core
        try:
            while not self._over.is_set():
                self._house.spend(**HEAVIEST)
                self.queries += 1
        except Exception as error:  # noqa: BLE001 whatever it is, it would end this thread unseen
            self.error = error

    def _reload(self) -> None:
        try:
            while not self._over.wait(self._reload_seconds):
                os.kill(self._house.supervisor, signal.SIGHUP)
        except OSError as error:
            self.error = error


class Turns:
    """One gateway, without and with troubles."""

    def __init__(self, plan: Plan, house: House, upstream: nginx.Nginx, disk: SlowDisk) -> None:
        self._plan = plan
        self._house = house
        self._upstream = upstream
        self._disk = disk
        self._troubles = {QUIET: self._quiet, DURESS: self._duress}

    def runs(self) -> Iterator[Run]:
        """All of them, once the ledger has rows to sum up."""
        subject = Subject(QUIET, self._house.port, {"subject": self._house.worker})
        audit = Audit(self._house, CONSTANT, subject)
        rows = max(1, self._plan.rows - CONNECTIONS)
        ask(self._house.port, prompts(1024), count=rows, connections=CONNECTIONS, clock=time.monotonic)
        with OpenLoop(self._house.port, offers.constant(1024), connections=CONNECTIONS) as loop:
            loop.run([Phase(self._plan.rate, 1)]).check()
            audit.settle(self._upstream.requests())
            for number in range(self._plan.runs):
                for name in self._troubles:
                    run = self._run(loop, name, number)
                    audit.settle(self._upstream.requests())
                    print(f"round {number + 1}: {name}: p99.9 {run.latency.p999 / 1000:.2f} ms", file=sys.stderr)
                    yield run
        audit.compare(self._upstream.requests(), nginx.COMPLETION_TOKENS)

    def _run(self, loop: OpenLoop, name: str, number: int) -> Run:
        generation = self._house.generation()
        with self._troubles[name]() as troubles:
            seen = loop.run([Phase(self._plan.rate, self._plan.seconds)])
        seen.check()
        reloads = self._house.generation() - generation
        queries = troubles.queries if troubles else 0
        if troubles and (not queries or reloads < self._plan.seconds // self._plan.reload_seconds - 1):
            raise RigError(f"{queries} queries and {reloads} reloads are no duress: more --seconds")
        return Run(name, number, seen.times("latency"), seen.times("late"), queries, reloads)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        yield None

    @contextmanager
    def _duress(self) -> Iterator[Troubles]:
        with self._disk.slow(self._plan.disk_ms), Troubles(self._house, self._plan.reload_seconds) as troubles:
            yield troubles


def measure(plan: Plan, folder: Path) -> Found:
    """Starts everything, and lets quiet and duress take turns."""
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.load})
    with ExitStack() as stack:
        arena_dir = Path(stack.enter_context(arena_folder()))
        programs = stack.enter_context(Programs(folder))
        upstream, disk = nginx.upstream(programs, cores.load), SlowDisk(folder)
        house = House(
            programs,
            cores,
            arena_dir,
            upstream_port=upstream.port,
            source_port=upstream.port,
            variables=disk.variables,
        )
        give_way(house.control)  # the load and the upstream are on its core, and their delays are not fastgate's
        return Found(list(Turns(plan, house, upstream, disk).runs()))


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    rows = []
    for name in (QUIET, DURESS):
        runs = found.of(name)
        shown = [f"{median(getattr(run.latency, share) for run in runs) / 1000:.2f}" for share in SHARES]
        late = f"{median(run.late.p999 for run in runs) / 1000:.2f}"
        rows.append([name, *shown, late, *(f"{sum(values):,}" for values in zip(*map(_troubles, runs), strict=True))])
    lines = [
        "# Requests in duress",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* method: {plan.runs} rounds of {plan.seconds} s without and with; {plan.rate:,} requests/s, an open loop,"
        f" times from when a request was due; the heaviest query for spend one after another on {plan.rows:,} rows or"
        f" more, a reload each {plan.reload_seconds} s, a disk that takes {plan.disk_ms} ms longer for each call\n"
        "* the worker alone on its core; the control plane gets what the load and the upstream leave of the other one\n"
        "* figures: medians, milliseconds; late: by how much the loop sent too late what was due, which counts, too",
        table(["", *SHARES.values(), "late p99.9", "queries", "reloads"], rows),
        promises(found.bounds()),
    ]
    return "\n\n".join(lines)


def _troubles(run: Run) -> tuple[int, int]:
    return run.queries, run.reloads


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.duress", description="What requests feel of the rest.")
    add = chosen.add_argument
    add("--rate", type=between(10, 20_000), default=plan.rate, help="requests a second (default: %(default)s)")
    add("--seconds", type=between(1, 600), default=plan.seconds, help="of each turn (default: %(default)s)")
    add("--runs", type=between(1, 100), default=plan.runs, help="turns of each (default: %(default)s)")
    add("--rows", type=between(1000, 10_000_000), default=plan.rows, help="at first (default: %(default)s)")
    add("--reload-seconds", type=between(1, 60), default=plan.reload_seconds, help="(default: %(default)s)")
    add("--disk-ms", type=between(0, 1000), default=plan.disk_ms, help="of each call (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    return played("duress", parser(), plan=Plan, measure=measure, markdown=markdown, needed=NEEDED)


if __name__ == "__main__":
    sys.exit(main())
