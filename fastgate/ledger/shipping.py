"""A host's own ledger into the one that hosts share: its rows in their order, in batches, each exactly once.

A batch and the place up to which the rows are there now are one transaction of PostgreSQL, and the place is kept
nowhere else. So whatever is killed, or loses its last transactions, the next batch begins behind the last row that is
there. With the place stand the ids of all rows before it, added up by XOR: where the two ledgers do not agree on
them, since one of them was restored from a copy, all rows are sent once more, and those that are there stay.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import duckdb
import msgspec

from fastgate.ledger import days
from fastgate.ledger.errors import sentence
from fastgate.ledger.inserts import ORIGIN
from fastgate.ledger.schema import EVENT_NUMBERS, EVENT_TEXTS
from fastgate.ledger.store import Ledger
from fastgate.postgres.link import Link

if TYPE_CHECKING:
    from psycopg import Connection

BATCH_ROWS: Final = 10_000
"""Some 2 MB, which is what there is of them in memory."""
MOST_ORIGINS: Final = 50_000
MOST_HOSTS: Final = 1_000
ONCE_IN_SECONDS: Final = 600.0
"""The whole ledger may be sent anew; if more often, somebody interferes."""
_NUMBERS: Final = tuple(name for name in EVENT_NUMBERS if name != "started_us")
_TABLE: Final = ", ".join(
    ["origin", "id_high", "id_low", "started_us", *(f'"{name}"' for name in (*_NUMBERS, *EVENT_TEXTS))]
)
_ESCAPES: Final = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\ufffd"))
"""Of COPY's text form; what PostgreSQL's text cannot hold becomes a replacement character."""


def _escaped(column: str) -> str:
    found = f'"{column}"'
    for plain, escaped in _ESCAPES:
        said = "||".join(f"chr({ord(each)})" for each in escaped)
        found = f"replace({found}, chr({ord(plain)}), {said})"
    return found


_LINE: Final = "concat_ws(chr(9), id_high, id_low, started_us, {})".format(
    ", ".join([*(f"coalesce(nullif(\"{name}\", 0)::VARCHAR, '\\N')" for name in _NUMBERS), *map(_escaped, EVENT_TEXTS)])
)
_BATCH: Final = (
    f"SELECT origin, started_us // {days.DAY_US}, {_LINE} FROM events WHERE rowid >= ? AND rowid < ? ORDER BY rowid"
)
_SEAL: Final = (
    "SELECT count(*), coalesce(bit_xor(id_high), 0), coalesce(bit_xor(id_low), 0) "
    "FROM events WHERE rowid >= ? AND rowid < ?"
)
_ORIGINS: Final = "SELECT id, {} FROM origins WHERE id IN (SELECT unnest(?::BIGINT[]))".format(
    ", ".join(f'"{name}"' for name in ORIGIN)
)
_ADD_ORIGIN: Final = "INSERT INTO origins (id, host, {}) VALUES ({}) ON CONFLICT DO NOTHING".format(
    ", ".join(f'"{name}"' for name in ORIGIN), ", ".join(["%s"] * (len(ORIGIN) + 2))
)
_HOSTS: Final = f"SELECT host, extract(epoch FROM at)::float8 FROM shipped ORDER BY at DESC LIMIT {MOST_HOSTS}"


class Interfered(Exception):
    """Somebody else moves this host's place; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """Up to where rows are there: how many, and the XOR of their ids' halves."""

    rows: int = 0
    high: int = 0
    low: int = 0


@dataclass(frozen=True)
class _Batch:
    origins: Mapping[int, tuple[Any, ...]]
    rows: Sequence[tuple[int, int, str]]
    """Origin, day, and the rest of the line."""
    place: Place
    """When it is there."""


class Shipment:
    """Of one host, for one thread."""

    def __init__(self, ledger: Ledger, link: Link, host: str) -> None:
        self.place: Place | None = None
        """None: nobody knows yet, since the database was not reached."""
        self.sent = self.repeated = 0
        """Rows that arrived, and those that had been there already."""
        self.hosts: Mapping[str, float] = {}
        """When each host last gave a sign, in Unix seconds: those that did so last."""
        self._ledger, self._link, self._host = ledger, link, host
        self._met: tuple[Any, int] = (None, 0)
        """The connection, and the opening of the ledger, for which all that is known holds."""
        self._anew = -ONCE_IN_SECONDS
        self._numbers: dict[int, str] = {}
        self._days: set[int] = set()

    def send(self) -> int:
        """The next rows, ``BATCH_ROWS`` at most; returns how many. They are there when this returns.

        Raises PostgresAway, LedgerUnavailable, Interfered, psycopg.Error.
        """
        with self._link.asked() as connection:
            if self._met != (connection, self._ledger.openings):
                self._meet(connection)
            assert self.place is not None
            batch = self._read(self.place)
            if batch.rows:
                self._prepare(connection, batch)
                if not self._commit(connection, self.place, batch):
                    self._met = (None, 0)
                    return 0
                self.place = batch.place
                self.sent += len(batch.rows)
            return len(batch.rows)

    def look(self) -> None:
        """Gives a sign of life, and sees whether what is known still holds. Raises like :meth:`send`."""
        with self._link.asked() as connection:
            connection.execute("UPDATE shipped SET at = now() WHERE host = %s", (self._host,))
            self.hosts = dict(connection.execute(_HOSTS).fetchall())
            if self._met == (connection, self._ledger.openings) and self._told(connection) != self.place:
                self._met = (None, 0)

    def drop_before(self, day: int) -> int:
        """Drops the days before that one, and says how many that were. Raises PostgresAway, psycopg.Error."""
        from psycopg.errors import LockNotAvailable

        with self._link.asked() as connection:
            self._days.clear()
            try:
                return days.drop_before(connection, day)
            except LockNotAvailable:  # somebody reads for long: later
                return 0

    def _meet(self, connection: "Connection[tuple[Any, ...]]") -> None:
        """The place as PostgreSQL has it, where the own ledger has the same rows up to there."""
        opening = self._ledger.openings
        connection.execute(
            "INSERT INTO shipped (host, place, high, low) VALUES (%s, 0, 0, 0) ON CONFLICT DO NOTHING", (self._host,)
        )
        told = self._told(connection)
        with self._ledger.cursor() as cursor:
            same = _seal(cursor, Place(), told.rows) == told
        if not same:
            self._begin_anew(connection)
        self.place = told if same else Place()
        self._numbers.clear()
        self._days.clear()
        self._met = (connection, opening)

    def _begin_anew(self, connection: "Connection[tuple[Any, ...]]") -> None:
        if time.monotonic() < self._anew + ONCE_IN_SECONDS:
            raise Interfered(
                f"another host goes by the name {self._host}: was the state folder copied? Then delete `host` in it,"
                " and start this host anew"
            )
        self._anew = time.monotonic()
        connection.execute("UPDATE shipped SET place = 0, high = 0, low = 0 WHERE host = %s", (self._host,))

    def _told(self, connection: "Connection[tuple[Any, ...]]", *, held: bool = False) -> Place:
        statement = "SELECT place, high, low FROM shipped WHERE host = %s" + " FOR UPDATE" * held
        found = connection.execute(statement.encode(), (self._host,)).fetchone()
        return Place() if found is None else Place(*found)

    def _read(self, place: Place) -> _Batch:
        with self._ledger.cursor() as cursor:
            rows = cursor.execute(_BATCH, [place.rows, place.rows + BATCH_ROWS]).fetchall()
            fresh = list({row[0] for row in rows}.difference(self._numbers))
            origins = cursor.execute(_ORIGINS, [fresh]).fetchall() if fresh else []
            return _Batch({row[0]: row[1:] for row in origins}, rows, _seal(cursor, place, place.rows + len(rows)))

    def _prepare(self, connection: "Connection[tuple[Any, ...]]", batch: _Batch) -> None:
        """What the rows refer to. It does no harm where they do not come."""
        needed = {row[1] for row in batch.rows}
        if not needed <= self._days:
            days.make(connection, chain(needed, (max(needed) + 1,)))
            self._days |= needed
        if batch.origins:
            if len(self._numbers) > MOST_ORIGINS:
                self._numbers = {row[0]: self._numbers[row[0]] for row in batch.rows if row[0] in self._numbers}
            numbers = {number: _number(self._host, values) for number, values in batch.origins.items()}
            values = [(numbers[number], self._host, *map(_kept, said)) for number, said in batch.origins.items()]
            with connection.cursor() as cursor:
                # In one order, or hosts would block each other.
                cursor.executemany(_ADD_ORIGIN.encode(), sorted(values))
            self._numbers |= numbers

    def _commit(self, connection: "Connection[tuple[Any, ...]]", place: Place, batch: _Batch) -> bool:
        """False: the place was moved, by the last batch of a process that is gone, if not by another host."""
        from psycopg import OperationalError
        from psycopg.errors import CheckViolation, UniqueViolation

        try:
            return self._copy(connection, place, batch, again=False)
        except UniqueViolation:
            return self._copy(connection, place, batch, again=True)
        except CheckViolation:  # somebody has dropped a day
            self._days.clear()
            raise
        except OperationalError as error:  # whose further lines quote the row
            raise OperationalError(sentence(error)) from None

    def _copy(self, connection: "Connection[tuple[Any, ...]]", place: Place, batch: _Batch, *, again: bool) -> bool:
        """Rows and place; ``again``: some are there already, and stay."""
        with connection.transaction():
            if self._told(connection, held=True) != place:
                return False
            table = "again" if again else "events"
            if again:
                connection.execute("CREATE TEMP TABLE again (LIKE fastgate.events) ON COMMIT DROP")
            with connection.cursor() as cursor:
                with cursor.copy(f"COPY {table} ({_TABLE}) FROM STDIN".encode()) as copy:
                    names = self._numbers
                    copy.write("".join(f"{names[origin]}\t{line}\n" for origin, _, line in batch.rows))
                if again:
                    cursor.execute("INSERT INTO events SELECT * FROM again ON CONFLICT DO NOTHING")
                    self.repeated += len(batch.rows) - cursor.rowcount
            to = batch.place
            connection.execute(
                "UPDATE shipped SET place = %s, high = %s, low = %s, at = now() WHERE host = %s",
                (to.rows, to.high, to.low, self._host),
            )
        return True


def _seal(cursor: duckdb.DuckDBPyConnection, place: Place, to: int) -> Place:
    """The place behind the first ``to`` rows, as far as there are so many; ``place`` is before it."""
    [(rows, high, low)] = cursor.execute(_SEAL, [place.rows, to]).fetchall()
    return Place(place.rows + rows, place.high ^ high, place.low ^ low)


def _number(host: str, values: Sequence[Any]) -> str:
    """Of an origin: the same wherever it is worked out."""
    return hashlib.blake2b(msgspec.json.encode([host, *values]), digest_size=16).hexdigest()


def _kept(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
