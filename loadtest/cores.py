"""Which core a process runs on, and what it has used of it."""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import RigError

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """``subject``: what is measured, alone; ``load``: everything else. Equal on a machine with one core."""

    subject: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        """The first two that this process may use."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])


def pin(pid: int, core: int) -> None:
    """Move a process, all its threads: those that it starts later inherit the core."""
    for task in _tasks(pid):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(task, {core})


def give_way(pid: int) -> None:
    """Let a process, all its threads, have what nobody else on their core wants, from now on."""
    _schedule(pid, os.SCHED_IDLE, 0)


def come_first(pid: int) -> bool:
    """Let a process, not its children, come before whatever else the machine does. False: this may not be asked for."""
    try:
        _schedule(pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, 1)
    except PermissionError:
        return False
    return True


def _schedule(pid: int, policy: int, priority: int) -> None:
    for task in _tasks(pid):
        with suppress(ProcessLookupError):
            os.sched_setscheduler(task, policy, os.sched_param(priority))


def _tasks(pid: int) -> list[int]:
    return [int(task) for task in os.listdir(f"/proc/{pid}/task")]


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far, those that ended included; to the nanosecond."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) gives; /proc has it in ticks of 10 ms
    except OSError:
        raise _ended(pid) from None


def rests(pids: Collection[int]) -> bool:
    """Whether no thread of some processes wants a core, at any of ten looks within a tenth of a second.

    One that wants a core and gets none takes no time either: that says nothing.
    """
    for _ in range(10):
        if any(_wants_core(pid) for pid in pids):
            return False
        time.sleep(0.01)
    return True


def _wants_core(pid: int) -> bool:
    for task in _tasks(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # threads end
            if Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


def busy_seconds(core: int) -> float:
    """What a core has spent on anything but waiting, whoever it was for; time stolen by the hypervisor included."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, soft, stolen = map(int, values[:8])
            return (user + nice + system + irq + soft + stolen) / TICKS
    raise ValueError(f"/proc/stat has no core {core}")


def private_bytes(pid: int) -> int:
    """Memory that no other process shares: what one more such process would need."""
    return _rollup(pid, "Private_")


def anonymous_bytes(pid: int) -> int:
    """Memory behind which there is no file: private, whether or not another process maps the same files."""
    return _rollup(pid, "Anonymous:")


def _rollup(pid: int, prefix: str) -> int:
    lines = _read(pid, "smaps_rollup").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(prefix)) * 1024


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        raise _ended(pid) from None


def _ended(pid: int) -> RigError:
    return RigError(f"process {pid}, which is being measured, has ended")
