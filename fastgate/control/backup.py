"""Backups while the gateway runs: made by the process that has the stores open, from one state of each."""

import shutil
import threading
from pathlib import Path
from typing import IO, Final

from fastgate.backup.errors import BackupError
from fastgate.backup.making import back_up
from fastgate.control.drain import Drain
from fastgate.control.problems import Busy
from fastgate.ledger import copies as ledger
from fastgate.ledger.errors import LedgerUnavailable
from fastgate.ledger.store import COPIES, Ledger
from fastgate.state import copies as state
from fastgate.state.store import Store

COPY_SECONDS: Final = 600.0
"""Within which the ledger has to be copied: a hundred million requests take less."""


class Backup:
    """One at a time; the copies lie in a folder of the state folder until they are in the archive."""

    def __init__(self, state_dir: Path, store: Store, ledger_: Ledger, drain: Drain) -> None:
        self._state_dir = state_dir
        self._store = store
        self._ledger = ledger_
        self._drain = drain
        self._working = threading.Lock()

    def make(self) -> IO[bytes]:
        """A new archive, open for reading; it has no name any more and goes when it is closed.

        All that was settled before the call is in it. Raises Busy, LedgerUnavailable, BackupError.
        """
        if not self._working.acquire(blocking=False):
            raise Busy("a backup is being made already")
        folder = self._state_dir / COPIES
        try:
            self._drain.flush()
            if not self._ledger.is_open:
                raise LedgerUnavailable(
                    f"there is nothing to back up from: the ledger is not available: {self._ledger.error}"
                )
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            archive = folder / "archive.tar.gz"
            back_up(self._state_dir, archive, folder, self._copy_ledger, self._copy_state)
            return archive.open("rb")
        except OSError as error:
            raise BackupError(f"the backup cannot be written: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._working.release()

    def _copy_ledger(self, target: Path) -> None:
        with self._ledger.cursor(COPY_SECONDS) as cursor:
            ledger.copy(cursor, target)

    def _copy_state(self, target: Path) -> None:
        with self._store.read() as db:
            state.copy(db, target)
