"""``python -m loadtest.leased``: what it takes to share budgets with other hosts, one worker; ``make bench-leased``.

Two gateways of the same configuration take turns, one whose budgets are its own, one that leases them from a Redis.
While that hangs, too, as their budgets have a grace. After each run the ledger has to have every request at its price.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from loadtest import nginx, wrk
from loadtest.cores import Cores, cpu_seconds
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, KEY, Booked, House, arena_folder, price
from loadtest.machine import describe
from loadtest.options import between
from loadtest.programs import Programs, find, free_port, until
from loadtest.report import promises, table
from loadtest.runs import played

OWN: Final = "budgets of its own"
LEASED: Final = "budgets leased from Redis"
HANGING: Final = "leased, Redis hangs"
NEEDED: Final = ("nginx", "wrk", "taskset", "setpriv", "redis-server")


@dataclass(frozen=True)
class Plan:
    """How long and how much."""

    rounds: int = 9
    seconds: int = 5
    connections: int = 64


@dataclass(frozen=True)
class Run:
    """``cpu``: microseconds of the worker's, and of the control plane's, per request; latencies in microseconds."""

    name: str
    rate: float
    cpu: float
    control: float
    p50: float
    p99: float


@dataclass
class Found:
    """All runs."""

    runs: list[Run] = field(default_factory=list)

    def of(self, name: str) -> list[Run]:
        return [run for run in self.runs if run.name == name]

    def ratio(self, figure: str, name: str, other: str) -> float:
        """One to the other, in each round; the median."""
        pairs = zip(self.of(name), self.of(other), strict=True)
        return median(getattr(one, figure) / getattr(another, figure) for one, another in pairs)

    def bounds(self) -> Iterable[Bound]:
        """What is promised."""
        rate = self.ratio("rate", LEASED, OWN)
        yield Bound("requests/s with leases", rate, "times those without", 0.95, at_least=True)
        yield Bound("p99 with leases", self.ratio("p99", LEASED, OWN), "times that without", 1.05)
        yield Bound("p99 while Redis hangs", self.ratio("p99", HANGING, LEASED), "times that with Redis", 1.05)


class Turns:
    """Two gateways in front of one upstream. ``redis``: the pid of the server that one of them leases from."""

    def __init__(self, plan: Plan, upstream: nginx.Nginx, houses: Mapping[str, House], redis: int) -> None:
        self._plan = plan
        self._upstream = upstream
        self._houses = houses
        self._redis = redis

    def runs(self) -> Iterator[Run]:
        """Of all rounds, each in the other order than the one before; a first one does not count."""
        for number in range(-1, self._plan.rounds):
            for name in (OWN, LEASED, HANGING) if number % 2 else (HANGING, LEASED, OWN):
                with self._hanging() if name == HANGING else nullcontext():
                    run = self._run(name, self._houses[OWN if name == OWN else LEASED])
                told = f"{run.rate:,.0f}/s, {run.cpu:.1f} µs of CPU each, p99 {run.p99 / 1000:.2f} ms"
                print(f"round {number + 1}: {name}: {told}", file=sys.stderr)
                if number >= 0:
                    yield run

    @contextmanager
    def _hanging(self) -> Iterator[None]:
        """Redis takes connections and answers nobody; what has to be noticed of that has been noticed."""
        house = self._houses[LEASED]
        os.kill(self._redis, signal.SIGSTOP)
        try:
            until(lambda: house.status()["leases"]["error"] is not None, "the gateway notices")
            yield
        finally:
            os.kill(self._redis, signal.SIGCONT)
        until(lambda: _grants(house), "Redis grants again")

    def _run(self, name: str, house: House) -> Run:
        plan = self._plan
        pids = house.worker, house.control
        booked, before, asked = house.booked(CONSTANT), [*map(cpu_seconds, pids)], self._upstream.requests()
        loaded = wrk.load(
            house.port,
            prompt_bytes=1024,
            model=f"{CONSTANT}/{nginx.MODEL}",
            key=KEY,
            connections=plan.connections,
            seconds=plan.seconds,
            text=nginx.CONTENT,
        )
        reached = self._upstream.requests() - asked
        spent = [now - then for now, then in zip(map(cpu_seconds, pids), before, strict=True)]
        seen = house.settled(CONSTANT, booked.requests + reached).since(booked)
        if seen != Booked(reached, reached * price(CONSTANT, nginx.COMPLETION_TOKENS), 0):
            raise RigError(f"{reached} requests reached the upstream, and the ledger has {seen}")
        cpu, control = (seconds / reached * 1e6 for seconds in spent)
        return Run(name, loaded.requests / loaded.seconds, cpu, control, loaded.p50, loaded.p99)


def measure(plan: Plan, folder: Path) -> Found:
    """Starts everything."""
    cores = Cores.choose()
    with ExitStack() as stack:
        shared = stack.enter_context(Programs(folder))
        upstream, redis = nginx.upstream(shared, cores.load), free_port()
        command = [
            find("redis-server"),
            "--bind",
            "127.0.0.1",
            "--port",
            str(redis),
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        server = shared.start("redis", command, cores.load, port=redis)
        houses = {}
        for name, settings in ((OWN, ""), (LEASED, f"redis: {{url: 'redis://127.0.0.1:{redis}/0'}}\n")):
            place = folder / name.replace(" ", "-")
            place.mkdir()
            arena_dir = Path(stack.enter_context(arena_folder()))
            programs, port = stack.enter_context(Programs(place)), upstream.port
            houses[name] = House(
                programs, cores, arena_dir, upstream_port=port, source_port=port, key_settings=settings
            )
        until(lambda: _grants(houses[LEASED]), "Redis grants")
        return Found(list(Turns(plan, upstream, houses, server).runs()))


def _grants(house: House) -> bool:
    leases = house.status()["leases"]
    return bool(leases["hosts"]) and not leases["learning"] and leases["error"] is None


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    rows = []
    for name in (OWN, LEASED, HANGING):
        runs = found.of(name)
        figures = [median(getattr(run, figure) for run in runs) for figure in ("rate", "cpu", "control", "p50", "p99")]
        rate, cpu, control, p50, p99 = figures
        rows.append([name, f"{rate:,.0f}", f"{cpu:.1f}", f"{control:.1f}", f"{p50 / 1000:.2f}", f"{p99 / 1000:.2f}"])
    lines = [
        "# Budgets that hosts share",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* method: {plan.rounds} rounds in which all take turns, {plan.seconds} s each; one worker on its core, all"
        f" else on the other, Redis among it; wrk (1 thread) with {plan.connections} connections, each of which asks"
        " anew when it is answered; unique prompts of 1 KB; a key and four budgets; after each run the ledger had its"
        " requests at their exact price\n"
        "* figures: medians, ratios within a round; CPU is user and system time of the process per request",
        table(["", "requests/s", "µs of CPU", "control plane", "p50 ms", "p99 ms"], rows),
        promises(found.bounds()),
    ]
    return "\n\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.leased", description="What sharing budgets takes.")
    add = chosen.add_argument
    add("--rounds", type=between(1, 100), default=plan.rounds, help="(default: %(default)s)")
    add("--seconds", type=between(1, 300), default=plan.seconds, help="of each run (default: %(default)s)")
    add("--connections", type=between(1, 4096), default=plan.connections, help="of the load (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    return played("leased", parser(), plan=Plan, measure=measure, markdown=markdown, needed=NEEDED)


if __name__ == "__main__":
    sys.exit(main())
