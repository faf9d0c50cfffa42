"""Who changed what, in a chain: each hash covers the row before, so that none can be changed or taken out unseen."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from typing import Final

import msgspec

START: Final = bytes(32)
_COLUMNS: Final = "seq, at_us, actor, action, collection, id, before, after, hash, host"


@dataclass(frozen=True)
class Entry:
    """One change. ``before`` and ``after`` are documents in JSON; empty: there was or is none. No secret is in them."""

    seq: int
    at_us: int
    actor: str
    action: str
    """``create``, ``update``, ``delete``, ``rotate``, ``revoke``, ``reset``, ``accept-loss``, ``forget``, ``read``."""
    collection: str
    id: str
    before: str
    after: str
    hash: bytes = b""
    host: str = ""
    """Where hosts share what they create: on which of them."""

    def chained(self, previous: bytes) -> bytes:
        """What its hash has to be after the row with the hash ``previous``."""
        said = [self.seq, self.at_us, self.actor, self.action, self.collection, self.id, self.before, self.after]
        if self.host:
            said.append(self.host)
        return hashlib.sha256(previous + msgspec.json.encode(said)).digest()


def add(db: sqlite3.Connection, entry: Entry) -> None:
    """Adds a row, in the transaction of the change itself; it gets its number and its hash here."""
    last = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, START)
    shared = db.execute("SELECT host FROM shared").fetchone()
    entry = replace(entry, seq=seq, host=shared[0] if shared else "")
    keep(db, [replace(entry, hash=entry.chained(previous))])


def keep(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Adds rows that have their numbers and hashes."""
    db.executemany(
        f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (astuple(entry) for entry in entries)
    )


def after(db: sqlite3.Connection, seq: int) -> Iterator[Entry]:
    """Rows behind ``seq``, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM audit WHERE seq > ? ORDER BY seq", (seq,))
    return (Entry(*row) for row in rows)


def forget(db: sqlite3.Connection, *, aside: bool) -> None:
    """Takes all rows out, to make room for those that hosts share; ``aside``: they are kept elsewhere in the file."""
    if aside:
        db.execute(f"INSERT INTO audit_alone ({_COLUMNS}) SELECT {_COLUMNS} FROM audit")
    db.execute("DELETE FROM audit")


def page(
    db: sqlite3.Connection, before_seq: int | None, limit: int, collection: str | None = None, id_: str | None = None
) -> list[Entry]:
    """Rows, newest first."""
    conditions, values = ["TRUE"], []
    for text, value in (("seq < ?", before_seq), ("collection = ?", collection), ("id = ?", id_)):
        if value is not None:
            conditions.append(text)
            values.append(value)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?", (*values, limit)
    )
    return [Entry(*row) for row in rows]


def broken_links(db: sqlite3.Connection) -> Iterator[str]:
    """What does not fit in the chain; nothing: it is whole. Reads all of it."""
    expected, previous = 1, START
    for row in db.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq"):
        entry = Entry(*row)
        if entry.seq != expected:
            yield f"row {expected} is missing"
        elif entry.chained(previous) != entry.hash:
            yield f"row {entry.seq} was changed, or the one before it"
        expected, previous = entry.seq + 1, entry.hash


def head(db: sqlite3.Connection) -> tuple[int, bytes]:
    """How many rows there are, and the last one's hash: kept elsewhere, it shows whether rows were cut off."""
    row = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, START)
