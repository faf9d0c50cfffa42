"""The machine: versions, processor, open files, clock."""

import ctypes
import os
import platform
import resource
import sqlite3
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from fastgate.doctor.findings import Finding, failed, ok, warning
from fastgate.doctor.installation import Installation, Running
from fastgate.supervisor.sockets import BACKLOG
from fastgate.version import __version__

PACKAGES: Final = ("granian", "duckdb", "uvloop", "msgspec", "litestar", "genai-prices")
FEWEST_FILES: Final = 1024
FILES_PER_REQUEST: Final = 2
"""A client's connection and a provider's."""
JUMP_SECONDS: Final = 5.0
"""By which a clock may be off before it is worth a word."""
_CX16: Final = "cx16"
"""What the kernel calls cmpxchg16b, the instruction that counts amounts."""
_STA_UNSYNC: Final = 0x40
_TIMEX_BYTES: Final = 256
_STATUS_AT: Final = 40
"""Where ``status`` lies in ``struct timex`` on 64-bit Linux, behind one padded int and four longs."""


def versions(installation: Installation) -> Iterator[Finding]:
    """Of fastgate and what it stands on; a gateway that runs may still be an older one."""
    said = [f"fastgate {__version__}", f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for name in PACKAGES:
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield failed("versions", f"{name} is not installed", "install fastgate again")
    yield ok("versions", ", ".join(said))
    running = installation.running
    if running is not None and running.version != __version__:
        yield warning(
            "versions", f"fastgate {running.version} runs, {__version__} is installed", "restart it to have the new one"
        )


def processor(_: Installation) -> Iterator[Finding]:
    """Whether the compiled core loads, and finds the instructions that it was compiled for."""
    try:
        from fastgate._core import arena  # noqa: F401
    except ImportError as error:
        yield failed("processor", f"the compiled core cannot be loaded: {error}", "install the wheel of this platform")
        return
    machine = platform.machine()
    if lacks_cmpxchg16b(machine, Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")):
        yield failed("processor", f"this {machine} has no cmpxchg16b, so no budget can be counted", "it needs another")
    else:
        yield ok("processor", f"{machine}, {len(os.sched_getaffinity(0))} cores for this process; the core loads")


def lacks_cmpxchg16b(machine: str, cpuinfo: str) -> bool:
    """Whether any processor of ``/proc/cpuinfo`` lacks it; other architectures have their own."""
    flags = [line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith("flags")]
    return machine == "x86_64" and any(_CX16 not in each for each in flags)


def open_files(installation: Installation) -> Iterator[Finding]:
    """The limit of the gateway that runs, or that it would have, against the connections that a worker takes."""
    running = installation.running
    try:
        now, hard = resource.prlimit(running.pid if running else 0, resource.RLIMIT_NOFILE)
    except (OSError, ValueError) as error:
        yield warning("open files", f"the limit of the running gateway cannot be read: {error}", "run this as its user")
        return
    files = now if running else hard  # which it takes when it starts
    wanted = FILES_PER_REQUEST * BACKLOG
    most = f"{files:,}: enough for about {files // FILES_PER_REQUEST:,} requests at a time in a worker"
    remedy = f"ulimit -Hn {wanted} as root, or LimitNOFILE= in its unit"
    if files < FEWEST_FILES:
        yield failed("open files", most, remedy)
    elif files < wanted:
        yield warning("open files", most, remedy)
    else:
        yield ok("open files", f"{files:,} per process")


def clock(installation: Installation) -> Iterator[Finding]:
    """Budgets' windows are counted by the wall clock: it must not go back, and should not jump."""
    ahead = _newest(installation.state_dir) - time.time()
    if ahead > JUMP_SECONDS:
        yield failed("clock", f"the state folder was written {ahead:,.0f} s after now", "it was set back: correct it")
    moved = _moved_since(installation.running)
    if abs(moved) > JUMP_SECONDS:
        yield warning("clock", f"it was set by {moved:+,.0f} s since fastgate started", "budgets' windows end by it")
    if is_synchronised():
        yield ok("clock", "the kernel says that it is synchronised")
    else:
        yield warning(
            "clock", "the kernel says that nothing synchronises it", "run a time service, unless the host does it"
        )


def is_synchronised() -> bool:
    """What ``adjtimex`` reports of the system clock; false where it cannot be asked."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: only read
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return False
    return not int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little") & _STA_UNSYNC


def _newest(folder: Path) -> float:
    """When the newest file there was written, Unix seconds; 0 where there is none."""
    try:
        return max((path.stat().st_mtime for path in folder.iterdir()), default=0.0)
    except OSError:
        return 0.0


def _moved_since(running: Running | None) -> float:
    """How far the wall clock went away from the kernel's own since the gateway started; 0 where nobody can tell."""
    if running is None:
        return 0.0
    try:
        stat = Path(f"/proc/{running.pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    # The fields behind the name, which may have spaces and brackets in it; the 22nd of all is the start in ticks.
    ticks = int(stat.rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age - running.started_at
