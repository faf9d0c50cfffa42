"""A backup put back: checked as a whole, then moved into place; what was there is set aside.

A restore that is interrupted while files move leaves the mark ``restoring``, with which nothing starts. One that is
done leaves ``restored``: the next start takes a new arena, and counters come from the ledger.
"""

import os
import time
from pathlib import Path

from fastgate.backup.archive import Manifest, unpack
from fastgate.backup.contents import RESTORED, RESTORING, state_in
from fastgate.backup.errors import BackupError, NewerArchive, NotEmpty
from fastgate.backup.making import drafts
from fastgate.ledger.schema import MIGRATIONS as LEDGER_SCHEMAS
from fastgate.state.schema import MIGRATIONS as STATE_SCHEMAS


def restore(archive: Path, state_dir: Path, *, force: bool = False) -> tuple[Manifest, Path | None]:
    """Puts a backup into a folder whose locks the caller holds; returns what it has, and where the old files went.

    Raises :class:`BackupError`; then the folder is as it was.
    """
    present = state_in(state_dir) if state_dir.exists() else []
    if present and not force:
        raise NotEmpty(f"{state_dir} has state already ({', '.join(present[:3])}, ...); --force sets it aside")
    with drafts(state_dir) as folder:
        manifest = read(archive, folder)
        (state_dir / RESTORING).touch(mode=0o600)
        aside = _set_aside(state_dir, present)
        for member in manifest.members:
            (folder / member.name).replace(state_dir / member.name)
        (state_dir / RESTORING).replace(state_dir / RESTORED)
        _sync(state_dir)
    return manifest, aside


def read(archive: Path, folder: Path | None = None) -> Manifest:
    """Checks a whole archive, and puts its files into ``folder``. Raises :class:`BackupError`."""
    try:
        manifest = unpack(archive, folder)
    except OSError as error:
        raise BackupError(f"{archive} cannot be read: {error}") from error
    for store, known in (("state", len(STATE_SCHEMAS)), ("ledger", len(LEDGER_SCHEMAS))):
        found = manifest.schemas.get(store, 0)
        if found > known:
            raise NewerArchive(
                f"fastgate {manifest.fastgate} made the backup: its {store} has schema {found}, this version knows "
                f"{known}; use that one"
            )
    return manifest


def _set_aside(state_dir: Path, names: list[str]) -> Path | None:
    """Moves the files into a folder beside them: the state folder itself may be a mount point and cannot be moved."""
    if not names:
        return None
    aside = state_dir / f"replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{time.time_ns() % 10**9:09d}"
    aside.mkdir(mode=0o700)
    for name in names:
        (state_dir / name).rename(aside / name)
    return aside


def _sync(folder: Path) -> None:
    """The new names are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
