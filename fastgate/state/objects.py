"""Rows of the store: documents, and what was made from them."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stored:
    """An object as it is kept. ``document`` is JSON without secrets; moments in microseconds since 1970 UTC."""

    collection: str
    id: str
    document: str
    version: int
    created_us: int
    updated_us: int


@dataclass(frozen=True)
class SecretRow:
    """A secret of a key, by its SHA-256."""

    digest: bytes
    created_us: int
    expires_ns: int
    """When a rotation ends it; 0: it does not."""


@dataclass(frozen=True)
class Derived:
    """What is made of a document."""

    records: tuple[tuple[bytes, int, int, bytes], ...]
    """Digest, end in nanoseconds (0: none), created in microseconds, record."""
    budgets: tuple[tuple[str, str, str, bytes], ...] = ()
    """Id, owner, level, record."""
    refs: frozenset[str] = field(default_factory=frozenset)
    sealed: bytes = b""
    """Its secrets, encrypted; empty: it has none."""
    limits: tuple[tuple[str, str, str, bytes], ...] = ()
    """As of budgets."""


_OBJECT = "collection, id, document, version, created_us, updated_us"


def find(db: sqlite3.Connection, collection: str, id_: str) -> Stored | None:
    """One object."""
    row = db.execute(f"SELECT {_OBJECT} FROM objects WHERE collection = ? AND id = ?", (collection, id_)).fetchone()
    return None if row is None else Stored(*row)


def page(db: sqlite3.Connection, collection: str, after: str, limit: int, target: str | None = None) -> list[Stored]:
    """Objects in the order of their ids, from behind ``after``; with ``target``, those that name it."""
    if target is None:
        sql = f"SELECT {_OBJECT} FROM objects WHERE collection = ? AND id > ? ORDER BY id LIMIT ?"
        return [Stored(*row) for row in db.execute(sql, (collection, after, limit))]
    sql = (
        f"SELECT {_OBJECT} FROM refs JOIN objects USING (collection, id)"
        " WHERE target = ? AND collection = ? AND id > ? ORDER BY id LIMIT ?"
    )
    return [Stored(*row) for row in db.execute(sql, (target, collection, after, limit))]


def count(db: sqlite3.Connection, collection: str) -> int:
    """How many there are."""
    found: int = db.execute("SELECT count(*) FROM objects WHERE collection = ?", (collection,)).fetchone()[0]
    return found


def put(db: sqlite3.Connection, stored: Stored, derived: Derived) -> None:
    """Keeps an object, new or changed, with everything that is made of it."""
    drop(db, stored.collection, stored.id)
    source = (stored.collection, stored.id)
    db.execute(
        f"INSERT INTO objects ({_OBJECT}) VALUES (?, ?, ?, ?, ?, ?)",
        (*source, stored.document, stored.version, stored.created_us, stored.updated_us),
    )
    db.executemany(
        "INSERT INTO records (digest, collection, id, expires_ns, created_us, record) VALUES (?, ?, ?, ?, ?, ?)",
        [(digest, *source, ends, created, record) for digest, ends, created, record in derived.records],
    )
    for table, rows in (("budgets", derived.budgets), ("limits", derived.limits)):
        db.executemany(
            f"INSERT INTO {table} (id, owner, level, collection, source, record) VALUES (?, ?, ?, ?, ?, ?)",
            [(id_, owner, level, *source, record) for id_, owner, level, record in rows],
        )
    db.executemany("INSERT INTO refs (target, collection, id) VALUES (?, ?, ?)", [(t, *source) for t in derived.refs])
    if derived.sealed:
        db.execute("INSERT INTO sealed (collection, id, secrets) VALUES (?, ?, ?)", (*source, derived.sealed))


def drop(db: sqlite3.Connection, collection: str, id_: str) -> None:
    """Forgets an object and everything that was made of it."""
    for table, column in (
        ("objects", "id"), ("records", "id"), ("budgets", "source"), ("limits", "source"), ("refs", "id"),
        ("sealed", "id"),
    ):  # fmt: skip
        db.execute(f"DELETE FROM {table} WHERE collection = ? AND {column} = ?", (collection, id_))


def every(db: sqlite3.Connection, collection: str) -> Iterator[Stored]:
    """All of a collection, in the order of their ids."""
    sql = f"SELECT {_OBJECT} FROM objects WHERE collection = ? ORDER BY id"
    return (Stored(*row) for row in db.execute(sql, (collection,)))


def sealed(db: sqlite3.Connection, collection: str, id_: str) -> bytes:
    """An object's secrets, encrypted; empty: it has none."""
    row = db.execute("SELECT secrets FROM sealed WHERE collection = ? AND id = ?", (collection, id_)).fetchone()
    return b"" if row is None else bytes(row[0])


