"""``python -m loadtest.soak``: whether memory stays what it is over a million requests; ``make soak``.

All rounds are alike: requests as fast as they are answered, clients that leave in the middle of streams, others that
read slowly, reloads, and a ledger that cannot be written all the while. At the end of each the ledger catches up, has
to equal the providers' bills, and when nothing is left to do the memory is read that each process has for itself alone.
The first round warms up, its end is what the ends of the others are compared with.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from fastgate.simulator.process import Simulator
from loadtest import nginx, streamed
from loadtest.clients import ask, prompts
from loadtest.cores import Cores, private_bytes
from loadtest.crowds import Dawdler, Leaver, crowd
from loadtest.errors import RigError
from loadtest.figures import Bound
from loadtest.house import CONSTANT, INPUT_USD, OUTPUT_USD, SOURCE, Booked, House, arena_folder, price
from loadtest.machine import describe
from loadtest.options import between
from loadtest.programs import Programs, until
from loadtest.refusal import refused
from loadtest.report import promises, table
from loadtest.runs import played

CONNECTIONS: Final = 64
LEAVING_AT_ONCE: Final = 50
DAWDLING_AT_ONCE: Final = 10
MOST_BYTES: Final = 16 << 10
"""Of the ledger's files while it cannot be written: less than they have already, so that no row finds a place."""
FLUSH_SECONDS: Final = 10.0
"""In which the ledger is tried again at least once."""
DRAIN_SECONDS: Final = 120.0
MOST_GROWTH: Final = 1.05
WORKER: Final = "worker"
CONTROL: Final = "control plane"
SUPERVISOR: Final = "supervisor"
LEDGER: Final = "of it the ledger"
"""What the control plane's database has in memory by its own count, which grows with the ledger up to a bound."""
LEDGER_MB: Final = 512
SHOWN: Final = (WORKER, SUPERVISOR, CONTROL, LEDGER)
NEEDED: Final = ("nginx", "taskset", "setpriv")


@dataclass(frozen=True)
class Plan:
    """How much in all, without the warm-up, and in how many rounds; each burst of a round ends with a reload.

    Memory is read ``idle_seconds`` after the last thing that was left to do.
    """

    requests: int = 1_000_000
    leavers: int = 10_000
    dawdlers: int = 1000
    failures: int = 1000
    rounds: int = 10
    bursts: int = 10
    idle_seconds: int = 15

    def part(self, number: int) -> int:
        """Of a number, what each burst has; at least one."""
        return max(1, number // (self.rounds * self.bursts))


@dataclass(frozen=True)
class Idle:
    """The end of a round: what was done until then, the warm-up included, and the private bytes of each process.

    ``bytes`` also has what of the control plane's is the ledger's.
    """

    seconds: float
    requests: int
    failures: int
    reloads: int
    bytes: dict[str, int]
    file_bytes: int
    """Of the ledger on the disk."""

    def own(self, name: str) -> int:
        """What a process has whatever is in the ledger."""
        return self.bytes[name] - (self.bytes[LEDGER] if name == CONTROL else 0)


@dataclass
class Found:
    """One :class:`Idle` for each round, that of the warm-up first."""

    idle: list[Idle] = field(default_factory=list)

    def bounds(self) -> Iterable[Bound]:
        """What is promised."""
        for name in (WORKER, CONTROL, SUPERVISOR):
            what = f"private memory of the {name}{', without the ledger' if name == CONTROL else ''}"
            growth = self.idle[-1].own(name) / self.idle[0].own(name)
            yield Bound(what, growth, "times that after the warm-up", MOST_GROWTH)
        most = max(idle.bytes[LEDGER] for idle in self.idle) / 2**20
        yield Bound("what the ledger has in memory", most, "MiB", LEDGER_MB)


class Soak:
    """A gateway between all these clients and two providers: a constant one, and the simulator."""

    def __init__(self, plan: Plan, house: House, upstream: nginx.Nginx, simulator: Simulator) -> None:
        self._plan = plan
        self._house = house
        self._upstream = upstream
        self._simulator = simulator
        self._prompts = prompts(1024)
        self._pids = {WORKER: house.worker, CONTROL: house.control, SUPERVISOR: house.supervisor}
        self._reloads = 0
        self._began = time.monotonic()

    def rounds(self) -> Iterator[Idle]:
        """All of them, and one more to begin with."""
        for number in range(self._plan.rounds + 1):
            with refused(self._house.control, MOST_BYTES):
                for _ in range(self._plan.bursts):
                    self._burst()
            self._compare()
            time.sleep(self._plan.idle_seconds)
            idle = self._idle()
            sizes = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in idle.bytes.items())
            print(f"round {number} of {self._plan.rounds}: {sizes}; {idle.failures} failed flushes", file=sys.stderr)
            yield idle

    def _burst(self) -> None:
        plan, house = self._plan, self._house
        wanted = self._failures() + plan.part(plan.failures)
        requests = plan.part(plan.requests) - CONNECTIONS  # one on each connection is asked before
        ask(house.port, self._prompts, count=requests, connections=CONNECTIONS, clock=time.monotonic)
        crowd(house.port, Leaver, plan.part(plan.leavers), LEAVING_AT_ONCE)
        crowd(house.port, Dawdler, plan.part(plan.dawdlers), DAWDLING_AT_ONCE)
        house.reload()
        self._reloads += 1
        until(
            lambda: self._failures() >= wanted, "the ledger was tried again", plan.part(plan.failures) * FLUSH_SECONDS
        )

    def _failures(self) -> int:
        return int(self._house.status()["ledger"]["failures"])

    def _compare(self) -> None:
        """Waits for the last row. Raises RigError unless the ledger has what both providers billed, exactly."""
        asked, bill = self._upstream.requests(), self._simulator.bill()["total"]
        expected = {
            CONSTANT: Booked(asked, asked * price(CONSTANT, nginx.COMPLETION_TOKENS)),
            SOURCE: Booked(bill["requests"], Decimal(bill["usd"])),
        }
        for provider, billed in expected.items():
            booked = self._house.settled(provider, billed.requests, DRAIN_SECONDS)
            if booked != billed:
                raise RigError(f"{provider} billed {billed}, the ledger has {booked}")

    def _idle(self) -> Idle:
        ledger = self._house.status()["ledger"]
        return Idle(
            time.monotonic() - self._began,
            self._upstream.requests() + int(self._simulator.bill()["total"]["requests"]),
            int(ledger["failures"]),
            self._reloads,
            {**{name: private_bytes(pid) for name, pid in self._pids.items()}, LEDGER: int(ledger["memory_bytes"])},
            int(ledger["bytes"]),
        )


