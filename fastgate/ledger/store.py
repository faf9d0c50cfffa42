"""The ledger's file: opened, given up, opened again. One writer and any number of short-lived readers."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from fastgate.ledger.errors import BadQuery, LedgerUnavailable, NewerLedger, QueryTimeout, sentence
from fastgate.ledger.inserts import Inserts
from fastgate.ledger.schema import check_version, migrate

QUERY_SECONDS: Final = 30.0
CHECKPOINT_BYTES: Final = "64MB"
"""Of write-ahead log between two checkpoints: larger makes rows cheaper, and the start after a crash longer."""
COPIES: Final = "backup.tmp"
"""The folder beside the file where copies of it may be made: the only place that its statements reach."""
LOG_BEGINS: Final = b"d\0b"
"""DuckDB's write-ahead log: an entry (field 100) with its version (``b``). A crash may leave one of zeros."""
MEMORY: Final = "512MB"
"""Beyond it queries spill to the disk."""


class Ledger:
    """The DuckDB file at ``path``. Any thread may read; the writer (``inserts``) belongs to one thread.

    A failure that leaves the file unusable closes it: everybody then gets LedgerUnavailable, with the reason, until
    ``open`` succeeds again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: str | None = "not opened yet"
        self.openings = 0
        """How often it was opened: what was read before may be of another file."""
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._inserts: Inserts | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Opens or creates the file and brings its schema up to date.

        Raises LedgerUnavailable; for the file of a later version NewerLedger, and nothing of it is changed.
        """
        with self._lock:
            if self._connection is not None:
                return
            connection = None
            try:
                _check_log(self.path)
                connection = duckdb.connect(str(self.path), config=_settings(self.path))
                check_version(connection)
                self.path.chmod(0o600)
                _confine(connection, self.path.with_name(COPIES))
                migrate(connection)
                self._inserts = Inserts(connection)
            except (duckdb.Error, OSError, LedgerUnavailable) as error:
                if connection is not None:
                    connection.close()
                self.error = sentence(error)
                kind = NewerLedger if isinstance(error, NewerLedger) else LedgerUnavailable
                raise kind(f"the ledger {self.path} cannot be opened: {self.error}") from error
            self._connection, self.error = connection, None
            self.openings += 1

    def close(self, reason: str = "closed") -> None:
        """Gives the file up; what is committed is safe."""
        with self._lock:
            connection, self._connection, self._inserts = self._connection, None, None
            self.error = reason
        if connection is not None:
            # Closing writes a checkpoint, which fails on a full disk; the log beside the file has it all.
            with contextlib.suppress(duckdb.Error):
                connection.close()

    @property
    def is_open(self) -> bool:
        """Whether the file is in use; where it is not, ``error`` says why."""
        return self._connection is not None

    @property
    def inserts(self) -> Inserts:
        """The writer. Raises LedgerUnavailable."""
        if self._inserts is None:
            raise LedgerUnavailable(f"the ledger is not available: {self.error}")
        return self._inserts

    @contextlib.contextmanager
    def cursor(self, seconds: float = QUERY_SECONDS) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for a query, interrupted after ``seconds``.

        Raises LedgerUnavailable, QueryTimeout, or BadQuery for what DuckDB cannot compute (a sum beyond 128 bits).
        """
        with self._lock:
            if self._connection is None:
                raise LedgerUnavailable(f"the ledger is not available: {self.error}")
            cursor = self._connection.cursor()
        timer = threading.Timer(seconds, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield cursor
        except duckdb.InterruptException:
            raise QueryTimeout(f"the query took more than {seconds:g} s: narrow it by time or conditions") from None
        except (duckdb.OutOfRangeException, duckdb.ConversionException) as error:
            raise BadQuery("where", sentence(error)) from error
        except duckdb.Error as error:
            raise LedgerUnavailable(f"the ledger cannot answer: {sentence(error)}") from error
        finally:
            timer.cancel()
            cursor.close()

    def memory(self) -> int:
        """Bytes that the database has in memory, of what was read and of rows that wait for a checkpoint; 0: closed."""
        with self._lock:
            if self._connection is None:
                return 0
            cursor = self._connection.cursor()
        with cursor, contextlib.suppress(duckdb.Error):
            return int(cursor.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchall()[0][0])
        return 0

    def size(self) -> int:
        """Bytes on the disk, the write-ahead log included."""
        total = 0
        for path in (self.path, _log_of(self.path)):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total


def _log_of(path: Path) -> Path:
    """The write-ahead log of the file."""
    return path.with_name(path.name + ".wal")


def _check_log(path: Path) -> None:
    """Raises LedgerUnavailable where the write-ahead log is none: DuckDB would take it for one that a crash cut off."""
    log = _log_of(path)
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        begins = file.read(len(LOG_BEGINS))
        if begins.strip(b"\0") and not LOG_BEGINS.startswith(begins):
            raise LedgerUnavailable(f"{log.name} is not its write-ahead log, whose rows would be lost")


def _settings(path: Path) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": min(2, len(os.sched_getaffinity(0))),
        "memory_limit": MEMORY,
        "allocator_background_threads": True,  # what a peak needed goes back while it lasts
        "checkpoint_threshold": CHECKPOINT_BYTES,
        "temp_directory": str(path.with_name("ledger.tmp")),
        "max_temp_directory_size": "4GB",
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _confine(connection: duckdb.DuckDBPyConnection, copies: Path) -> None:
    """Text of clients only ever travels as parameters; should one slip, there is next to nothing to reach from here."""
    connection.execute("SET allowed_directories = ?", [[str(copies)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
