"""What operators create, in PostgreSQL: rows of objects, each with the number of its last change, and one audit."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from psycopg import Connection

    Database = Connection[tuple[Any, ...]]

CHANNEL: Final = "fastgate_configuration"
_PAGE: Final = 1000
_ROW: Final = "collection, id, change, gone, document, version, created_us, updated_us, secrets, sealed"
_AUDIT: Final = "seq, at_us, actor, action, collection, id, before, after, hash, host"


Mark = tuple[int, bytes]


@dataclass(frozen=True)
class Head:
    """``lineage`` tells this database from any other; ``change`` is the number of the last change."""

    lineage: str
    change: int
    seal: str
    """What hosts with the same key to secrets can open; empty: nobody has joined yet."""


@dataclass(frozen=True)
class Row:
    """An object as hosts share it; ``gone``: there was one."""

    collection: str
    id: str
    change: int
    gone: bool
    document: str = ""
    version: int = 0
    created_us: int = 0
    updated_us: int = 0
    secrets: str = ""
    """Of a key, as JSON: digest, when it was made, when it ends."""
    sealed: bytes = b""


def head(database: "Database", *, lock: bool = False) -> Head:
    """``lock``: until the end of the transaction nobody else changes anything."""
    sql = "SELECT lineage, change, seal FROM head"
    [row] = database.execute(f"{sql} FOR UPDATE" if lock else sql).fetchall()
    return Head(*row)


def lineage(database: "Database") -> str:
    """Tells this database from any other, and from what was there before it was made anew; empty: it is damaged."""
    rows = database.execute("SELECT lineage FROM head").fetchall()
    return str(rows[0][0]) if rows else ""


def try_to_write(database: "Database") -> None:
    """Changes nothing, and fails where changes would: at a full disk, without the right, or where a lock is kept."""
    database.execute("UPDATE head SET change = change")


def mark(database: "Database") -> Mark:
    """Tells the newest state from any other, also where an older copy of the database got as many changes anew."""
    sql = "SELECT change, (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1) FROM head"
    [(change, last)] = database.execute(sql).fetchall()
    return change, last or b""


def rows_after(database: "Database", change: int) -> Iterator[Row]:
    """What was changed since, in the order of the last changes."""
    sql = f"SELECT {_ROW} FROM objects WHERE change > %s ORDER BY change LIMIT {_PAGE}"
    while rows := database.execute(sql, (change,)).fetchall():
        for row in rows:
            yield Row(*row)
        change = rows[-1][2]


def row(database: "Database", collection: str, id_: str) -> Row | None:
    """One object; None: there never was one."""
    found = database.execute(f"SELECT {_ROW} FROM objects WHERE collection = %s AND id = %s", (collection, id_))
    return next((Row(*each) for each in found.fetchall()), None)


def put(database: "Database", rows: Sequence[Row]) -> None:
    """Keeps objects, new or changed, or that they are gone."""
    columns = _ROW.split(", ")
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns[2:])
    sql = (
        f"INSERT INTO objects ({_ROW}) VALUES ({', '.join(['%s'] * len(columns))})"
        f" ON CONFLICT (collection, id) DO UPDATE SET {changed}"
    )
    for start in range(0, len(rows), _PAGE):
        with database.cursor() as cursor:
            cursor.executemany(sql.encode(), [astuple(each) for each in rows[start : start + _PAGE]])


def advance(database: "Database", change: int) -> None:
    """The last change has this number now, which all hosts are told when the transaction is committed."""
    database.execute("UPDATE head SET change = %s", (change,))
    database.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(change)))


def set_seal(database: "Database", seal: str) -> None:
    """What only hosts with the same key can open."""
    database.execute("UPDATE head SET seal = %s", (seal,))


def audit_after(database: "Database", seq: int) -> Iterator[tuple[Any, ...]]:
    """Rows of the audit, oldest first."""
    sql = f"SELECT {_AUDIT} FROM audit WHERE seq > %s ORDER BY seq LIMIT {_PAGE}"
    while rows := database.execute(sql, (seq,)).fetchall():
        yield from rows
        seq = rows[-1][0]


def audit_hash(database: "Database", seq: int) -> bytes | None:
    """Of one row; None: there is no such row."""
    rows = database.execute("SELECT hash FROM audit WHERE seq = %s", (seq,)).fetchall()
    return bytes(rows[0][0]) if rows else None


def add_audit(database: "Database", rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows that have their numbers and hashes."""
    sql = f"INSERT INTO audit ({_AUDIT}) VALUES ({', '.join(['%s'] * len(_AUDIT.split(', ')))})"
    with database.cursor() as cursor:
        cursor.executemany(sql.encode(), list(rows))