def measure(plan: Plan, folder: Path) -> Found:
    """Starts everything, and goes through all rounds."""
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.load})
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
        return Found(list(Soak(plan, house, upstream, simulator).rounds()))


def markdown(found: Found, plan: Plan) -> str:
    """The figures, and what is promised."""
    rows = []
    for number, idle in enumerate(found.idle):
        sizes = [f"{idle.bytes[name] / 1e6:.2f}" for name in SHOWN]
        counts = [f"{count:,}" for count in (idle.requests, idle.failures, idle.reloads)]
        name = str(number) if number else "warm-up"
        rows.append([name, f"{idle.seconds:,.0f}", *counts, *sizes, f"{idle.file_bytes / 1e6:.1f}"])
    last = found.idle[-1]
    lines = [
        "# Memory over a million requests",
        "\n".join(f"* {name}: {text}" for name, text in describe().items()),
        f"* {last.requests:,} requests in {last.seconds / 60:,.1f} minutes: {plan.requests:,} as fast as they were"
        f" answered, on {CONNECTIONS} connections; {plan.leavers:,} streams whose clients left; {plan.dawdlers:,} that"
        f" were read slowly; and a {plan.rounds}th of each to warm up\n"
        f"* the ledger could not be written {last.failures:,} times, the configuration was reloaded {last.reloads:,}"
        " times; after each round the ledger equalled the providers' bills, with no row marked as an estimate\n"
        f"* memory: private pages, clean and dirty, {plan.idle_seconds} s after the last thing to do, in MB",
        table(["round", "s", "requests", "failed flushes", "reloads", *SHOWN, "on the disk"], rows),
        promises(found.bounds()),
    ]
    return "\n\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.soak", description="Whether memory stays what it is.")
    add = chosen.add_argument
    add("--requests", type=between(1000, 100_000_000), default=plan.requests, help="(default: %(default)s)")
    add("--leavers", type=between(10, 10_000_000), default=plan.leavers, help="of streams (default: %(default)s)")
    add("--dawdlers", type=between(10, 1_000_000), default=plan.dawdlers, help="of streams (default: %(default)s)")
    add("--failures", type=between(1, 1_000_000), default=plan.failures, help="of flushes (default: %(default)s)")
    add("--rounds", type=between(1, 1000), default=plan.rounds, help="beside the warm-up (default: %(default)s)")
    add("--bursts", type=between(1, 100), default=plan.bursts, help="of each (default: %(default)s)")
    add("--idle-seconds", type=between(0, 600), default=plan.idle_seconds, help="after each (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="for every figure (default: a new one in loadtest/results)")
    add("--strict", action="store_true", help="end with status 1 where a promise is not kept")
    return chosen


def main() -> int:
    """Entry point; returns the exit code."""
    return played("soak", parser(), plan=Plan, measure=measure, markdown=markdown, needed=NEEDED)


if __name__ == "__main__":
    sys.exit(main())