def secrets(db: sqlite3.Connection, key: str) -> list[SecretRow]:
    """The secrets of a key, the newest first."""
    sql = (
        "SELECT digest, created_us, expires_ns FROM records WHERE collection = 'keys' AND id = ?"
        " ORDER BY expires_ns > 0, created_us DESC"
    )
    return [SecretRow(*row) for row in db.execute(sql, (key,))]


def digests(db: sqlite3.Connection, collection: str, id_: str) -> set[bytes]:
    """Under what the records of an object are found."""
    return {
        row[0] for row in db.execute("SELECT digest FROM records WHERE collection = ? AND id = ?", (collection, id_))
    }


def owner_of_digest(db: sqlite3.Connection, digest: bytes) -> str | None:
    """The id of the key that has this secret."""
    row = db.execute("SELECT id FROM records WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else str(row[0])


def records(db: sqlite3.Connection, but: Set[bytes] = frozenset()) -> Iterator[tuple[bytes, bytes]]:
    """All that workers read, by digest, ``but`` some."""
    found = db.execute("SELECT digest, record FROM records")
    return (row for row in found if row[0] not in but) if but else iter(found)


def ended(db: sqlite3.Connection, now_ns: int, limit: int) -> list[bytes]:
    """Secrets that a rotation has ended."""
    sql = "SELECT digest FROM records WHERE expires_ns > 0 AND expires_ns <= ? LIMIT ?"
    return [row[0] for row in db.execute(sql, (now_ns, limit))]


def forget_secrets(db: sqlite3.Connection, gone: Iterable[bytes]) -> None:
    """Takes secrets away."""
    db.executemany("DELETE FROM records WHERE digest = ?", [(digest,) for digest in gone])


def referrers(db: sqlite3.Connection, target: str, limit: int = 3) -> list[str]:
    """Some of the objects that name ``target``, as ``key:ide``."""
    rows = db.execute("SELECT collection, id FROM refs WHERE target = ? LIMIT ?", (target, limit))
    return [f"{collection.removesuffix('s')}:{id_}" for collection, id_ in rows]


def targets(db: sqlite3.Connection, prefix: str = "") -> list[str]:
    """Everything that any object names and that begins so."""
    # By hops over the index: a million keys of one team are one step.
    sql = """
        WITH RECURSIVE found(target) AS (
            SELECT min(target) FROM refs WHERE target >= ?
            UNION ALL
            SELECT (SELECT min(target) FROM refs WHERE refs.target > found.target) FROM found WHERE found.target NOTNULL
        )
        SELECT target FROM found WHERE target NOTNULL AND substr(target, 1, length(?)) = ?
    """
    return [row[0] for row in db.execute(sql, (prefix, prefix, prefix))]


def budgets_of(db: sqlite3.Connection, owner: str) -> list[bytes]:
    """The records of an owner's budgets."""
    return [row[0] for row in db.execute("SELECT record FROM budgets WHERE owner = ? ORDER BY id", (owner,))]


def budget(db: sqlite3.Connection, id_: str) -> bytes | None:
    """The record of one budget."""
    row = db.execute("SELECT record FROM budgets WHERE id = ?", (id_,)).fetchone()
    return None if row is None else bytes(row[0])


def budget_page(
    db: sqlite3.Connection, after: str, limit: int, level: str | None = None, owner: str | None = None
) -> list[tuple[str, bytes]]:
    """Ids and records of budgets, in the order of the ids."""
    return _page(db, "budgets", after, limit, {"level": level, "owner": owner})


def limit_page(
    db: sqlite3.Connection, after: str, limit: int, level: str | None = None, owner: str | None = None
) -> list[tuple[str, bytes]]:
    """Ids and records of limits, in the order of the ids."""
    return _page(db, "limits", after, limit, {"level": level, "owner": owner})


def _page(
    db: sqlite3.Connection, table: str, after: str, limit: int, wanted: Mapping[str, str | None]
) -> list[tuple[str, bytes]]:
    conditions, values = ["id > ?"], [after]
    for column, value in wanted.items():
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    sql = f"SELECT id, record FROM {table} WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?"
    return list(db.execute(sql, (*values, limit)))


def budget_count(db: sqlite3.Connection) -> int:
    """How many there are."""
    found: int = db.execute("SELECT count(*) FROM budgets").fetchone()[0]
    return found
