"""``python -m loadtest.keys``: what very many virtual keys and teams cost, each promise measured; ``make bench-keys``.

Some keys are created by the admin API, on one connection and on several; the others, and teams for them, are written
into the store, which takes the same form and a fraction of the time. Each key and each team has a budget. Requests then
come from keys drawn by lot.
"""

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from loadtest import nginx
from loadtest.cores import anonymous_bytes, cpu_seconds
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, House
from loadtest.machine import describe
from loadtest.many import create, fill, secret_of
from loadtest.options import between
from loadtest.report import promises
from loadtest.runs import keep, measured

FEW: Final = 1000
"""Keys that there are at first, and that requests come from then and later."""
TIMES: Final = 5
"""That CPU is measured; the least counts, since what else the machine does only ever adds to it."""
CONNECTIONS: Final = 16
NEEDED: Final = ("nginx", "taskset", "setpriv")


@dataclass(frozen=True)
class Plan:
    """How many keys in all, of how many teams, how many of them by the API, how much load."""

    keys: int = 1_000_000
    teams: int = 100_000
    created: int = 20_000
    requests: int = 20_000
    swaps: int = 5


@dataclass
class Found:
    """Rates a second, CPU of the worker in microseconds per request, seconds, bytes, milliseconds of latency."""

    one_connection: float = 0.0
    connections: float = 0.0
    cpu_few: float = 0.0
    cpu_many: float = 0.0
    met_few: float = 0.0
    """Of a key's first request under a snapshot, which looks the key up."""
    met_many: float = 0.0
    private_bytes: int = 0
    swap_seconds: list[float] = field(default_factory=list)
    slowest_quiet_ms: list[float] = field(default_factory=list)
    slowest_swap_ms: list[float] = field(default_factory=list)
    cpu_all: float = 0.0
    """Where no key comes twice."""

    def bounds(self) -> Iterable[Bound]:
        """What is promised."""
        yield Bound(f"keys created, {CONNECTIONS} connections", self.connections, "/s", 500, at_least=True)
        unit = f"times that of {FEW:,} keys"
        yield Bound("CPU per request, many keys", self.cpu_many / self.cpu_few, unit, 1.1)
        yield Bound(
            "CPU per request, each of another key", self.cpu_all / self.met_few, "times a first one of few", 1.25
        )
        yield Bound("CPU of a key's first request, many keys", self.met_many / self.met_few, unit, 1.25)
        yield Bound("the worker's private memory", self.private_bytes / 1e6, "MB", 150)
        yield Bound("a snapshot, compiled and in force", max(self.swap_seconds), "s", 10)
        slower = median(self.slowest_swap_ms) - median(self.slowest_quiet_ms)
        yield Bound("slowest request while it is swapped", slower, "ms more than in as long a time without", 10)


