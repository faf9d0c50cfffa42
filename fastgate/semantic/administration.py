"""What operators ask of the entries: lists, one by one, deletions, the report.

The entries are read on disk, in a thread of their own: a list that goes through many keeps no question waiting.
"""

import time
from collections.abc import Iterator
from sqlite3 import Connection
from typing import Any, Final

import msgspec

from fastgate.cache.about import NAMES, TAG, said
from fastgate.semantic.entries import Seen
from fastgate.semantic.repository import Repository
from fastgate.semantic.settings import Settings
from fastgate.wire.semantic import MOST_ANSWER, Delete, Entries, Inspect, Inspected, Listed, Reported
from fastgate.wire.semantic_entries import Entry, Wanted

PAGE_SECONDS: Final = 1.0
"""After which a page is answered as it is: of millions of entries few may match."""
STRETCH: Final = 4_096
"""Entries between two looks at the clock."""
_MOST_LISTED: Final = 512 << 10
"""Bytes of entries in one list."""
_COLUMNS: Final = (
    "e.id, e.partition, e.tenant, e.text, e.about, e.created_ms, e.expires_ms, e.used_ms, e.hits, e.seen, e.kind,"
    " substr(a.usage, 1, 8), length(a.body)"
)
_ENTRIES: Final = f"SELECT {_COLUMNS} FROM entry e LEFT JOIN answer a ON a.id = e.id"
_ABOUT: Final = "instr(CAST(e.about AS BLOB), ?) > 0"
"""By its bytes: SQLite's own look into JSON ends a text at its first zero."""


class UnknownName(ValueError):
    """Nothing is said of entries under this name."""


class Condition:
    """What is wanted, as SQL on ``entry e``. Raises UnknownName."""

    def __init__(self, wanted: Wanted, now_ms: int) -> None:
        self.values: list[Any] = [now_ms, wanted.from_ms]
        parts = ["e.expires_ms > ?", "e.created_ms >= ?"]
        if wanted.until_ms is not None:
            parts.append("e.created_ms < ?")
            self.values.append(wanted.until_ms)
        if wanted.tenant is not None:
            parts.append("e.tenant = ?")
            self.values.append(wanted.tenant)
        for name, alternatives in wanted.said:
            parts.append(self._said(name, alternatives))
        self.clause = " AND ".join(parts)

    def _said(self, name: str, alternatives: tuple[str, ...]) -> str:
        if not name.startswith(TAG) and name not in NAMES:
            raise UnknownName(f"entries cannot be told apart by {name[:80]!r}")
        found = said(name, alternatives)
        self.values += found
        return f"({' OR '.join([_ABOUT] * len(found))})"


def listed(repository: Repository, asked: Entries) -> Listed:
    """Entries by their ids; fewer than were asked for where they are long, or where few match. Raises UnknownName."""
    condition = Condition(asked.wanted, _now_ms())
    repository.store.flush()
    entries: list[Entry] = []
    size = 0
    with repository.store.reading() as db:
        following: int | None = asked.after
        until = time.monotonic() + PAGE_SECONDS
        while following is not None:
            last = _stretch(db, following)
            for row in _rows(db, condition, following, last, asked.limit + 1 - len(entries)):
                entry = _entry(row)
                size += len(entry.text.encode()) + len(entry.about) + 128
                if len(entries) == asked.limit or (entries and size > _MOST_LISTED):
                    return Listed(asked.number, tuple(entries), entries[-1].id)
                entries.append(entry)
            following = last
            if time.monotonic() > until:
                break
    return Listed(asked.number, tuple(entries), following)


def inspected(repository: Repository, asked: Inspect) -> Inspected:
    """One entry, whole; none where it has expired."""
    repository.store.flush()
    with repository.store.reading() as db:
        row = db.execute(f"{_ENTRIES} WHERE e.id = ? AND e.expires_ms > ?", (asked.id, _now_ms())).fetchone()
        said = db.execute("SELECT said FROM answer WHERE id = ?", (asked.id,)).fetchone()
    if row is None or said is None:
        return Inspected(asked.number, None)
    # The frame has to have room for the question, too.
    text = said[0].encode()[:MOST_ANSWER].decode(errors="ignore")
    return Inspected(asked.number, _entry(row), tuple(_seen(row)), text)


def matching(repository: Repository, asked: Delete) -> list[int]:
    """The ids of what is to be deleted. Raises UnknownName."""
    condition = Condition(asked.wanted, _now_ms())
    repository.store.flush()
    with repository.store.reading() as db:
        if asked.ids is None:
            found = db.execute(f"SELECT e.id FROM entry e WHERE {condition.clause}", condition.values)
            return [id_ for (id_,) in found]
        statement = f"SELECT e.id FROM entry e WHERE e.id = ? AND {condition.clause}"
        rows = [db.execute(statement, (id_, *condition.values)).fetchone() for id_ in dict.fromkeys(asked.ids)]
    return [row[0] for row in rows if row is not None]


def reported(repository: Repository, settings: Settings, number: int, tenants: int = 0) -> Reported:
    """What was decided so far, and how right it was; of so many tenants, too. In the repository's thread."""
    counts = repository.counts
    most, more = repository.tenants.most(tenants)
    return Reported(
        number,
        shadow=settings.shadow,
        max_error=settings.max_error,
        entries=len(repository),
        partitions=repository.partitions,
        counts={
            **counts.events,
            "writes lost": repository.store.lost,
            "tenants forgotten": repository.tenants.forgotten,
        },
        compared=counts.compared,
        wrong=counts.wrong,
        error_per_hit=counts.error_per_hit(),
        error_per_request=counts.error_per_request(),
        saved_nano=counts.saved_nano,
        expected_error=counts.expected_error(),
        would_save_nano=counts.would_save_nano,
        since_ms=counts.since_ms,
        tenants=most,
        more_tenants=more,
    )


def _stretch(db: Connection, after: int) -> int | None:
    """The last id of the next entries behind one; None: there are no more than those."""
    ids = "SELECT id FROM entry WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
    row = db.execute(ids, (after, STRETCH - 1)).fetchone()
    return None if row is None else int(row[0])


def _rows(db: Connection, condition: Condition, after: int, last: int | None, most: int) -> Iterator[tuple[Any, ...]]:
    asked = f"{_ENTRIES} WHERE e.id > ? AND e.id <= ? AND {condition.clause} ORDER BY e.id LIMIT ?"
    yield from db.execute(asked, (after, 2**63 - 1 if last is None else last, *condition.values, most))


def _seen(row: tuple[Any, ...]) -> list[Seen]:
    return msgspec.msgpack.decode(row[9], type=list[Seen])


def _entry(row: tuple[Any, ...]) -> Entry:
    """As the store has it."""
    id_, partition, tenant, text, about, created_ms, expires_ms, used_ms, hits, _, kind, cost, size = row
    compared = _seen(row)
    same = sum(same for _, same in compared)
    return Entry(
        id_, partition, tenant, text, about.encode(), created_ms, expires_ms, used_ms, hits, len(compared), same, kind,
        int.from_bytes(cost or b"", "little"), (size or 0) + len(text.encode()),
    )  # fmt: skip


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
