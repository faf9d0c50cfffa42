"""What is measured, and what stands around it: all processes of a measurement, each on its core."""

import http.client
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from loadtest import house, nginx
from loadtest.cores import Cores, busy_seconds, cpu_seconds, private_bytes
from loadtest.errors import RigError
from loadtest.stage import Casting, Stage, Subject, system


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

    def __init__(self, cores: Cores, folder: Path, *, chunks: int, chunk_ms: float, casting: Casting = system) -> None:
        """``chunks``, ``chunk_ms``: of each stream of the source."""
        self._cores = cores
        self._folder = folder
        self._chunks = chunks
        self._chunk_ms = chunk_ms
        self._casting = casting
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        os.sched_setaffinity(0, {self._cores.load})
        with ExitStack() as stack:
            stage = Stage.set_up(self._cores, self._folder, stack, chunks=self._chunks, chunk_ms=self._chunk_ms)
            self.upstream, self.house, self._programs = stage.upstream, stage.house, stage.programs
            cast = self._casting(stage)
            self.constant, self.streamed = cast.constant, cast.streamed
            for subject in self.constant:
                probe(subject)
            self.house.settled(house.CONSTANT, 1)  # so that no audit begins between an answer and its row
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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
    """One request. Raises RigError unless its answer is the constant one, byte for byte or as clients read it."""
    body = json.dumps({"model": f"{house.CONSTANT}/{nginx.MODEL}", "messages": [{"role": "user", "content": "Hello"}]})
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=20)
    headers = {"authorization": f"Bearer {house.KEY}", "content-type": "application/json", **subject.headers}
    connection.request("POST", subject.path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    same = reads_alike(text, nginx.ANSWER) if subject.rewrites else text == nginx.ANSWER
    if answer.status != 200 or not same:
        raise RigError(f"{subject.name} answers with status {answer.status}: {text[:500]}")


def reads_alike(text: str, wanted: str) -> bool:
    """Whether a client reads the same of two chat completions: who says what, why it ends, and what is billed."""
    try:
        return _read(text) == _read(wanted)
    except (ValueError, LookupError, TypeError):
        return False


def _read(text: str) -> list[object]:
    answer = json.loads(text)
    [choice] = answer["choices"]
    message, usage = choice["message"], answer["usage"]
    tokens = [usage[f"{kind}_tokens"] for kind in ("prompt", "completion", "total")]
    return [answer["object"], message["role"], message["content"], choice["finish_reason"], *tokens]


def weight(subject: Subject) -> int:
    """Bytes of memory that are the measured process's alone; 0 where none is measured."""
    return private_bytes(subject.pids["subject"]) if "subject" in subject.pids else 0


def outside(busy: float, spent: Mapping[str, float], seconds: float) -> float:
    """The share of the subject's core that was used, but not by the subject."""
    return max(0.0, busy - spent.get("subject", 0.0)) / seconds