class Caller:
    """Requests one after another on one connection, each from a key of the given numbers in turn."""

    def __init__(self, house: House, numbers: Sequence[int]) -> None:
        message = {"role": "user", "content": "Which of so many am I?"}
        self._body = json.dumps({"model": f"{CONSTANT}/{nginx.MODEL}", "max_tokens": 100, "messages": [message]})
        self._port = house.port
        self._numbers = numbers

    def __enter__(self) -> "Caller":
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(self, turn: int) -> float:
        """One request; its milliseconds. Raises RigError where it is not answered as it must be."""
        headers = {
            "authorization": f"Bearer {secret_of(self._numbers[turn % len(self._numbers)])}",
            "content-type": "application/json",
        }
        began = time.perf_counter()
        self._connection.request("POST", "/v1/chat/completions", self._body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RigError(f"a key of {len(self._numbers)} is not served: {answer.status} {text[:300]!r}")
        return (time.perf_counter() - began) * 1000


class Slowest:
    """The slowest request of a time: ``with Slowest(...) as slowest: ...``, then ``slowest.ms``."""

    def __init__(self, house: House, numbers: Sequence[int]) -> None:
        self.ms = 0.0
        self._caller = Caller(house, numbers)
        self._ending = threading.Event()
        self._error: RigError | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Slowest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._caller as caller:
                caller.call(0)  # connects
                turn = 0
                while not self._ending.is_set():
                    turn += 1
                    self.ms = max(self.ms, caller.call(turn))
        except RigError as error:
            self._error = error


def measure(house: House, plan: Plan) -> Found:
    """Everything, in order: few keys first, then all of them."""
    found, lots = Found(), random.Random(plan.keys)
    found.one_connection = create(house, 0, FEW, 1)
    found.met_few = first_requests(house, range(FEW))
    found.cpu_few = least_cpu(house, range(FEW), plan.requests)
    found.connections = create(house, FEW, FEW + plan.created, CONNECTIONS)
    fill(house, FEW + plan.created, plan.keys, plan.teams)
    drawn = lots.sample(range(plan.keys), FEW)
    found.met_many = first_requests(house, drawn)
    found.cpu_many = least_cpu(house, drawn, plan.requests)
    found.cpu_all = cpu_per_request(house, lots.sample(range(plan.keys), plan.requests), plan.requests)
    for _ in range(plan.swaps):
        with Slowest(house, drawn) as slowest:
            found.swap_seconds.append(house.reload())
        found.slowest_swap_ms.append(slowest.ms)
        with Slowest(house, drawn) as slowest:
            time.sleep(found.swap_seconds[-1])  # the same time, in which nothing happens
        found.slowest_quiet_ms.append(slowest.ms)
    # The snapshot is mapped, and every further worker shares it: it is no worker's own.
    found.private_bytes = anonymous_bytes(house.worker)
    return found


def first_requests(house: House, numbers: Sequence[int]) -> float:
    """CPU of the first request of each key, in microseconds: a new snapshot makes them new to the worker."""
    found = []
    for _ in range(TIMES):
        house.reload()
        found.append(cpu_per_request(house, numbers, len(numbers)))
    return min(found)


def least_cpu(house: House, numbers: Sequence[int], requests: int) -> float:
    """CPU per request of keys that are known, in microseconds."""
    return min(cpu_per_request(house, numbers, requests // TIMES) for _ in range(TIMES))


def cpu_per_request(house: House, numbers: Sequence[int], requests: int) -> float:
    """Microseconds of the worker's CPU per request, from keys that take turns."""
    with Caller(house, numbers) as caller:
        before = cpu_seconds(house.worker)
        for turn in range(requests):
            caller.call(turn)
        return (cpu_seconds(house.worker) - before) / requests * 1e6


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    lines = [
        f"# {plan.keys:,} virtual keys of {plan.teams:,} teams, each with a budget",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* creation by the API: {found.one_connection:,.0f}/s on one connection ({FEW:,} keys),"
        f" {found.connections:,.0f}/s on {CONNECTIONS} ({plan.created:,} keys)\n"
        f"* CPU per request: {found.cpu_few:.0f} µs with {FEW:,} keys, {found.cpu_many:.0f} µs with {plan.keys:,},"
        f" {found.cpu_all:.0f} µs where {plan.requests:,} come from as many keys;"
        f" of a key's first request {found.met_few:.0f} and {found.met_many:.0f} µs (the least of {TIMES} times)\n"
        f"* slowest request, one after another: {median(found.slowest_swap_ms):.1f} ms while a snapshot is compiled and"
        f" swapped, {median(found.slowest_quiet_ms):.1f} ms without (medians of {plan.swaps} times)",
        promises(found.bounds()),
    ]
    return "\n\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.keys", description="What very many virtual keys cost.")
    add = chosen.add_argument
    add("--keys", type=between(5000, 2_000_000), default=plan.keys, help="in all (default: %(default)s)")
    add("--teams", type=between(1, 1_000_000), default=plan.teams, help="of most of them (default: %(default)s)")
    add("--created", type=between(100, 1_000_000), default=plan.created, help="by the API (default: %(default)s)")
    add("--requests", type=between(100, 1_000_000), default=plan.requests, help="at a time (default: %(default)s)")
    add("--swaps", type=between(1, 100), default=plan.swaps, help="of the snapshot, under load (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    options = vars(parser().parse_args())
    target, strict = options.pop("json"), options.pop("strict")
    plan = Plan(**options)
    if plan.created + FEW > plan.keys:
        print(f"--created and {FEW} more must not exceed --keys", file=sys.stderr)
        return 2
    found = measured(lambda house: measure(house, plan), NEEDED)
    if found is None:
        return 1
    print(markdown(found, plan))
    return keep("keys", target, plan, found, list(found.bounds()), strict=strict)


if __name__ == "__main__":
    sys.exit(main())
