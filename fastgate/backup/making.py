"""A backup: copies of the stores, the files beside them, and an archive of all."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fastgate.backup.archive import Manifest, pack
from fastgate.backup.contents import LEDGER, STATE, members_in
from fastgate.backup.errors import BackupError
from fastgate.ledger import copies as ledger
from fastgate.ledger.errors import LedgerError
from fastgate.state import copies as state
from fastgate.state.errors import StateError

Copier = Callable[[Path], None]
"""Writes a copy of a store into a new file."""


def back_up(state_dir: Path, archive: Path, folder: Path, copy_ledger: Copier, copy_state: Copier) -> Manifest:
    """Writes the archive, with ``folder``, an empty one, for the copies.

    The ledger is copied first, so that its rows name nothing that the copied state store does not have yet. Raises
    :class:`BackupError`.
    """
    try:
        if (state_dir / LEDGER).exists():
            copy_ledger(folder / LEDGER)
        copy_state(folder / STATE)
        for name in members_in(state_dir):
            if name not in {STATE, LEDGER}:
                shutil.copyfile(state_dir / name, folder / name)
        schemas = {"state": state.schema_of(folder / STATE)}
        if (folder / LEDGER).exists():
            schemas["ledger"] = ledger.schema_of(folder / LEDGER)
        return pack(folder, members_in(folder), schemas, archive)
    except (LedgerError, StateError) as error:
        raise BackupError(str(error)) from error
    except OSError as error:
        raise BackupError(f"the backup cannot be written: {error}") from error


def back_up_closed(state_dir: Path, archive: Path) -> Manifest:
    """The same of a folder that nobody serves from; the caller holds its locks. Raises :class:`BackupError`."""
    if not (state_dir / STATE).exists():
        raise BackupError(f"{state_dir} is no state folder: there is no {STATE} in it")

    def copy_state(target: Path) -> None:
        with state.opened(state_dir / STATE) as db:
            state.copy(db, target)

    with drafts(archive.parent) as folder:
        return back_up(
            state_dir, archive, folder, lambda target: ledger.copy_closed(state_dir / LEDGER, target), copy_state
        )


@contextmanager
def drafts(parent: Path) -> Iterator[Path]:
    """A folder of our own in ``parent``, for the length of a block. Raises :class:`BackupError`."""
    try:
        with TemporaryDirectory(prefix=".fastgate-", dir=parent) as name:
            yield Path(name)
    except OSError as error:
        raise BackupError(f"cannot write in {parent}: {error}") from error
