"""The store as a copy of what hosts share: how far it is, and what was changed in it that the others have to hear."""

import sqlite3
from dataclasses import dataclass
from typing import Final

_NOTED: Final = "BEGIN INSERT OR IGNORE INTO touched VALUES ({0}.collection, {0}.id); END"
_WATCH: Final = (
    "CREATE TEMP TABLE touched (collection TEXT, id TEXT, PRIMARY KEY (collection, id)) WITHOUT ROWID, STRICT",
    f"CREATE TEMP TRIGGER came AFTER INSERT ON main.objects {_NOTED.format('new')}",
    f"CREATE TEMP TRIGGER went AFTER DELETE ON main.objects {_NOTED.format('old')}",
    f"CREATE TEMP TRIGGER ended AFTER DELETE ON main.records {_NOTED.format('old')}",
)


@dataclass(frozen=True)
class Position:
    """Of which database this is a copy, up to which change, and as which host."""

    lineage: str
    change: int
    host: str


def watch(db: sqlite3.Connection) -> None:
    """From here on, ``touched`` knows the objects that this connection changes."""
    for statement in _WATCH:
        db.execute(statement)


def touched(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Collection and id of what was changed since the last time that this was asked."""
    found = db.execute("SELECT collection, id FROM touched").fetchall()
    db.execute("DELETE FROM touched")
    return found


def position(db: sqlite3.Connection) -> Position | None:
    """None: it is no copy."""
    row = db.execute("SELECT lineage, change, host FROM shared").fetchone()
    return None if row is None else Position(*row)


def set_position(db: sqlite3.Connection, position: Position) -> None:
    """It is a copy up to there."""
    values = (position.lineage, position.change, position.host)
    db.execute("INSERT OR REPLACE INTO shared (one, lineage, change, host) VALUES (1, ?, ?, ?)", values)


def part(db: sqlite3.Connection) -> None:
    """It is no copy any more, as it is about to be changed by itself."""
    db.execute("DELETE FROM shared")


def mark_unread(db: sqlite3.Connection, collection: str, id_: str, *, unread: bool) -> None:
    """Whether the newest state of an object could not be taken over, since a later version wrote it."""
    if unread:
        db.execute("INSERT OR IGNORE INTO unread (collection, id) VALUES (?, ?)", (collection, id_))
    else:
        db.execute("DELETE FROM unread WHERE collection = ? AND id = ?", (collection, id_))


def is_unread(db: sqlite3.Connection, collection: str, id_: str) -> bool:
    """Whether that is so of one object."""
    sql = "SELECT 1 FROM unread WHERE collection = ? AND id = ?"
    return db.execute(sql, (collection, id_)).fetchone() is not None


def unread(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Objects of which a later version wrote the newest state."""
    return list(db.execute("SELECT collection, id FROM unread ORDER BY collection, id"))
