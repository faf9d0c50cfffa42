"""The state folder and the arena folder: their places, their lock, the admin token.

==================  =====  ==========================================================
``<state_dir>/``    mode
==================  =====  ==========================================================
``supervisor.lock`` 0600   one flock per state folder; holds the supervisor's pid
``children.lock``   0600   held by every child too, see :class:`KinLock`
``supervisor.json`` 0600   the children's health, see :mod:`fastgate.supervisor.health`
``admin-token``     0600   bearer token of the admin API, where no configuration says it
==================  =====  ==========================================================
"""

import fcntl
import hashlib
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Self

from fastgate.supervisor.errors import AlreadyRunning, StateUnusable
from fastgate.wire.whole_files import replace

SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_NEEDED = 256 * 1024 * 1024


def make_private(folder: Path) -> None:
    """Creates a folder that only its owner may enter; an existing one is left as it is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateUnusable(f"cannot create the folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise StateUnusable(f"the folder {folder} is not writable")


def refuse_strangers(folder: Path) -> None:
    """Raises StateUnusable for a folder that another user may have made, where all may make some.

    Whoever owns it can replace what lies there, the keys that workers admit among it.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StateUnusable(
            f"{folder} is not a folder of this user's alone: another one may have made it. Look at what it is and"
            " remove it, or set arena_dir in the configuration"
        )


def choose_arena_dir(state_dir: Path, shared_memory: Path = SHARED_MEMORY, needed: int = SHARED_MEMORY_NEEDED) -> Path:
    """Where the arena goes when the operator did not say.

    A tmpfs where it is large enough, since a mapped file on a disk stalls its writers while the kernel writes it back.
    The name depends on the state folder alone, so that a later start finds the same arena again. A place that already
    holds an arena wins over a new one: running out of shared memory must not make counters disappear.
    """
    digest = hashlib.sha1(os.fsencode(state_dir.resolve()), usedforsecurity=False).hexdigest()[:12]
    in_memory, on_disk = shared_memory / f"fastgate-{digest}", state_dir / "arena"
    for folder in (in_memory, on_disk):
        if (folder / "arena.bin").exists():
            return folder
    try:
        space = os.statvfs(shared_memory)
    except OSError:
        return on_disk
    roomy = space.f_bavail * space.f_frsize >= needed
    return in_memory if roomy and os.access(shared_memory, os.W_OK) else on_disk


def keep_secret(path: Path, wanted: str = "", prefix: str = "") -> str:
    """The secret in a 0600 file: ``wanted`` when given, else what the file holds, else a new random one.

    A file that others could read is closed to them again.
    """
    try:
        found = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        found = ""
    except (OSError, UnicodeDecodeError) as error:
        raise StateUnusable(f"cannot read {path}: {error}") from error
    secret = wanted or found or prefix + random_base62(43)
    if secret != found:
        replace(path, f"{secret}\n".encode(), private=True)
    path.chmod(0o600)
    return secret


def random_base62(length: int) -> str:
    """Uniformly random letters and digits: 43 of them carry 256 bits."""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(length))


class StateLock:
    """The flock that makes one supervisor the owner of a state folder; it goes with its owner, however that ends."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "supervisor.lock"
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnusable(f"cannot open {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise AlreadyRunning(
                f"fastgate is already running with the state folder {state_dir} (process {owner}): "
                "stop it, or give this one another --state-dir"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the folder up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class KinLock:
    """A second flock, which every child inherits: while it is held, processes of an earlier supervisor still run.

    After a kill of the supervisor its children notice and end, a moment later. Until then they hold ports and the
    ledger, so the next supervisor waits for them.

    Raises:
        StateUnusable: they did not end within ``seconds``.

    """

    def __init__(self, state_dir: Path, seconds: float = 10.0) -> None:
        path = state_dir / "children.lock"
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self.close()
                    raise StateUnusable(
                        f"processes of an earlier fastgate still run and hold {path}: end them first (fuser {path})"
                    ) from None
                time.sleep(0.01)  # flock knows no timeout
            else:
                return

    def close(self) -> None:
        """Lets go; children that still run keep it."""
        os.close(self.descriptor)
