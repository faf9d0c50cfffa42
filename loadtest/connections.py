"""``python -m loadtest.connections``: very many connections at once, and ever new ones; ``make bench-connections``.

First very many requests are open at once while a slow provider thinks, and all are answered. Then clients ask for long
streams and read nothing of them: what waits for them has a bound. Last, each request comes on a connection of its own,
at a constant rate.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from fastgate.simulator.process import Simulator
from loadtest import nginx, offers, streamed
from loadtest.cores import Cores, cpu_seconds, private_bytes
from loadtest.crowds import Deaf, Guest, Patient, crowd
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import INPUT_USD, OUTPUT_USD, SOURCE, Booked, House, arena_folder
from loadtest.machine import describe
from loadtest.openloop import OTHER_FILES, OpenLoop, Phase, Times, allow_files
from loadtest.options import between
from loadtest.programs import Programs
from loadtest.report import promises, table
from loadtest.runs import played

FILES_OF_A_REQUEST: Final = 2
"""Open ones in the worker: a client's connection and a provider's."""
DEAF: Final = 1000
LOOK_SECONDS: Final = 0.2
WAITING_MIB: Final = 256 + 256 // 4 + DEAF * 256 // 1024
"""256 MiB may wait in a worker for all clients; each may have a quarter of its part more, and a read of 256 KiB."""
KEPT: Final = "connections are kept"
NEW: Final = "a connection for each request"
NEEDED: Final = ("nginx", "taskset", "setpriv")


@dataclass(frozen=True)
class Plan:
    """Requests at once, and the rate and seconds of those that each have a connection of their own."""

    open: int = 10_000
    rate: int = 1000
    seconds: int = 20


@dataclass(frozen=True)
class Asked:
    """At a constant rate: microseconds of the worker's CPU per request, and latencies."""

    cpu: float
    latency: Times


@dataclass
class Found:
    """Private bytes of the worker: with nothing open, with ``open`` requests, after those, with what nobody reads."""

    open: int = 0
    before: int = 0
    with_open: int = 0
    after: int = 0
    with_deaf: int = 0
    asked: dict[str, Asked] = field(default_factory=dict)

    def bounds(self) -> Iterable[Bound]:
        """What is promised. Wrong and missing answers made the run void before."""
        yield Bound("requests open at once", self.open, "requests", 10_000, at_least=True)
        yield Bound("memory of each", (self.with_open - self.before) / self.open / 1000, "KB", 27)
        yield Bound("memory with who does not read", (self.with_deaf - self.before) / 2**20, "MiB more", WAITING_MIB)


def as_many_as_may_be(wanted: int) -> int:
    """Requests that may be open at once in a process: each takes two files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, (most - OTHER_FILES) // FILES_OF_A_REQUEST)


def measure(plan: Plan, folder: Path) -> Found:
    """Starts everything, and measures one after the other."""
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.load})
    found = Found(as_many_as_may_be(plan.open))
    allow_files(found.open + OTHER_FILES)
    prices = folder / "prices.json"
    usd = {"input_usd_per_million": str(INPUT_USD), "output_usd_per_million": str(OUTPUT_USD)}
    prices.write_text(json.dumps({streamed.MODEL: usd}))
    with ExitStack() as stack:
        arena_dir = Path(stack.enter_context(arena_folder()))
        programs = stack.enter_context(Programs(folder))
        upstream = nginx.upstream(programs, cores.load)
        simulator = stack.enter_context(Simulator(prices=prices))
        source_port = int(simulator.url.rpartition(":")[2])
        house = House(programs, cores, arena_dir, upstream_port=upstream.port, source_port=source_port)
        crowd(house.port, Deaf, 1, 1)
        compare(house, simulator)
        found.before = private_bytes(house.worker)
        found.with_open = with_guests(house, Patient, found.open)
        compare(house, simulator)
        found.after = private_bytes(house.worker)
        found.with_deaf = with_guests(house, Deaf, DEAF)
        compare(house, simulator)
        for name in (KEPT, NEW):
            found.asked[name] = asked(house, plan, keeps=name == KEPT)
    return found


def with_guests(house: House, guest: Callable[[], Guest], guests: int) -> int:
    """The most private bytes of the worker while so many requests are open at once, and served to their end.

    Raises RigError where they were not all open at once.
    """
    most, peak = 0, 0
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(crowd, house.port, guest, guests, guests)
        while not served.done():
            most, peak = max(most, house.open_requests()), max(peak, private_bytes(house.worker))
            time.sleep(LOOK_SECONDS)
        served.result()
    if most < guests:
        raise RigError(f"of {guests} requests only {most} were open at once")
    return peak


def compare(house: House, simulator: Simulator) -> None:
    """Raises RigError unless the ledger has what the simulator billed, exactly."""
    bill = simulator.bill()["total"]
    billed = Booked(bill["requests"], Decimal(bill["usd"]))
    booked = house.settled(SOURCE, billed.requests)
    if booked != billed:
        raise RigError(f"the provider billed {billed}, the ledger has {booked}")


def asked(house: House, plan: Plan, *, keeps: bool) -> Asked:
    """Requests to the constant upstream."""
    with OpenLoop(house.port, offers.constant(1024), keeps=keeps) as loop:
        loop.run([Phase(plan.rate, 1)]).check()
        before = cpu_seconds(house.worker)
        seen = loop.run([Phase(plan.rate, plan.seconds)])
        seen.check()
        return Asked((cpu_seconds(house.worker) - before) / seen.requests * 1e6, seen.times("latency"))


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    rows = [
        [name, f"{one.cpu:.1f}", *(f"{value / 1000:.2f}" for value in (one.latency.p50, one.latency.p99))]
        for name, one in found.asked.items()
    ]
    lines = [
        "# Very many connections",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* {found.open:,} requests were open at once on one worker, as many as its limit of open files allows, each on"
        " a connection of its own to a provider that thinks for 30 s, and all were answered\n"
        f"* then {DEAF:,} clients asked for a stream of 2 MB each, and read nothing\n"
        f"* the worker's private memory: {found.before / 1e6:.1f} MB, at most {found.with_open / 1e6:.1f} MB with those"
        f" that wait; {found.after / 1e6:.1f} MB after them, at most {found.with_deaf / 1e6:.1f} MB with those unread\n"
        "* the ledger equalled the bill",
        table([f"{plan.rate:,} requests/s for {plan.seconds} s", "µs of CPU each", "p50 ms", "p99 ms"], rows),
        promises(found.bounds()),
    ]
    return "\n\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.connections", description="Very many connections.")
    add = chosen.add_argument
    add("--open", type=between(10, 16_000), default=plan.open, help="requests at once (default: %(default)s)")
    add("--rate", type=between(10, 20_000), default=plan.rate, help="new connections a second (default: %(default)s)")
    add("--seconds", type=between(1, 600), default=plan.seconds, help="of them (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    return played("connections", parser(), plan=Plan, measure=measure, markdown=markdown, needed=NEEDED)


if __name__ == "__main__":
    sys.exit(main())
