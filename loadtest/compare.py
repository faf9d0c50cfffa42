"""``python -m loadtest.compare REV``: this tree's gateway against that of another revision; ``make bench-compare``.

One gateway of each, with one worker, on the same core. They take turns in short blocks of as many requests each, in an
order that gives both the same share of whatever slowly changes; the other one has nothing to do meanwhile.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest import nginx
from loadtest.clients import ask, prompts
from loadtest.cores import Cores, cpu_seconds
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, Booked, House, arena_folder, price
from loadtest.machine import describe
from loadtest.options import between, sizes
from loadtest.pairs import AFTER, BEFORE, FEWEST, ORDERS, Block, Slowdown, markdown, slowdowns
from loadtest.programs import Programs
from loadtest.runs import attempted, keep
from loadtest.trees import HERE, Tree, other

NEEDED: Final = ("git", "make", "nginx", "taskset", "setpriv")


@dataclass(frozen=True)
class Plan:
    """``against``: a revision, or the folder of a tree that is built. Each sitting has processes of its own."""

    against: str
    sizes: tuple[int, ...] = (1, 16, 200)
    sittings: int = 10
    rounds: int = 2
    requests: int = 4000
    connections: int = 64
    at_most: float = 1.05


@dataclass
class Found:
    """Commits and versions of both, and all blocks."""

    before: str
    after: str
    blocks: list[Block] = field(default_factory=list)
    slowdowns: list[Slowdown] = field(default_factory=list)

    def bounds(self, at_most: float) -> list[Bound]:
        """What is asked for: that nothing is surely slower than so many times."""
        return [
            Bound(f"slowdown of {one.figure}, {one.prompt_kb} KB", one.low, "or more", at_most)
            for one in self.slowdowns
        ]


def start(trees: Mapping[str, Tree], cores: Cores, folder: Path, port: int, stack: ExitStack) -> dict[str, House]:
    """One gateway of each tree, in their order, in front of the upstream at ``port``; they end with ``stack``."""
    houses = {}
    for name, tree in trees.items():
        place = folder / name
        place.mkdir()
        arena_dir = Path(stack.enter_context(arena_folder()))
        programs = stack.enter_context(Programs(place))
        houses[name] = House(programs, cores, arena_dir, upstream_port=port, source_port=port, tree=tree)
    return houses


class Sitting:
    """The blocks that the same two processes answer; ``number`` says which order comes first."""

    def __init__(self, number: int, plan: Plan, houses: Mapping[str, House]) -> None:
        self._number = number
        self._plan = plan
        self._houses = houses
        self._prompts = {size: prompts(size * 1024) for size in plan.sizes}
        self._booked = {name: Booked() for name in houses}

    def blocks(self) -> Iterator[Block]:
        """All of them, after some that do not count: both have answered before."""
        for size in self._plan.sizes:
            for name in self._houses:
                self._block(name, size, -1)
        for turn in range(self._plan.rounds):
            for size in self._plan.sizes:
                for name in ORDERS[(self._number + turn) % len(ORDERS)]:
                    yield self._block(name, size, turn)

    def _block(self, name: str, size: int, turn: int) -> Block:
        plan, house = self._plan, self._houses[name]
        [idle] = (each.worker for each in self._houses.values() if each is not house)
        idled = cpu_seconds(idle)
        answered = ask(
            house.port,
            self._prompts[size],
            count=plan.requests,
            connections=plan.connections,
            clock=lambda: cpu_seconds(house.worker),
        )
        idled = cpu_seconds(idle) - idled
        self._audit(name, plan.requests + plan.connections)
        used = answered.clock * 1e6 / plan.requests
        rate = plan.requests / answered.seconds
        return Block(name, size, self._number, turn, used, rate, idled / answered.seconds)

    def _audit(self, name: str, requests: int) -> None:
        """Wait until the ledger has the block, and so until nothing of it is left to do.

        Raises RigError unless it has exactly these requests, at their exact price.
        """
        before = self._booked[name]
        after = self._booked[name] = self._houses[name].settled(CONSTANT, before.requests + requests)
        expected = Booked(requests, requests * price(CONSTANT, nginx.COMPLETION_TOKENS), 0)
        if after.since(before) != expected:
            raise RigError(f"the gateway {name} has {after.since(before)} in its ledger, expected {expected}")


def measure(plan: Plan, folder: Path) -> Found:
    """Builds what is compared, and compares it."""
    cores = Cores.choose()
    trees = {BEFORE: other(plan.against, folder), AFTER: HERE}
    found = Found(trees[BEFORE].describe(), trees[AFTER].describe())
    os.sched_setaffinity(0, {cores.load})
    for number in range(plan.sittings):
        with ExitStack() as processes:
            place = Path(processes.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            port = nginx.upstream(processes.enter_context(Programs(place)), cores.load).port
            houses = start(trees, cores, place, port, processes)
            found.blocks += Sitting(number, plan, houses).blocks()
        trees = dict(reversed(trees.items()))  # who is started first next time
        print(f"sitting {number + 1} of {plan.sittings} done", file=sys.stderr)
    found.slowdowns = list(slowdowns(found.blocks))
    return found


def report(found: Found, plan: Plan) -> str:
    """Where, what, how, and the table."""
    lines = {
        **describe(),
        "before": found.before,
        "this tree": found.after,
        "method": f"{plan.sittings} times one gateway of each was started (`serve --workers 1`, a virtual key, four"
        f" budgets, a price, journal and ledger); {plan.rounds} rounds each, in which both answer twice"
        f" {plan.requests} requests of {plan.connections} connections, in the order ABBA or BAAB; no prompt was sent"
        " twice; after each block the ledger had its requests and their price",
        "figures": "before and this tree: medians of all blocks; slowdown: the median of the ratios within a round,"
        " bounds by bootstrap over starts and rounds",
        "the other worker": f"used at most {max(block.idle for block in found.blocks):.2%} of the core meanwhile",
    }
    parts = ["# This tree against another revision", "\n".join(f"* {name}: {text}" for name, text in lines.items())]
    return "\n\n".join([*parts, markdown(found.slowdowns, plan.at_most)])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan("")
    chosen = argparse.ArgumentParser(
        prog="python -m loadtest.compare", description="This tree's gateway against that of another revision."
    )
    add = chosen.add_argument
    add("against", metavar="REV", help="a revision, or the folder of a tree in which `make setup` was run")
    add("--sizes", type=sizes, default=plan.sizes, metavar="KB,KB", help="prompts (default: 1,16,200)")
    add("--sittings", type=between(1, 100), default=plan.sittings, help="starts of both (default: %(default)s)")
    add("--rounds", type=between(1, 100), default=plan.rounds, help="of each sitting (default: %(default)s)")
    add("--requests", type=between(100, 1_000_000), default=plan.requests, help="of a block (default: %(default)s)")
    add("--connections", type=between(1, 1024), default=plan.connections, help="(default: %(default)s)")
    add("--at-most", type=_times, default=plan.at_most, help="what is no failure (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    return chosen


def _times(text: str) -> float:
    number = float(text)
    if not 0.5 <= number <= 10:
        raise argparse.ArgumentTypeError("must be from 0.5 to 10, in times that before")
    return number


def main() -> int:
    """Entry point; returns the exit code."""
    command = parser()
    options = vars(command.parse_args())
    target = options.pop("json")
    plan = Plan(**options)
    if plan.sittings * plan.rounds < FEWEST:
        command.error(f"--sittings times --rounds must be at least {FEWEST}: fewer have no bounds")
    found = attempted(lambda folder: measure(plan, folder), NEEDED)
    if found is None:
        return 1
    print(report(found, plan))
    return keep("compare", target, plan, found, found.bounds(plan.at_most), strict=True)


if __name__ == "__main__":
    sys.exit(main())
