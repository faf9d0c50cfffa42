"""The tables of the state store, and how older files become newer ones.

``objects`` holds documents as operators wrote them; everything else is made from them when they are written:
``records`` is what workers read, under the digest that they look for; ``budgets`` and ``limits`` list what is in them;
``refs`` says which object names which other one (``team:platform``, ``provider:openai``, ``ceiling:50/200``).
``sealed`` holds what documents must not: secrets that are sent on to providers, encrypted. ``shared`` has a row where
all this is a copy of what hosts share, and says up to which change; ``unread`` are objects there that a later version
wrote; ``audit_alone`` is the audit of a host from before it shared.
"""

import sqlite3
from typing import Final

from fastgate.state.errors import NewerState

MIGRATIONS: Final = (
    """
    CREATE TABLE objects (
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        document TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_us INTEGER NOT NULL,
        updated_us INTEGER NOT NULL,
        PRIMARY KEY (collection, id)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE refs (
        target TEXT NOT NULL,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (target, collection, id)
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX refs_source ON refs (collection, id);
    CREATE TABLE records (
        digest BLOB PRIMARY KEY,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        expires_ns INTEGER NOT NULL,
        created_us INTEGER NOT NULL,
        record BLOB NOT NULL
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX records_source ON records (collection, id);
    CREATE INDEX records_expiry ON records (expires_ns) WHERE expires_ns > 0;
    CREATE TABLE budgets (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        level TEXT NOT NULL,
        collection TEXT NOT NULL,
        source TEXT NOT NULL,
        record BLOB NOT NULL
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX budgets_owner ON budgets (owner);
    CREATE INDEX budgets_source ON budgets (collection, source);
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        at_us INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE sealed (
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        secrets BLOB NOT NULL,
        PRIMARY KEY (collection, id)
    ) WITHOUT ROWID, STRICT;
    """,
    """
    CREATE TABLE limits (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        level TEXT NOT NULL,
        collection TEXT NOT NULL,
        source TEXT NOT NULL,
        record BLOB NOT NULL
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX limits_owner ON limits (owner);
    CREATE INDEX limits_source ON limits (collection, source);
    """,
    """
    ALTER TABLE audit ADD COLUMN host TEXT NOT NULL DEFAULT '';
    CREATE TABLE shared (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        lineage TEXT NOT NULL,
        change INTEGER NOT NULL,
        host TEXT NOT NULL
    ) STRICT;
    CREATE TABLE unread (
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (collection, id)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE audit_alone (
        seq INTEGER NOT NULL,
        at_us INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL,
        hash BLOB NOT NULL,
        host TEXT NOT NULL
    ) STRICT;
    """,
)
"""One per version; a file's ``user_version`` says how many it has had. Never change one that was released."""


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the file has had; 0 for a new one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def check_version(connection: sqlite3.Connection, name: str) -> None:
    """Raises :class:`NewerState` where the file has had more migrations than this version knows."""
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise NewerState(
            f"{name} has state of version {version}, this program knows {len(MIGRATIONS)}: use the one that wrote it"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the file up to date, each step whole or not at all."""
    for number in range(version_of(connection), len(MIGRATIONS)):
        connection.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
