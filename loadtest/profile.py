"""``python -m loadtest.profile``: where the CPU of a request goes, over the whole path, under load; ``make profile``.

Three runs at one worker: as it is, for the CPU of a request; with ``perf``, which samples what code the worker is in;
with ``strace``, which counts its system calls. It is the clock that is sampled, as virtual machines count no cycles.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest import house, nginx, wrk
from loadtest.cores import Cores, cpu_seconds
from loadtest.errors import RigError
from loadtest.house import House, arena_folder
from loadtest.machine import describe
from loadtest.options import between
from loadtest.programs import Programs, leashed
from loadtest.runs import attempted

CONNECTIONS: Final = 64
HERTZ: Final = 4999
SETTLE_SECONDS: Final = 2
"""Of load before anything is looked at."""

_OURS: Final = re.compile(r"^(\w+)\.cpython.*\.so$")
# By the compiled unit's name, else by the file's. What is found nowhere here is "the rest".
_PARTS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("kernel: both connections, waking, waiting", frozenset({"[kernel.kallsyms]", "[vdso]"})),
    ("server: requests read, answers put together", frozenset({"client", "request", "head", "server", "outbox"})),
    ("upstream client", frozenset({"upstream", "connection", "exchange"})),
    ("llhttp and its callbacks", frozenset({"parser"})),
    ("loop: uvloop, and what runs in it", frozenset({"loop", "_asyncio", "runner"})),
    ("bodies: searched, spliced, metered", frozenset({"body", "walk", "names", "paths", "events", "inspection"})),
    (
        "money: budgets, prices, journal",
        frozenset(
            {"arena", "budget", "levels", "steps", "windows", "owner", "owed", "price", "journal", "learned", "terms"}
        ),
    ),
    ("interpreter: the pipeline, objects, dictionaries", frozenset({"python", "libpython"})),
    ("C library: copies, allocation", frozenset({"libc"})),
)
_REST: Final = "the rest"


@dataclass(frozen=True)
class Plan:
    """``size``: of a prompt in KB; ``seconds``: of each of the three runs."""

    size: int = 1
    seconds: int = 8


@dataclass
class Profile:
    """Of one request."""

    rate: float = 0.0
    cpu_us: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    """Of the worker's CPU, by the part of the code."""
    calls: dict[str, float] = field(default_factory=dict)
    """System calls, by name."""


def part_of(program: str) -> str:
    """Which part of the path the code of a mapped file is."""
    unit = _OURS.match(program)
    name = unit[1] if unit else re.split(r"[-.\d]", program)[0] if not program.startswith("[") else program
    return next((part for part, names in _PARTS if name in names), _REST)


def shares(report: str) -> dict[str, float]:
    """Percentages by part, from ``perf report --sort dso``."""
    found: dict[str, float] = {}
    for line in report.splitlines():
        if sample := re.match(r"\s*([\d.]+)%\s+(\S+)", line):
            part = part_of(sample[2])
            found[part] = found.get(part, 0.0) + float(sample[1])
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def calls(summary: str) -> dict[str, int]:
    """How often each system call was made, from ``strace -c``."""
    rows = (line.split() for line in summary.splitlines())
    return {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}


class Profiler:
    """A gateway under load, looked at in three ways."""

    def __init__(self, stack: ExitStack, folder: Path, plan: Plan) -> None:
        cores = Cores.choose()
        arena_dir = Path(stack.enter_context(arena_folder()))
        programs = stack.enter_context(Programs(folder))
        self._plan, self._folder = plan, folder
        self._upstream = nginx.upstream(programs, cores.load)
        port = self._upstream.port
        self._house = House(programs, cores, arena_dir, upstream_port=port, source_port=port)
        self._pool = stack.enter_context(ThreadPoolExecutor(1))

    def measure(self) -> Profile:
        """Raises RigError where an answer is wrong, or a tool fails."""
        cpu = cpu_seconds(self._house.worker)
        loaded = self._load()
        used = (cpu_seconds(self._house.worker) - cpu) * 1e6 / loaded.requests
        found = Profile(loaded.requests / loaded.seconds, used)
        found.shares = self._while_loaded(self._sampled)
        found.calls = self._while_loaded(self._traced)
        return found

    def _load(self) -> wrk.Loaded:
        plan = self._plan
        return wrk.load(
            self._house.port,
            prompt_bytes=plan.size * 1024,
            model=f"{house.CONSTANT}/{nginx.MODEL}",
            key=house.KEY,
            connections=CONNECTIONS,
            seconds=plan.seconds,
        )

    def _while_loaded(self, look: Callable[[], dict[str, float]]) -> dict[str, float]:
        load = self._pool.submit(self._load)
        time.sleep(SETTLE_SECONDS)
        seen = look()
        load.result()
        return seen

    def _sampled(self) -> dict[str, float]:
        samples, seconds = self._folder / "perf.data", str(self._plan.seconds - 2 * SETTLE_SECONDS)
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(HERTZ), "-p", str(self._house.worker)]
        _run([*record, "-o", str(samples), "--", "sleep", seconds])
        return shares(_run(["perf", "report", "-q", "-i", str(samples), "--no-children", "--sort", "dso"]))

    def _traced(self) -> dict[str, float]:
        summary, seconds = self._folder / "strace", str(self._plan.seconds - 2 * SETTLE_SECONDS)
        timed = ["timeout", "--signal", "INT", "--preserve-status", seconds]
        before = self._upstream.served()
        _run([*timed, "strace", "-f", "-q", "-c", "-p", str(self._house.worker), "-o", str(summary)], ok=(0, 130))
        asked = self._upstream.served() - before
        return {name: count / asked for name, count in calls(summary.read_text()).items()}


def _run(command: list[str], ok: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(leashed(command), capture_output=True, text=True, check=False)
    if done.returncode not in ok:
        raise RigError(f"{command[0]} failed with status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def markdown(found: Profile, plan: Plan, machine: Mapping[str, str]) -> str:
    """The tables."""
    lines = [f"# Where a request's CPU goes, {plan.size} KB", ""]
    lines += [f"* {name}: {value}" for name, value in machine.items()]
    lines += [f"* {found.rate:,.0f} requests/s, {found.cpu_us:.1f} µs of the worker's CPU each, without the tools", ""]
    lines += ["| where | share | µs |", "| --- | --: | --: |"]
    total = sum(found.shares.values())
    for part, share in found.shares.items():
        lines.append(f"| {part} | {share / total:.1%} | {share / total * found.cpu_us:.1f} |")
    lines += ["", "| system call | each request |", "| --- | --: |"]
    lines += [f"| `{name}` | {count:.2f} |" for name, count in found.calls.items() if count >= 0.005]
    return "\n".join(lines)


def main() -> int:
    """Entry point; returns the exit code."""
    plan = Plan()
    chosen = argparse.ArgumentParser(prog="python -m loadtest.profile", description=sys.modules[__name__].__doc__)
    chosen.add_argument(
        "--size", type=between(1, 256), default=plan.size, help="of a prompt in KB (default: %(default)s)"
    )
    chosen.add_argument(
        "--seconds", type=between(6, 60), default=plan.seconds, help="of each run (default: %(default)s)"
    )
    plan = Plan(**vars(chosen.parse_args()))

    def measure(folder: Path) -> Profile:
        with ExitStack() as stack:
            return Profiler(stack, folder, plan).measure()

    found = attempted(measure, ("nginx", "wrk", "taskset", "setpriv", "perf", "strace"))
    if found is None:
        return 1
    print(markdown(found, plan, describe()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
