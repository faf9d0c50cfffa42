"""The measurement: everything is started once, then the subjects take turns."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from loadtest import house, nginx, wrk
from loadtest.cores import Cores, private_bytes
from loadtest.errors import RigError
from loadtest.figures import Figures, Run
from loadtest.programs import leashed
from loadtest.reader import Wanted, command
from loadtest.subjects import Audit, Clock, Subject, Subjects, outside

READER_SECONDS: Final = 20.0
"""Beyond what the streams take."""


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long."""

    seconds: int = 8
    runs: int = 5
    sizes: tuple[int, ...] = (1, 16, 200)
    connections: int = 64
    streams: int = 200
    chunks: int = 100
    chunk_ms: float = 20.0

    def repeat(self) -> int:
        """Streams that each connection reads one after another: as many as fill the time, at least two."""
        return max(2, round(self.seconds * 1000 / (self.chunks * self.chunk_ms)))


class Rig:
    """All processes of a measurement; a context."""

    def __init__(self, plan: Plan, cores: Cores, folder: Path) -> None:
        self._plan = plan
        self._cores = cores
        self._subjects = Subjects(cores, folder, chunks=plan.chunks, chunk_ms=plan.chunk_ms)
        self.figures = Figures()

    def __enter__(self) -> Self:
        self._subjects.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._subjects.__exit__()

    def measure(self) -> Figures:
        """Every subject under every load, in turns. Raises RigError where an answer or the ledger is wrong."""
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
        loaded = wrk.load(
            subject.port,
            prompt_bytes=size * 1024,
            model=f"{house.CONSTANT}/{nginx.MODEL}",
            key=house.KEY,
            connections=plan.connections,
            seconds=plan.seconds,
        )
        busy = clock.busy()
        reached = self._subjects.upstream.requests() - asked
        ledger.settle(reached)
        spent = {**clock.spent(), "load": loaded.cpu_seconds}
        if not loaded.requests <= reached <= loaded.requests + plan.connections:
            raise RigError(f"{subject.name}: {loaded.requests} requests were answered, {reached} reached the upstream")
        ledger.compare(reached, nginx.COMPLETION_TOKENS)
        self._weigh(subject)
        return Run(
            subject.name,
            size,
            number,
            loaded.requests,
            loaded.requests / loaded.seconds,
            {name: seconds * 1e6 / loaded.requests for name, seconds in spent.items()},
            loaded.p50,
            loaded.p99,
            loaded.p999,
            outside(busy, spent, loaded.seconds),
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
        self._weigh(subject)
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
        )

    def _weigh(self, subject: Subject) -> None:
        if subject.pids.get("subject") == self._subjects.house.worker:
            self.figures.private_bytes.append(private_bytes(self._subjects.house.worker))


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
