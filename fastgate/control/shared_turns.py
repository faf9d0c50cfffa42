"""Changes of what hosts share: PostgreSQL has the truth, this host's state store a copy that all reading goes by.

A change is made in the copy, brought up to date under the database's lock, so that all checks see what every host has
done; then the database has it, and last the file. Whatever fails on the way leaves both as they were, and where only
the file fails, it gets the change later as if it were another host's.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, replace
from itertools import islice
from sqlite3 import Connection
from typing import TYPE_CHECKING, Final

import msgspec

from fastgate.config.problems import ConfigErrors
from fastgate.control.collections import COLLECTIONS
from fastgate.control.objects import Done, Objects
from fastgate.postgres import configuration as shared
from fastgate.postgres.configuration import Head, Mark, Row
from fastgate.postgres.errors import PostgresAway
from fastgate.postgres.link import Link
from fastgate.state import audit, objects, replica
from fastgate.state.errors import SharedAway
from fastgate.state.objects import SecretRow, Stored
from fastgate.state.replica import Position
from fastgate.wire.failure import shown
from fastgate.wire.sealing import SealError, WrongKey

if TYPE_CHECKING:
    from fastgate.postgres.configuration import Database

_SEALED_FOR: Final = "shared configuration"
_NAMED: Final = 3

log = logging.getLogger("fastgate.control")


class Turns:
    """What :class:`~fastgate.state.store.Elsewhere` asks for; all of it in the store's thread."""

    def __init__(self, link: Link, objects_: Objects, host: str) -> None:
        self.mark: Mark | None = None
        """Of the state that the copy has; None: this host has not asked yet."""
        self.untold = False
        """Whether the copy has what no snapshot has and workers are not told of: what it began with."""
        self.unread: tuple[str, ...] = ()
        """Objects whose newest state a later version wrote."""
        self.refusal = ""
        """Why this host does not take part; empty: it does."""
        self._link = link
        self._objects = objects_
        self._host = host

    @contextmanager
    def turn(self, db: Connection, *, writes: bool) -> Iterator[Callable[[], None]]:
        """Raises SharedAway."""
        from psycopg import Error

        news: list[Done] = []
        sent = False
        try:
            with self._link.asked() as database:
                lock = writes or self.fails or self._comes(db, database)
                with database.transaction():
                    change = self._begun(db, database, news, lock=lock)
                    seq, _ = audit.head(db)
                    yield lambda: self._committed(mark, news)
                    if writes:
                        change = self._send(db, database, change, seq)
                        sent = True
                    mark = (change, _last_hash(db))
        except PostgresAway as error:
            unknown = ". Whether the change was made is not known: look before you repeat it" if sent else ""
            raise SharedAway(f"what hosts share cannot be changed now: {error}{unknown}") from None
        except Error as error:
            raise self._refused(f"PostgreSQL does not take it: {shown(' '.join(str(error).split()))}") from error
        except SealError as error:
            raise self._refused(str(error)) from None

    @property
    def fails(self) -> bool:
        """Whether this host does not take part, or the last change failed: then it tries whether it can write again."""
        return bool(self.refusal or self._link.health.error)

    # ---- from the database

    def _comes(self, db: Connection, database: "Database") -> bool:
        """Whether it has to join: to a database that it has not asked yet, or that was made anew."""
        at = replica.position(db)
        return self.mark is None or at is None or at.lineage != shared.lineage(database)

    def _begun(self, db: Connection, database: "Database", news: list[Done], *, lock: bool) -> int:
        """Up to which change the copy has all now. ``lock``: nobody else changes anything meanwhile."""
        if not lock:
            database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        elif self.fails:
            shared.try_to_write(database)
        try:
            return self._caught_up(db, database, shared.head(database, lock=lock), news)
        except (ValueError, TypeError, LookupError, msgspec.MsgspecError) as error:
            told = f"{type(error).__name__}: {shown(str(error))}"
            raise self._refused(f"what PostgreSQL has of it was damaged by somebody: {told}") from error

    def _caught_up(self, db: Connection, database: "Database", head: Head, news: list[Done]) -> int:
        """The copy has all that the database has; returns up to which change that is."""
        at, change = replica.position(db), head.change
        if at is None or at.lineage != head.lineage:
            change = self._join(db, database, head, news)
        elif not self._follows(db, database, at, head):
            log.error("PostgreSQL has lost changes that this host knows, as an older copy of it does: it is followed")
            self._take_all(db, database, news)
        else:
            self._take(db, shared.rows_after(database, at.change), news)
            audit.keep(db, (audit.Entry(*row) for row in shared.audit_after(database, audit.head(db)[0])))
        if self.mark is None:  # this may be the version that can read what an earlier one could not
            again = (shared.row(database, *each) for each in replica.unread(db))
            self._take(db, (row for row in again if row is not None), news)
        replica.set_position(db, Position(head.lineage, change, self._host))
        replica.touched(db)
        self.unread = tuple(f"{collection}/{id_}" for collection, id_ in replica.unread(db))
        self.refusal = ""
        return change

    @staticmethod
    def _follows(db: Connection, database: "Database", at: Position, head: Head) -> bool:
        """Whether the copy is an earlier state of what the database has, and not of what it had once."""
        if at.change > head.change:
            return False
        seq, last = audit.head(db)
        return not seq or shared.audit_hash(database, seq) == last

    def _take(self, db: Connection, rows: Iterator[Row], news: list[Done]) -> None:
        for row in rows:
            done = self._taken(db, row)
            if done is not None and self.mark is not None:
                news.append(done)

    def _taken(self, db: Connection, row: Row) -> Done | None:
        if row.collection not in COLLECTIONS:  # of a later version
            replica.mark_unread(db, row.collection, row.id, unread=not row.gone)
            return None
        if row.gone:
            replica.mark_unread(db, row.collection, row.id, unread=False)
            return self._objects.forget(db, row.collection, row.id)
        stored = Stored(row.collection, row.id, row.document, row.version, row.created_us, row.updated_us)
        said = msgspec.json.decode(row.secrets) if row.secrets else []
        secrets = [SecretRow(bytes.fromhex(digest), *rest) for digest, *rest in said]
        unread = False
        try:
            done = self._objects.take_over(db, stored, secrets, row.sealed)
        except (ConfigErrors, msgspec.MsgspecError):  # a setting that is not known here
            unread = True
            done = self._objects.forget_secrets(db, stored, {secret.digest for secret in secrets})
            log.warning("%s/%s was written by a later version: it stays as it was here", row.collection, row.id)
        replica.mark_unread(db, row.collection, row.id, unread=unread)
        return done

    def _take_all(self, db: Connection, database: "Database", news: list[Done]) -> None:
        """Whatever the copy has becomes what the database has."""
        rows = shared.rows_after(database, 0)
        if any(objects.count(db, collection) for collection in COLLECTIONS):
            rows = self._different(db, {(row.collection, row.id): row for row in rows if not row.gone})
        self._take(db, rows, news)
        audit.forget(db, aside=True)
        audit.keep(db, (audit.Entry(*row) for row in shared.audit_after(database, 0)))

    @staticmethod
    def _different(db: Connection, wanted: dict[tuple[str, str], Row]) -> Iterator[Row]:
        """What of the copy is not as ``wanted``."""
        for collection in COLLECTIONS:
            for stored in list(objects.every(db, collection)):
                row = wanted.get((collection, stored.id))
                if row is None:
                    yield Row(collection, stored.id, 0, gone=True)
                elif _row(db, stored, row.change) == row:
                    del wanted[collection, stored.id]
        yield from wanted.values()

    # ---- a host that comes

    def _join(self, db: Connection, database: "Database", head: Head, news: list[Done]) -> int:
        """Its own objects go into an empty database; else it may have none that are not in there."""
        self._check_key(database, head)
        if head.change == 0:
            return self._import(db, database)
        own = list(islice(_own(db, database), _NAMED + 1))
        if own:
            named = ", ".join(own[:_NAMED]) + (" and more" if len(own) > _NAMED else "")
            raise self._refused(
                f"this host has objects of its own that hosts do not share, or have otherwise: {named}. It serves them,"
                " and changes nothing: create them on a host that shares, or do without them; then stop this host, move"
                " state.db, state.db-wal and state.db-shm out of its state folder, and start it"
            )
        self._take_all(db, database, news)
        return head.change

    def _import(self, db: Connection, database: "Database") -> int:
        own = (stored for collection in COLLECTIONS for stored in objects.every(db, collection))
        rows = [_row(db, stored, number) for number, stored in enumerate(own, 1)]
        notes = [astuple(entry) for entry in audit.after(db, 0)]
        if not rows and not notes:
            return 0
        shared.put(database, rows)
        shared.add_audit(database, notes)
        shared.advance(database, max(1, len(rows)))
        log.info("%d objects of this host are shared from now on", len(rows))
        return max(1, len(rows))

    def _check_key(self, database: "Database", head: Head) -> None:
        """Secrets of providers are sealed: all hosts need the same key, or some could not use them."""
        sealer = self._objects.store.sealer
        if not head.seal:
            shared.set_seal(database, sealer.seal(head.lineage, _SEALED_FOR).hex())
            return
        try:
            sealer.open(bytes.fromhex(head.seal), _SEALED_FOR)
        except WrongKey:
            raise self._refused(
                "hosts that share what is created need one key to its secrets: give the FASTGATE_STATE_KEY of the"
                " others, or their state.key, and start this host anew"
            ) from None

    def _refused(self, why: str) -> SharedAway:
        if why != self.refusal:
            log.error("what hosts share is not taken over: %s", why)
        self.refusal = why
        return SharedAway(why)

    # ---- into the database

    def _send(self, db: Connection, database: "Database", change: int, seq: int) -> int:
        """What was changed in the copy since it was caught up; returns the number of the last change."""
        rows = []
        for number, (collection, id_) in enumerate(replica.touched(db), change + 1):
            stored = objects.find(db, collection, id_)
            rows.append(Row(collection, id_, number, gone=True) if stored is None else _row(db, stored, number))
        notes = [astuple(entry) for entry in audit.after(db, seq)]
        if not rows and not notes:
            return change
        change += max(1, len(rows))
        shared.put(database, rows)
        shared.add_audit(database, notes)
        shared.advance(database, change)
        at = replica.position(db)
        assert at is not None
        replica.set_position(db, replace(at, change=change))
        return change

    def _committed(self, mark: Mark, news: list[Done]) -> None:
        """The file has it, too."""
        self.untold = self.untold or self.mark is None
        self.mark = mark
        try:
            self._objects.tell(news)
        except OSError as error:
            log.error("workers are told later what other hosts changed: %s", error)  # noqa: TRY400


def _row(db: Connection, stored: Stored, change: int) -> Row:
    secrets = objects.secrets(db, stored.id) if stored.collection == "keys" else []
    said = msgspec.json.encode([(each.digest.hex(), each.created_us, each.expires_ns) for each in secrets]).decode()
    sealed = objects.sealed(db, stored.collection, stored.id)
    return Row(change=change, gone=False, secrets=said, sealed=sealed, **asdict(stored))


def _own(db: Connection, database: "Database") -> Iterator[str]:
    """Objects of the file that are not in the database, or otherwise."""
    for collection in COLLECTIONS:
        for stored in objects.every(db, collection):
            row = shared.row(database, collection, stored.id)
            mine = _row(db, stored, 0)
            if row is None or row.gone or (row.document, row.secrets) != (mine.document, mine.secrets):
                yield f"{collection}/{stored.id}"


def _last_hash(db: Connection) -> bytes:
    seq, last = audit.head(db)
    return last if seq else b""
