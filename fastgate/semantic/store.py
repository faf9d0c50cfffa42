"""Entries on disk: SQLite in the state folder, written by a thread of its own, in groups that share a commit.

What is lost in a crash is the last moment's entries, never a part of one. A file that cannot be used is set aside: it
is a cache, and begins again with nothing. A disk that is full costs what could not be written, and is told once.

What is deleted is overwritten in the file (``secure_delete``), and the log beside it, which still has it, is emptied:
before who waits for the deletion is told, else a moment later, so that many expiries empty it once.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic, time_ns
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from fastgate.semantic import schema
from fastgate.semantic.brute import Vector
from fastgate.semantic.entries import Entry, Seen
from fastgate.semantic.errors import StoreUnusable

FILE: Final = "entries.db"
ALIVE_SECONDS: Final = 0.1
"""Between two looks of who waits for the disk at whether it will ever have been written to."""
WIPE_SECONDS: Final = 2.0
"""From a deletion that nobody waits for to the emptying of the log."""
READERS_MS: Final = 2_000
"""That the emptying waits for those that read: a page of a list takes one second at most."""
LOCKED_MS: Final = 10_000
"""That anything else waits for another program that has locked the file."""
MOST_WAITING: Final = 20_000
"""Changes that may wait for the disk; beyond them entries are not written (and told)."""
_FLOATS: Final = np.dtype("<f4")

log = logging.getLogger("fastgate.semantic")


class Kept(NamedTuple):
    """What an entry's answer is: the bytes, their plain text, and usage as its sender packed it."""

    body: bytes
    said: str
    usage: bytes


Change = tuple[str, tuple[Any, ...]]


