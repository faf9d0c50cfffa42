"""What is measured, and what stands around it: all processes of a measurement, each on its core."""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from loadtest import bare, house, nginx, prompts, source
from loadtest.cores import Cores, busy_seconds, cpu_seconds
from loadtest.errors import RigError
from loadtest.figures import ALONE, BARE, FASTGATE, HIDDEN, NGINX
from loadtest.programs import Programs, free_port

_PYTHON: Final = [sys.executable, "-m"]


@dataclass(frozen=True)
class Subject:
    """Something that requests are sent to. ``pids``: processes by name; the one that is measured is ``subject``."""

    name: str
    port: int
    pids: Mapping[str, int]
    path: str = prompts.PATH
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


class Subjects:
    """Every process is started once, and runs until the end; a context."""

    def __init__(self, cores: Cores, folder: Path, *, chunks: int, chunk_ms: float) -> None:
        """``chunks``, ``chunk_ms``: of each stream of the source."""
        self._cores = cores
        self._folder = folder
        self._source = [str(chunks), str(chunk_ms)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            for subject in self.constant:
                probe(subject)
            self.house.settled(house.CONSTANT, 1)  # so that no audit begins between an answer and its row
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        os.sched_setaffinity(0, {self._cores.load})
        arena_dir = Path(stack.enter_context(house.arena_folder()))
        self._programs = programs = stack.enter_context(Programs(self._folder))
        core, load = self._cores.subject, self._cores.load
        self.upstream = nginx.upstream(programs, load)
        proxy = nginx.proxy(programs, core, self.upstream.port)
        source_port, bare_port = free_port(), free_port()
        argv = [*_PYTHON, source.__name__, str(source_port), *self._source]
        source_pid = programs.start("source", argv, load, port=source_port)
        argv = [*_PYTHON, bare.__name__, str(bare_port), str(self.upstream.port), str(source_port)]
        bare_pid = programs.start("bare", argv, core, port=bare_port)
        self.house = house.House(
            programs, self._cores, arena_dir, upstream_port=self.upstream.port, source_port=source_port
        )
        fastgate = {
            "subject": self.house.worker,
            "control": self.house.control,
            "supervisor": self.house.supervisor,
        }
        upstream, origin = {"upstream": self.upstream.pid}, {"upstream": source_pid}
        self.constant = [
            Subject(ALONE, self.upstream.port, upstream),
            Subject(NGINX, proxy.port, {"subject": proxy.pid, **upstream}),
            Subject(BARE, bare_port, {"subject": bare_pid, **upstream}),
            Subject(FASTGATE, self.house.port, {**fastgate, **upstream}),
        ]
        self.streamed = [
            Subject(ALONE, source_port, origin),
            Subject(BARE, bare_port, {"subject": bare_pid, **origin}, bare.STREAM_PATH),
            Subject(FASTGATE, self.house.port, {**fastgate, **origin}),
            Subject(HIDDEN, self.house.port, {**fastgate, **origin}, include_usage=False),
        ]

    def check(self) -> None:
        """Raises RigError where a process has ended."""
        self._programs.check()


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


def outside(busy: float, spent: Mapping[str, float], seconds: float) -> float:
    """The share of the subject's core that was used, but not by the subject."""
    return max(0.0, busy - spent.get("subject", 0.0)) / seconds
