"""One run of one child process: how it starts, says that it is ready, is told to end, and how its end is noticed.

The contract with a child:

* its standard input is a pipe that never carries anything; end of file there means that the supervisor is gone: exit;
* it writes the line ``ready`` to the descriptor named by ``FASTGATE_READY_FD`` once it serves, or ``failed: `` and why
  it never will;
* SIGTERM asks it to finish what it began and exit with 0;
* its standard error is the supervisor's own, and its standard output too: what fastgate itself has to say to standard
  output is said by the supervisor.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MOST_SAID = 4096
_FAILED = b"failed: "


@dataclass(frozen=True)
class Command:
    """What to run; ``environment`` is added to the supervisor's own, ``descriptors`` are inherited as they are."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


class Child:
    """A running process. Must be created inside a running event loop.

    ``ready`` is done with True when the child says so, with False when it ends or closes the pipe without having said
    it; ``why`` is what it said instead. ``ended`` is done when the process has ended but before it is reaped, so that
    what it left behind can be resolved while its pid cannot yet belong to another.
    """

    def __init__(self, command: Command) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[bool] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.returncode: int | None = None
        self.why: str | None = None
        self._said = b""
        self._ready_fd, ready_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                command.argv,
                stdin=subprocess.PIPE,
                stdout=2,
                env={**os.environ, **command.environment, "FASTGATE_READY_FD": str(ready_end)},
                pass_fds=(*command.descriptors, ready_end),
                # Its own group: an interrupt typed at the terminal reaches the supervisor alone, which then drains.
                process_group=0,
            )
        except OSError:
            os.close(self._ready_fd)
            raise
        finally:
            os.close(ready_end)
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        os.set_blocking(self._ready_fd, False)
        self._loop.add_reader(self._ready_fd, self._hear)
        self._loop.add_reader(self._pidfd, self._end)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; nothing happens when the process has ended."""
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    def reap(self) -> int:
        """Collects the exit status (negative: the signal that ended it) after ``ended``; lets go of the life line."""
        self.returncode = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self.returncode

    def _hear(self) -> None:
        try:
            heard = os.read(self._ready_fd, MOST_SAID)
        except BlockingIOError:
            return
        self._said += heard
        if not heard or len(self._said) > MOST_SAID or b"\n" in self._said:
            lines = self._said.split(b"\n")[:-1]
            reasons = [line.removeprefix(_FAILED) for line in lines if line.startswith(_FAILED)]
            self.why = reasons[0].decode(errors="replace") if reasons else None
            self._stop_listening(b"ready" in lines)

    def _stop_listening(self, outcome: bool) -> None:
        if self._ready_fd >= 0:
            self._loop.remove_reader(self._ready_fd)
            os.close(self._ready_fd)
            self._ready_fd = -1
        if not self.ready.done():
            self.ready.set_result(outcome)

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        if self._ready_fd >= 0:
            self._hear()  # a child may say `ready` and die before we hear it
        self._stop_listening(False)
        self.ended.set_result(None)


def describe_end(returncode: int) -> str:
    """``exit status 3`` or ``signal SIGKILL``."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
