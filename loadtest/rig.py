"""The measurement of a closed loop: everything is started once, then the subjects take turns."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from loadtest import house, nginx, offers, wrk
from loadtest.cores import Cores, rests
from loadtest.errors import RigError
from loadtest.figures import LONG_KB, Figures, Run
from loadtest.machine import describe
from loadtest.openloop import OpenLoop
from loadtest.plan import Plan
from loadtest.programs import leashed, until
from loadtest.reader import Wanted, command
from loadtest.stage import Casting, Subject
from loadtest.subjects import Audit, Clock, Subjects, outside, weight

READER_SECONDS: Final = 20.0
"""Beyond what the streams take."""


class Rig:
    """One plan at all its subjects."""

    def __init__(self, plan: Plan, cores: Cores, subjects: Subjects, machine: dict[str, str]) -> None:
        """``machine``: as it was before the subjects were started."""
        self._plan = plan
        self._cores = cores
        self._subjects = subjects
        versions = {subject.name: subject.version for subject in subjects.constant if subject.version}
        self.figures = Figures(cores, {**machine, **versions})

    def measure(self) -> Figures:
        """Every subject under every load, in turns. Raises RigError where an answer or the ledger is wrong."""
        for _ in range(self._plan.warm):
            for size in self._plan.sizes:
                for subject in self._subjects.constant:
                    self._constant(subject, size, 0)
        for number in range(self._plan.runs):
            for size in self._plan.sizes:
                for subject in self._subjects.constant:
                    self._note(self._constant(subject, size, number))
            for subject in self._subjects.streamed:
                self._note(self._stream(subject, number))
        return self.figures

    def _note(self, run: Run) -> None:
        self._subjects.check()
        self.figures.runs.append(run)
        kind = f"{run.prompt_kb} KB" if run.prompt_kb else "stream"
        used = f", {run.cpu['subject']:.1f} µs of CPU each" if "subject" in run.cpu else ""
        print(f"round {run.round + 1}: {run.subject}, {kind}: {run.rate:,.0f}/s{used}", file=sys.stderr)

    def _constant(self, subject: Subject, size: int, number: int) -> Run:
        plan, asked = self._plan, self._subjects.upstream.requests()
        ledger, clock = Audit(self._subjects.house, house.CONSTANT, subject), Clock(subject.pids, self._cores.subject)
        load = self._saturate if size >= LONG_KB and not subject.rewrites else self._wrk
        loaded = load(subject, size * 1024)
        busy = clock.busy()
        self._rest(subject)
        reached = self._subjects.upstream.requests() - asked
        ledger.settle(reached)
        spent = {**clock.spent(), "load": loaded.cpu_seconds}
        if not loaded.requests <= reached <= loaded.requests + plan.connections:
            raise RigError(f"{subject.name}: {loaded.requests} requests were answered, {reached} reached the upstream")
        ledger.compare(reached, nginx.COMPLETION_TOKENS)
        return Run(
            subject.name,
            size,
            number,
            loaded.requests,
            loaded.requests / loaded.seconds,
            {name: seconds * 1e6 / reached for name, seconds in spent.items()},
            loaded.p50,
            loaded.p99,
            loaded.p999,
            outside(busy, spent, loaded.seconds),
            weight(subject),
        )

    def _wrk(self, subject: Subject, size: int) -> wrk.Loaded:
        return wrk.load(
            subject.port,
            prompt_bytes=size,
            model=f"{house.CONSTANT}/{nginx.MODEL}",
            key=house.KEY,
            connections=self._plan.connections,
            seconds=self._plan.seconds,
            headers=subject.headers,
            text=nginx.CONTENT,
        )

    def _saturate(self, subject: Subject, size: int) -> wrk.Loaded:
        with OpenLoop(subject.port, offers.constant(size), connections=self._plan.connections) as loop:
            seen = loop.saturate(self._plan.seconds)
        seen.check()
        times = seen.times("latency")
        return wrk.Loaded(
            seen.answered, seen.seconds, round(times.p50), round(times.p99), round(times.p999), seen.cpu_seconds
        )

    def _stream(self, subject: Subject, number: int) -> Run:
        plan, ledger = self._plan, Audit(self._subjects.house, house.SOURCE, subject)
        length = plan.chunks * plan.chunk_ms / 1000
        wanted = Wanted(
            port=subject.port,
            path=subject.path,
            streams=plan.streams,
            repeat=plan.repeat(),
            chunks=plan.chunks,
            stagger=length,
            include_usage=subject.include_usage,
            headers=dict(subject.headers),
        )
        clock = Clock(subject.pids, self._cores.subject)
        seconds = length * (plan.repeat() + 1)
        seen = read_streams(wanted, seconds + READER_SECONDS)
        busy = clock.busy()
        streams, chunks = plan.streams * plan.repeat(), int(seen["chunks"])
        ledger.settle(streams)
        spent = clock.spent()
        if seen["failed"] or seen["streams"] != streams or chunks != streams * plan.chunks:
            raise RigError(f"{subject.name}: streams were not relayed whole: {seen}, expected {streams} streams")
        ledger.compare(streams, plan.chunks)
        cpu = {name: used * 1e6 / chunks for name, used in spent.items()}
        delays = seen["p50"], seen["p99"], seen["p999"]
        return Run(
            subject.name,
            0,
            number,
            chunks,
            chunks / seen["seconds"],
            cpu,
            *delays,
            outside(busy, spent, seen["seconds"]),
            weight(subject),
        )

    def _rest(self, subject: Subject) -> None:
        """Wait until it has done what clients that have left had asked for.

        That no request reaches the upstream for a moment does not show it: from a slow subject they are rare.
        """
        doing = [pid for name, pid in subject.pids.items() if name in {"subject", "upstream"}]
        until(lambda: rests(doing), f"{subject.name} has nothing left to do")


def play(plan: Plan, casting: Casting, folder: Path) -> Figures:
    """Carry out a plan with a cast, in a folder for what its processes write. Raises RigError where it is void."""
    cores, machine = Cores.choose(), describe()
    with Subjects(cores, folder, chunks=plan.chunks, chunk_ms=plan.chunk_ms, casting=casting) as subjects:
        return Rig(plan, cores, subjects, machine).measure()


def read_streams(wanted: Wanted, seconds: float) -> dict[str, Any]:
    """Run the clients of streams; what they saw."""
    try:
        done = subprocess.run(leashed(command(wanted)), capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise RigError(f"streams did not end within {seconds:g} s") from None
    if done.returncode:
        raise RigError(f"the reader of streams failed: {done.stderr[-2000:]}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
