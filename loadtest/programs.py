"""The processes of a run: started on a core, waited for, and ended; never any other."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtest.errors import RigError

START_SECONDS = 30.0
END_SECONDS = 15.0
LOOK_SECONDS = 0.02


def find(name: str) -> str:
    """Where a program is. Raises RigError where it is not installed."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise RigError(f"{name} is not installed: `make bench-system` installs what is missing")
    return found


def leashed(argv: Sequence[str]) -> list[str]:
    """A command that the kernel ends with the process that runs it, however that ends."""
    return ["setpriv", "--pdeathsig", "TERM", *argv]


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    [port] = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """So many of them, no two alike."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Wait for a state of other processes. Raises RigError when it is not reached in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RigError(f"not within {seconds:g} s: {what}")
        time.sleep(LOOK_SECONDS)


class Programs:
    """A context; at its end all that it started is ended. What outlives a killed rig is told so by the kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(
        self,
        name: str,
        argv: Sequence[str],
        core: int,
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Start a program on a core, wait until ``port`` answers, return its pid. Raises RigError with its log."""
        command = leashed(["taskset", "-c", str(core), *argv])
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self._running.append((name, process))
        if port is not None:
            until(lambda: process.poll() is not None or answers(port), f"{name} listens on port {port}")
        self.check()
        return process.pid

    def check(self) -> None:
        """Raises RigError where one of them has ended."""
        for name, process in self._running:
            code = process.poll()
            if code is not None:
                log = self._log(name).read_text(errors="replace")[-2000:]
                raise RigError(f"{name} ended with status {code}; the end of its log:\n{log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, process in reversed(self._running):
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.log"
