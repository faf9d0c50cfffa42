"""Copies of the state store, and looks at one that is not ours to change."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fastgate.state.errors import StateError
from fastgate.state.schema import version_of


def copy(db: sqlite3.Connection, target: Path) -> None:
    """Writes what ``db`` sees now into the new file ``target``; others may go on writing."""
    with closing(sqlite3.connect(target)) as other:
        db.backup(other)
        other.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, whether or not others write. Raises :class:`StateError`."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            yield db
    except sqlite3.Error as error:
        raise StateError(f"{path} cannot be read: {error}") from error


def schema_of(path: Path) -> int:
    """The version of the file. Raises :class:`StateError`."""
    with opened(path) as db:
        return version_of(db)
