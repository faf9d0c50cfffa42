"""``python -m loadtest.workers``: what a request costs where two workers share a hot budget; ``make bench-workers``.

Two gateways of the same configuration, one with a worker, one with two, take turns at the same rate of requests in all,
offered by an open loop, at which each worker is idle for most of the time and hardly ever has two requests at once:
what differs is what the two cost each other. They count in the same four budgets, each on a core of its own. The
second core also has the load, the upstream and the control plane, which crowd its caches; so the one worker is measured
on either core, and two are compared with that mixture of both which their shares of the requests are.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from loadtest import nginx
from loadtest.cores import Cores, cpu_seconds, pin
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, House, arena_folder
from loadtest.machine import describe
from loadtest.offers import constant
from loadtest.openloop import OpenLoop, Phase
from loadtest.options import between
from loadtest.programs import Programs
from loadtest.report import promises, table
from loadtest.runs import played
from loadtest.stage import Subject
from loadtest.subjects import Audit

ALONE: Final = "one worker, alone on its core"
CROWDED: Final = "one worker, beside the load"
BOTH: Final = "two workers, one on each"
NEEDED: Final = ("nginx", "taskset", "setpriv")


@dataclass(frozen=True)
class Plan:
    """How long and how much: ``rate`` requests a second in all, over as many connections, in turns."""

    rounds: int = 5
    seconds: int = 8
    connections: int = 64
    rate: int = 3000


@dataclass(frozen=True)
class Block:
    """What one of the three took in a round. ``cpu``: microseconds per request, of all workers together."""

    name: str
    round: int
    cpu: float
    shares: list[float]
    """Of the requests, each worker's."""
    p50: float
    p999: float


@dataclass
class Found:
    """All blocks."""

    blocks: list[Block] = field(default_factory=list)

    def of(self, name: str) -> list[Block]:
        return [block for block in self.blocks if block.name == name]

    def ratios(self) -> list[float]:
        """Two workers through one, in each round: one on the same cores, each for its share of the requests."""
        found = []
        for alone, crowded, both in zip(self.of(ALONE), self.of(CROWDED), self.of(BOTH), strict=True):
            one = sum(share * block.cpu for share, block in zip(both.shares, (alone, crowded), strict=True))
            found.append(both.cpu / one)
        return found

    def bounds(self) -> Iterable[Bound]:
        """What is promised."""
        yield Bound("CPU per request, two workers", median(self.ratios()), "times that of one", 1.15)


class Turns:
    """Two gateways in front of one upstream."""

    def __init__(self, plan: Plan, cores: Cores, upstream: nginx.Nginx, houses: Mapping[int, House]) -> None:
        self._plan = plan
        self._cores = cores
        self._upstream = upstream
        self._houses = houses

    def blocks(self) -> Iterator[Block]:
        """Of all rounds; a first one, in which everything is met for the first time, does not count."""
        turns = {ALONE: [self._cores.subject], CROWDED: [self._cores.load], BOTH: [*vars(self._cores).values()]}
        for number in range(-1, self._plan.rounds):
            for name, cores in turns.items():
                block = self._block(name, cores, number)
                print(f"round {number + 1}: {name}: {block.cpu:.1f} µs of CPU each", file=sys.stderr)
                if number >= 0:
                    yield block

    def _block(self, name: str, cores: list[int], number: int) -> Block:
        plan, house = self._plan, self._houses[len(cores)]
        for worker, core in zip(house.workers, cores, strict=True):
            pin(worker, core)
        audit = Audit(house, CONSTANT, Subject(name, house.port, {"subject": house.worker}))
        asked, served, before = self._upstream.requests(), house.served(), _cpu(house)
        with OpenLoop(house.port, constant(1024), connections=plan.connections, rotates=True) as loop:
            seen = loop.run([Phase(plan.rate, plan.seconds)])
        seen.check()
        reached = self._upstream.requests() - asked
        cpu = (_cpu(house) - before) / reached * 1e6
        audit.settle(reached)
        audit.compare(reached, nginx.COMPLETION_TOKENS)
        shares = [(now - then) / reached for now, then in zip(house.served(), served, strict=True)]
        if min(shares) < 0.1:
            raise RigError(f"the workers had {shares} of the requests: too uneven a share to tell anything")
        times = seen.times("latency")
        return Block(name, number, cpu, shares, times.p50, times.p999)


def _cpu(house: House) -> float:
    return sum(map(cpu_seconds, house.workers))


def measure(plan: Plan, folder: Path) -> Found:
    """Starts both, and lets them take turns."""
    cores = Cores.choose()
    if cores.subject == cores.load:
        raise RigError("two workers need two cores")
    os.sched_setaffinity(0, {cores.load})
    with ExitStack() as stack:
        upstream = nginx.upstream(stack.enter_context(Programs(folder)), cores.load)
        houses = {}
        for workers in (1, 2):
            place = folder / f"{workers}"
            place.mkdir()
            arena_dir = Path(stack.enter_context(arena_folder()))
            programs, port = stack.enter_context(Programs(place)), upstream.port
            houses[workers] = House(programs, cores, arena_dir, upstream_port=port, source_port=port, workers=workers)
        return Found(list(Turns(plan, cores, upstream, houses).blocks()))


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    rows = []
    for name in (ALONE, CROWDED, BOTH):
        blocks = found.of(name)
        shares = " : ".join(f"{median(share):.0%}" for share in zip(*(block.shares for block in blocks), strict=True))
        figures = [
            f"{median(block.cpu for block in blocks):.1f}",
            f"{median(block.p50 for block in blocks) / 1000:.2f}",
            f"{median(block.p999 for block in blocks) / 1000:.2f}",
        ]
        rows.append([name, shares, *figures])
    lines = [
        "# Two workers, one hot budget",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* method: {plan.rounds} rounds in which all take turns, {plan.seconds} s each; an open loop, {plan.rate:,}"
        f" requests a second over {plan.connections} connections in turns, unique prompts of 1 KB; a key and four"
        " budgets; after each block the ledger had its requests at their exact price\n"
        "* figures: medians; CPU is user and system time of all workers",
        table(["", "shares", "µs of CPU each", "p50 ms", "p99.9 ms"], rows),
        promises(found.bounds()),
    ]
    return "\n\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.workers", description="What two workers cost each other.")
    add = chosen.add_argument
    add("--rounds", type=between(1, 100), default=plan.rounds, help="(default: %(default)s)")
    add("--seconds", type=between(1, 300), default=plan.seconds, help="of each block (default: %(default)s)")
    add("--connections", type=between(8, 1024), default=plan.connections, help="(default: %(default)s)")
    add("--rate", type=between(100, 20_000), default=plan.rate, help="of requests a second (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    return played("workers", parser(), plan=Plan, measure=measure, markdown=markdown, needed=NEEDED)


if __name__ == "__main__":
    sys.exit(main())
