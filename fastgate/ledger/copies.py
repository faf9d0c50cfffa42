"""Copies of a ledger: of one that is in use, and of one that nobody has open. A copy is one state, and one file."""

from pathlib import Path

import duckdb

from fastgate.ledger.errors import LedgerUnavailable, sentence
from fastgate.ledger.schema import version_of


def copy(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Writes what ``connection`` sees now into the new file ``target``; others may go on writing.

    Not by the file system: whoever opens and closes the file of a database gives up the locks of its own process on it.
    """
    [(source,)] = connection.execute("SELECT current_database()").fetchall()
    _copy(connection, str(source), target)


def copy_closed(path: Path, target: Path) -> None:
    """The same of a file that nobody uses, which is only read. Raises LedgerUnavailable."""
    try:
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH {_quoted(path)} AS ledger (READ_ONLY)")
            _copy(connection, "ledger", target)
    except duckdb.Error as error:
        raise LedgerUnavailable(f"the ledger {path} cannot be copied: {sentence(error)}") from error


def schema_of(path: Path) -> int:
    """The version of a file that nobody writes. Raises LedgerUnavailable."""
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            return version_of(connection)
    except duckdb.Error as error:
        raise LedgerUnavailable(f"the ledger {path} cannot be opened: {sentence(error)}") from error


def _copy(connection: duckdb.DuckDBPyConnection, source: str, target: Path) -> None:
    connection.execute(f"ATTACH {_quoted(target)} AS duplicate")
    try:
        connection.execute(f'COPY FROM DATABASE "{source}" TO duplicate')
    finally:
        connection.execute("DETACH duplicate")


def _quoted(path: Path) -> str:
    text = str(path).replace("'", "''")
    return f"'{text}'"
