"""The folders: whether they can be written, how much room there is, where the arena lies, who can read secrets."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fastgate.backup.contents import MEMBERS, RESTORING
from fastgate.doctor.findings import Finding, failed, ok, warning
from fastgate.doctor.installation import Installation
from fastgate.supervisor.folders import SHARED_MEMORY_NEEDED

LITTLE: Final = 1 << 30
TOO_LITTLE: Final = 64 << 20
"""Bytes; a few segments of journal and a checkpoint of the ledger take as much."""
MEMORY_TYPES: Final = ("tmpfs", "ramfs")
SECRET: Final = (*MEMBERS, "dashboard-token", "supervisor.json")


def state_folder(installation: Installation) -> Iterator[Finding]:
    """Whether it can be written, and for how long."""
    folder = installation.state_dir
    if (folder / RESTORING).exists():
        yield failed("state", f"a restore into {folder} was interrupted", "run `fastgate state restore --force` again")
    if not folder.exists():
        yield ok("state", f"{folder} is made at the first start")
    yield from _room("state", _existing(folder), TOO_LITTLE, LITTLE, "make room, or move state_dir")


def arena(installation: Installation) -> Iterator[Finding]:
    """Whether it lies in memory, and has room to grow."""
    folder = installation.arena_dir
    kind = file_system(_existing(folder))
    if kind not in MEMORY_TYPES:
        yield warning(
            "arena",
            f"{folder} lies on {kind}: requests may wait while the kernel writes it",
            "give /dev/shm 256 MB (--shm-size=1g in a container), or set arena_dir to a tmpfs",
        )
    needed = TOO_LITTLE if (folder / "arena.bin").exists() else SHARED_MEMORY_NEEDED
    yield from _room("arena", _existing(folder), TOO_LITTLE, needed, "make room there, or set arena_dir")


def modes(installation: Installation) -> Iterator[Finding]:
    """Files that hold secrets or spend belong to their owner alone."""
    folder = installation.state_dir
    open_to_others = [path for name in SECRET if _others_may(path := folder / name)]
    for path in open_to_others:
        yield failed("modes", f"others may read or write {path}", f"chmod 600 {path}; then rotate what it holds")
    if _others_may(folder):
        yield warning("modes", f"others may enter {folder}", f"chmod 700 {folder}")
    elif not open_to_others and folder.exists():
        yield ok("modes", f"{folder} and its secrets are their owner's alone")


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that ``path`` lies on, as ``tmpfs`` or ``ext4``."""
    found = ("", "an unknown file system")
    target = os.path.realpath(path)
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, where, kind, *_ = line.split(" ")
        where = where.replace("\\040", " ")
        if (target + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(found[0]):
            found = (where, kind)  # the last of those at one place is the one that is seen
    return found[1]


def _existing(folder: Path) -> Path:
    """The folder, or the one in which it would be made."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _room(check: str, folder: Path, too_little: int, little: int, remedy: str) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, 1 << 16)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield failed(check, f"{folder} cannot be written: {error.strerror}", "give it to the user that runs fastgate")
        return
    said = f"{folder} has {free / 1e6:,.0f} MB free"
    if free < too_little:
        yield failed(check, said, remedy)
    elif free < little:
        yield warning(check, said, remedy)
    else:
        yield ok(check, said)


def _others_may(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False
