"""The measurement: everything is started once, then the subjects take turns."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from loadtest import bare, house, nginx, source, wrk
from loadtest.cores import Cores, busy_seconds, cpu_seconds, private_bytes
from loadtest.errors import RigError
from loadtest.figures import ALONE, BARE, FASTGATE, HIDDEN, NGINX, Figures, Run
from loadtest.programs import Programs, free_port, leashed
from loadtest.reader import Wanted, command

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


@dataclass(frozen=True)
class Subject:
    """Something that requests are sent to. ``pids``: processes by name; the one that is measured is ``subject``."""

    name: str
    port: int
    pids: Mapping[str, int]
    path: str = "/v1/chat/completions"
    include_usage: bool = True


class Clock:
    """CPU time of processes and of the subject's core, between two moments."""

    def __init__(self, pids: Mapping[str, int], core: int) -> None:
        self._pids = pids
        self._core = core
        self._cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
        self._busy = busy_seconds(core)

    def spent(self) -> dict[str, float]:
        """Seconds by process."""
        return {name: cpu_seconds(pid) - self._cpu[name] for name, pid in self._pids.items()}

    def busy(self) -> float:
        """Seconds of the core."""
        return busy_seconds(self._core) - self._busy


class Rig:
    """All processes of a measurement; a context."""

    def __init__(self, plan: Plan, cores: Cores, folder: Path) -> None:
        self._plan = plan
        self._cores = cores
        self._folder = folder
        self._stack = ExitStack()
        self.figures = Figures()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        os.sched_setaffinity(0, {self._cores.load})
        arena_dir = Path(stack.enter_context(house.arena_folder()))
        programs = stack.enter_context(Programs(self._folder))
        core, load = self._cores.subject, self._cores.load
        python, plan = [sys.executable, "-m"], self._plan
        self._upstream = nginx.upstream(programs, load)
        proxy = nginx.proxy(programs, core, self._upstream.port)
        source_port, bare_port = free_port(), free_port()
        argv = [*python, source.__name__, str(source_port), str(plan.chunks), str(plan.chunk_ms)]
        source_pid = programs.start("source", argv, load, port=source_port)
        argv = [*python, bare.__name__, str(bare_port), str(self._upstream.port), str(source_port)]
        bare_pid = programs.start("bare", argv, core, port=bare_port)
        self._house = house.House(
            programs, self._cores, arena_dir, upstream_port=self._upstream.port, source_port=source_port
        )
        fastgate = {
            "subject": self._house.worker,
            "control": self._house.control,
            "supervisor": self._house.supervisor,
        }
        upstream, origin = {"upstream": self._upstream.pid}, {"upstream": source_pid}
        self._programs = programs
        self._subjects = [
            Subject(ALONE, self._upstream.port, upstream),
            Subject(NGINX, proxy.port, {"subject": proxy.pid, **upstream}),
            Subject(BARE, bare_port, {"subject": bare_pid, **upstream}),
            Subject(FASTGATE, self._house.port, {**fastgate, **upstream}),
        ]
        self._streamed = [
            Subject(ALONE, source_port, origin),
            Subject(BARE, bare_port, {"subject": bare_pid, **origin}, bare.STREAM_PATH),
            Subject(FASTGATE, self._house.port, {**fastgate, **origin}),
            Subject(HIDDEN, self._house.port, {**fastgate, **origin}, include_usage=False),
        ]

    def measure(self) -> Figures:
        """Every subject under every load, in turns. Raises RigError where an answer or the ledger is wrong."""
        for subject in self._subjects:
            probe(subject)
        for number in range(self._plan.runs):
            for size in self._plan.sizes:
                for subject in self._subjects:
                    self._note(self._constant(subject, size, number))
            for subject in self._streamed:
                self._note(self._stream(subject, number))
        return self.figures

    def _note(self, run: Run) -> None:
        self._programs.check()
        self.figures.runs.append(run)
        kind = f"{run.prompt_kb} KB" if run.prompt_kb else "stream"
        used = f", {run.cpu['subject']:.1f} µs of CPU each" if "subject" in run.cpu else ""
        print(f"round {run.round + 1}: {run.subject}, {kind}: {run.rate:,.0f}/s{used}", file=sys.stderr)

    def _constant(self, subject: Subject, size: int, number: int) -> Run:
        plan, asked = self._plan, self._upstream.requests()
        ledger, clock = Audit(self._house, house.CONSTANT, subject), Clock(subject.pids, self._cores.subject)
        loaded = wrk.load(
            subject.port,
            prompt_bytes=size * 1024,
            model=f"{house.CONSTANT}/{nginx.MODEL}",
            key=house.KEY,
            connections=plan.connections,
            seconds=plan.seconds,
        )
        busy = clock.busy()
        reached = self._upstream.requests() - asked
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
        plan, ledger = self._plan, Audit(self._house, house.SOURCE, subject)
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
        if subject.pids.get("subject") == self._house.worker:
            self.figures.private_bytes.append(private_bytes(self._house.worker))


class Audit:
    """The ledger before and after a run of fastgate; of another subject it asks nothing."""

    def __init__(self, place: house.House, provider: str, subject: Subject) -> None:
        self._house = place if subject.pids.get("subject") == place.worker else None
        self._provider = provider
        self._name = subject.name
        self._before = self._after = place.booked(provider) if self._house else house.Booked()

    def settle(self, requests: int) -> None:
        """Wait for the last row of so many more."""
        if self._house:
            self._after = self._house.settled(self._provider, self._before.requests + requests)

    def compare(self, requests: int, output_tokens: int) -> None:
        """Raises RigError unless the ledger has exactly these requests, at their exact price."""
        if not self._house:
            return
        booked = self._after.since(self._before)
        cost = requests * house.price(self._provider, output_tokens)
        if booked != house.Booked(requests, cost, 0):
            raise RigError(
                f"{self._name}: {requests} requests for USD {cost} reached the upstream, the ledger has {booked}"
            )


def probe(subject: Subject) -> None:
    """One request, whose answer must be the constant one, byte for byte."""
    body = json.dumps({"model": f"{house.CONSTANT}/{nginx.MODEL}", "messages": [{"role": "user", "content": "Hello"}]})
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=20)
    headers = {"authorization": f"Bearer {house.KEY}", "content-type": "application/json"}
    connection.request("POST", subject.path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if answer.status != 200 or text != nginx.ANSWER:
        raise RigError(f"{subject.name} answers with status {answer.status}: {text[:500]}")


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


def outside(busy: float, spent: Mapping[str, float], seconds: float) -> float:
    """The share of the subject's core that was used, but not by the subject."""
    return max(0.0, busy - spent.get("subject", 0.0)) / seconds
