"""Tables of the store. An answer lies beside its entry, so that reading all entries reads no answers."""

from typing import Final

VERSION: Final = 1

TABLES: Final = """
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    partition BLOB NOT NULL,
    tenant BLOB NOT NULL,
    text TEXT NOT NULL,
    vector BLOB NOT NULL,
    kind INTEGER NOT NULL,
    about TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    answer INTEGER NOT NULL,
    seen BLOB NOT NULL
);
CREATE TABLE answer (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    said TEXT NOT NULL,
    usage BLOB NOT NULL
);
CREATE TABLE value (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
"""``vector``: float32, little-endian. ``seen``: msgpack of ``[[similarity, same], ...]``."""

INSERT_ENTRY: Final = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_ANSWER: Final = "INSERT INTO answer VALUES (?, ?, ?, ?)"
USE: Final = "UPDATE entry SET used_ms = ?, hits = ? WHERE id = ?"
CONFIRM: Final = "UPDATE entry SET created_ms = ?, expires_ms = ?, used_ms = ? WHERE id = ?"
JUDGED: Final = "UPDATE entry SET answer = ?, seen = ? WHERE id = ?"
SEEN: Final = "UPDATE entry SET seen = ? WHERE id = ?"
DELETE: Final = ("DELETE FROM entry WHERE id = ?", "DELETE FROM answer WHERE id = ?")
PUT: Final = "INSERT INTO value VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
DROP: Final = "DELETE FROM value WHERE name = ?"
ALL: Final = (
    "SELECT id, partition, tenant, text, kind, created_ms, expires_ms, used_ms, hits, answer, seen"
    " FROM entry ORDER BY used_ms"
)
ANSWER: Final = "SELECT body, said, usage FROM answer WHERE id = ?"
