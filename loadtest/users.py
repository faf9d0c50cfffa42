"""``python -m loadtest.users``: what very many budgets cost that traffic makes; ``make bench-users``.

One key whose template gives each user a budget; every request is of another user. Its CPU per request is measured from
the first to the last, in steps of which the least one counts: what else the machine does only ever adds to it.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest import nginx
from loadtest.cores import anonymous_bytes, cpu_seconds
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, KEY, House
from loadtest.machine import describe
from loadtest.options import between
from loadtest.report import promises, table
from loadtest.runs import keep, measured
from loadtest.wrk import load_users

NEEDED: Final = ("nginx", "taskset", "setpriv", "wrk")
TEMPLATE: Final = """\
    trusted_identity: true
    each: {user: {budgets: [{limit_usd: "20", window: day}]}}
"""
MODEL: Final = f"{CONSTANT}/{nginx.MODEL}"
PARTS: Final = 10
"""Of all users, of which the first and the last are compared."""
CONNECTIONS: Final = 32
DRAIN_SECONDS: Final = 300.0
LOOKS: Final = 5
"""Times that a list is asked for; the quickest counts."""


@dataclass(frozen=True)
class Plan:
    """How many users, and the seconds of one step."""

    users: int = 1_000_000
    seconds: int = 2


@dataclass(frozen=True)
class Step:
    """``first``: users that there were before; CPU of the worker and the median latency in microseconds."""

    first: int
    requests: int
    cpu: float
    p50: int
    rate: float


@dataclass
class Found:
    """Bytes, seconds."""

    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0
    worker_before: int = 0
    worker_after: int = 0
    control_before: int = 0
    control_after: int = 0
    arena_bytes: int = 0
    cells: int = 0
    drained_seconds: float = 0.0
    one_budget_seconds: float = 0.0
    """To list a budget by its owner: all cells are looked at."""

    def part(self, number: int, users: int) -> list[Step]:
        """The steps that began in one of ``PARTS``; the last one's where there are so few that none did."""
        began = [step for step in self.steps if number * users <= step.first * PARTS < (number + 1) * users]
        return began or self.steps[-1:]

    def cpu(self, number: int, users: int) -> float:
        """Of the least disturbed step of a part."""
        return min(step.cpu for step in self.part(number, users))

    def bounds(self, plan: Plan) -> Iterable[Bound]:
        """What is promised."""
        ratio = self.cpu(PARTS - 1, plan.users) / self.cpu(0, plan.users)
        yield Bound("CPU per request, the last tenth of the users", ratio, "times that of the first tenth", 1.1)
        yield Bound("the arena", self.arena_bytes / 1e6, "MB", 300)
        yield Bound("the worker's private memory", self.worker_after / 1e6, "MB", 150)
        yield Bound("private memory of the control process", self.control_after / 1e6, "MB", 400)
        yield Bound("a budget, listed by its owner", self.one_budget_seconds, "s", 2)


def measure(house: House, plan: Plan) -> Found:
    """Everything, in order."""
    found = Found(worker_before=anonymous_bytes(house.worker), control_before=anonymous_bytes(house.control))
    began = time.monotonic()
    users = 0
    while users < plan.users:
        found.steps.append(step(house, users, plan.seconds))
        users += found.steps[-1].requests + 1 + CONNECTIONS  # wrk tries one itself, and each may leave one unanswered
    found.seconds = time.monotonic() - began
    found.worker_after = anonymous_bytes(house.worker)
    drain(house, sum(step.requests for step in found.steps))
    found.drained_seconds = time.monotonic() - began - found.seconds
    found.control_after = anonymous_bytes(house.control)
    arena = house.status()["arena"]
    found.arena_bytes, found.cells = arena["bytes"], arena["cells"]
    if found.cells < sum(step.requests for step in found.steps):
        raise RigError(f"{users} users made only {found.cells} budgets")
    found.one_budget_seconds = min(listed(house, found.steps[-1].first + 1) for _ in range(LOOKS))
    return found


def step(house: House, first: int, seconds: int) -> Step:
    """Requests for so many seconds, each of a user that never came before."""
    before = cpu_seconds(house.worker)
    loaded = load_users(house.port, model=MODEL, key=KEY, connections=CONNECTIONS, first=first, seconds=seconds)
    cpu = (cpu_seconds(house.worker) - before) / loaded.requests * 1e6
    return Step(first, loaded.requests, cpu, loaded.p50, loaded.requests / loaded.seconds)


def drain(house: House, requests: int) -> None:
    """Wait until the ledger has all requests. Raises RigError where it does not come to have them."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while house.status()["journals"]["lag_events"] or house.booked(CONSTANT).requests < requests:
        if time.monotonic() > deadline:
            raise RigError(f"the ledger does not have {requests} requests within {DRAIN_SECONDS:g} s")
        time.sleep(0.2)


def listed(house: House, number: int) -> float:
    """Seconds to list the budgets of one user. Raises RigError where it is not what one request spent."""
    began = time.monotonic()
    [budget] = house.budgets(level="user", owner=f"user:key/user-{number}")
    if not float(budget["spent_usd"]):
        raise RigError(f"nothing was spent of {budget}")
    return time.monotonic() - began


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    rows = []
    for number in range(PARTS):
        steps = found.part(number, plan.users)
        name = f"users {number * plan.users // PARTS:,} to {(number + 1) * plan.users // PARTS:,}"
        p50, rate = min(step.p50 for step in steps), max(step.rate for step in steps)
        rows.append([name, f"{found.cpu(number, plan.users):.0f}", f"{p50 / 1000:.2f}", f"{rate:,.0f}"])
    requests = sum(step.requests for step in found.steps)
    lines = [
        f"# {plan.users:,} budgets of users, made by traffic",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* {requests:,} requests, each of another user, on {CONNECTIONS} connections in {found.seconds:,.0f} s; the"
        f" ledger had them {found.drained_seconds:.1f} s later\n"
        f"* private memory: worker {found.worker_before / 1e6:.0f} MB before, {found.worker_after / 1e6:.0f} MB after;"
        f" control process {found.control_before / 1e6:.0f} and {found.control_after / 1e6:.0f} MB\n"
        f"* the arena: {found.arena_bytes / 1e6:,.0f} MB, {found.cells:,} cells; one budget listed by its owner in"
        f" {found.one_budget_seconds * 1000:.0f} ms",
        table(["of each tenth, the best step", "µs of CPU", "p50 ms", "requests/s"], rows),
        promises(found.bounds(plan)),
    ]
    return "\n\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    chosen = argparse.ArgumentParser(prog="python -m loadtest.users", description="What very many users' budgets cost.")
    add = chosen.add_argument
    add("--users", type=between(1000, 1_000_000), default=Plan().users, help="in all (default: %(default)s)")
    add("--seconds", type=between(1, 60), default=Plan().seconds, help="of one step (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    options = parser().parse_args()
    plan = Plan(options.users, options.seconds)
    found = measured(lambda house: measure(house, plan), NEEDED, TEMPLATE)
    if found is None:
        return 1
    print(markdown(found, plan))
    return keep("users", options.json, plan, found, list(found.bounds(plan)), strict=options.strict)


if __name__ == "__main__":
    sys.exit(main())