class Store:
    """Reading is for one thread; writing waits for nothing. ``lost`` counts changes that were not written."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.lost = 0
        self._path = folder / FILE
        self._reader = self._opened(identity)
        self._fresh: dict[int, Kept] = {}
        """Answers that are not on disk yet."""
        self._changes: SimpleQueue[list[Change] | None] = SimpleQueue()
        self._told = False
        self._told_unwiped = False
        self._owed: list[Change] = []
        """Deletions that did not reach the disk: they are tried again with whatever is written next, until the end."""
        self._wipe_at: float | None = 0.0  # a run that was killed may have left what it deleted
        """By the monotonic clock; None: the log has nothing that was deleted."""
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    # ---- reading

    def entries(self) -> Iterator[Entry]:
        """All entries, that which was used last at the end."""
        seen = msgspec.msgpack.Decoder(list[Seen])
        for row in self._reader.execute(schema.ALL):
            id_, partition, tenant, text, kind, created_ms, expires_ms, used_ms, hits, answer, known = row
            yield Entry(
                id_, partition, tenant, text, kind, created_ms, expires_ms, used_ms, hits, answer, seen.decode(known)
            )

    def vectors(self, ids: Sequence[int]) -> Iterator[tuple[int, Vector]]:
        """The vectors of these entries."""
        for id_ in ids:
            row = self._reader.execute("SELECT vector FROM entry WHERE id = ?", (id_,)).fetchone()
            if row is not None:
                yield id_, np.frombuffer(row[0], dtype=_FLOATS)

    def answer(self, id_: int) -> Kept | None:
        """None: there is none."""
        fresh = self._fresh.get(id_)
        if fresh is not None:
            return fresh
        row = self._reader.execute(schema.ANSWER, (id_,)).fetchone()
        return None if row is None else Kept(*row)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What is on disk, for any thread: who reads long there keeps no question waiting."""
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection

    def value(self, name: str) -> bytes | None:
        """What was put under a name."""
        row = self._reader.execute("SELECT value FROM value WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def values(self, prefix: str) -> list[tuple[str, bytes]]:
        """All whose names begin so."""
        asked = "SELECT name, value FROM value WHERE name >= ? AND name < ?"
        return self._reader.execute(asked, (prefix, prefix + "\U0010ffff")).fetchall()

    # ---- writing

    def insert(self, entry: Entry, vector: Vector, kept: Kept, about: str) -> None:
        """A new entry."""
        row = (
            entry.id, entry.partition, entry.tenant, entry.text, vector.astype(_FLOATS).tobytes(), entry.kind, about,
            entry.created_ms, entry.expires_ms, entry.used_ms, entry.hits, entry.answer,
            msgspec.msgpack.encode(entry.seen),
        )  # fmt: skip
        self._fresh[entry.id] = kept
        self._change([(schema.INSERT_ENTRY, row), (schema.INSERT_ANSWER, (entry.id, *kept))])

    def use(self, entry: Entry) -> None:
        """It was served."""
        self._change([(schema.USE, (entry.used_ms, entry.hits, entry.id))])

    def confirm(self, entry: Entry) -> None:
        """It is as good as new."""
        self._change([(schema.CONFIRM, (entry.created_ms, entry.expires_ms, entry.used_ms, entry.id))])

    def seen(self, entry: Entry) -> None:
        """It was compared."""
        self._change([(schema.SEEN, (msgspec.msgpack.encode(entry.seen), entry.id))])

    def judged(self, entry: Entry) -> None:
        """Its answer was compared after it was written."""
        self._change([(schema.JUDGED, (entry.answer, msgspec.msgpack.encode(entry.seen), entry.id))])

    def delete(self, id_: int) -> None:
        """It is gone."""
        self._fresh.pop(id_, None)
        self._changes.put([(statement, (id_,)) for statement in schema.DELETE])  # however many wait

    def put(self, name: str, value: bytes) -> None:
        """A value by its name, in place of the one before."""
        self._change([(schema.PUT, (name, value))])

    def drop(self, name: str) -> None:
        """There is no value of that name any more."""
        self._change([(schema.DROP, (name,))])

    def flush(self) -> None:
        """Returns when all that was changed so far is on disk, or lost. For any thread."""
        done = threading.Event()
        self._changes.put([("", (done,))])
        while not done.wait(ALIVE_SECONDS) and self._thread.is_alive():
            pass

    @property
    def owed(self) -> bool:
        """After :meth:`flush`: whether deletions did not reach the disk, and would come back with a restart."""
        return bool(self._owed)

    @property
    def unwiped(self) -> bool:
        """After :meth:`flush`: whether the log still has what was deleted; it is tried again."""
        return self._wipe_at is not None

    def close(self) -> None:
        """Writes what waits and closes the file."""
        self._changes.put(None)
        self._thread.join()
        self._reader.close()

    def _change(self, changes: list[Change]) -> None:
        if self._changes.qsize() <= MOST_WAITING:
            self._changes.put(changes)
            return
        self.lost += len(changes)
        self._forget(changes)

    def _forget(self, changes: Sequence[Change]) -> None:
        """Answers that the disk has by now, or will never have: memory would fill with them."""
        for statement, values in changes:
            if statement is schema.INSERT_ANSWER:
                self._fresh.pop(values[0], None)

    def _write(self) -> None:
        with closing(self._connect()) as connection:
            ending = False
            while not ending:
                group = self._taken()
                ending = bool(group) and group[-1] is None
                self._commit(connection, [change for changes in group if changes is not None for change in changes])

    def _taken(self) -> list[list[Change] | None]:
        """What came, all of it; nothing where it is time to empty the log."""
        left = None if self._wipe_at is None else max(0.0, self._wipe_at - monotonic())
        try:
            group = [self._changes.get(timeout=left)]
        except Empty:
            return []
        while not self._changes.empty():
            group.append(self._changes.get())
        return group

    def _commit(self, connection: sqlite3.Connection, changes: list[Change]) -> None:
        asking = [values[0] for statement, values in changes if not statement]
        changes = [*self._owed, *(change for change in changes if change[0])]
        try:
            with connection:
                for statement, values in changes:
                    connection.execute(statement, values)
            self._owed = []
            self._told = self._told and not changes  # an empty group says nothing of the disk
        except sqlite3.Error as error:
            self._owed = [change for change in changes if change[0] in schema.DELETE]
            self.lost += len(changes) - len(self._owed)
            if not self._told:
                log.warning("entries are not written: %s", error)
            self._told = True
        self._forget(changes)
        if self._wipe_at is None and any(change[0] in schema.DELETE for change in changes):
            self._wipe_at = monotonic() + WIPE_SECONDS
        if self._wipe_at is not None and (asking or monotonic() >= self._wipe_at):
            self._wipe(connection)
        for event in asking:
            event.set()

    def _wipe(self, connection: sqlite3.Connection) -> None:
        """Empty the log: it has pages as they were before something was deleted. Lookups read on meanwhile."""
        why: object = "something reads it"
        try:
            connection.execute(f"PRAGMA busy_timeout = {READERS_MS}")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            connection.execute(f"PRAGMA busy_timeout = {LOCKED_MS}")
        except sqlite3.Error as error:
            busy, why = True, error
        if busy and not self._told_unwiped:
            log.warning("what was deleted stays readable in %s-wal until that can be emptied: %s", self._path, why)
        self._told_unwiped = bool(busy)
        self._wipe_at = monotonic() + WIPE_SECONDS if busy else None

    # ---- its file

    def _opened(self, identity: str) -> sqlite3.Connection:
        """The file's entries, if they are of this embedder and whole; else none."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            try:
                return self._begun(identity)
            except sqlite3.DatabaseError as error:
                aside = self._path.with_name(f"{FILE}.set-aside-{time_ns() // 1_000_000}")
                self._path.rename(aside)
                for beside in ("-wal", "-shm"):
                    self._path.with_name(FILE + beside).unlink(missing_ok=True)
                log.warning("the entries cannot be used (%s): %s has what was there, and none is kept", error, aside)
                return self._begun(identity)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnusable(f"{self._path} cannot be opened: {error}") from error

    def _begun(self, identity: str) -> sqlite3.Connection:
        connection = self._connect()
        try:
            if _version(connection) == 0:
                connection.executescript(f"BEGIN; {schema.TABLES} PRAGMA user_version = {schema.VERSION}; COMMIT;")
            self._bind(connection, identity)
        except BaseException:
            connection.close()
            raise
        return connection

    def _bind(self, connection: sqlite3.Connection, identity: str) -> None:
        """Vectors of another embedder are worth nothing, nor is what was learned by them."""
        row = connection.execute("SELECT value FROM value WHERE name = 'identity'").fetchone()
        if row is not None and bytes(row[0]) == identity.encode():
            return
        with connection:
            dropped = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
            for table in ("entry", "answer", "value"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute(schema.PUT, ("identity", identity.encode()))
        if dropped:
            log.warning("another embedder than before: %d entries are dropped", dropped)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, timeout=LOCKED_MS / 1000)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # prompts and answers
        return connection


def _version(connection: sqlite3.Connection) -> int:
    """Of the tables that are there; 0: none are. Raises DatabaseError for those of another version."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version not in (0, schema.VERSION):
        raise sqlite3.DatabaseError(f"version {version} of the tables")
    return version
