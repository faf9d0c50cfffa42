"""What operators ask of the entries: lists, deletions, the report. In the library's thread."""

from typing import Any, Final

import msgspec

from fastgate.semantic.library import Library
from fastgate.semantic.settings import Settings
from fastgate.wire.semantic import Delete, Done, Entries, Entry, Listed, Refused, Reported

_MOST_LISTED: Final = 512 << 10
"""Bytes of entries in one list."""
_COLUMNS: Final = "id, partition, tenant, text, about, created_ms, expires_ms, used_ms, hits, seen"
_TAG: Final = (
    "EXISTS (SELECT 1 FROM json_each(about, '$.tags') WHERE json_extract(value, '$[0]') = ?"
    " AND json_extract(value, '$[1]') = ?)"
)
_EVERY: Final = 1 << 62
NOT_ON_DISK: Final = (
    "the disk does not take the deletion: none of it is given any more, but after a restart it would be again;"
    " it is tried again with whatever is written next, so ask again once there is space"
)


def listed(library: Library, asked: Entries) -> Listed:
    """Entries by their ids; fewer than were asked for where they are long."""
    library.store.flush()
    condition, values = "id > ?", [asked.after]
    if asked.tenant is not None:
        condition, values = f"{condition} AND tenant = ?", [asked.after, asked.tenant]  # type: ignore[list-item]
    rows = library.store.rows(_COLUMNS, condition, values, asked.limit + 1)
    entries: list[Entry] = []
    size = 0
    for row in rows[: asked.limit]:
        entry = _entry(row)
        size += len(entry.text.encode()) + len(entry.about) + 128
        if entries and size > _MOST_LISTED:
            break
        entries.append(entry)
    return Listed(asked.number, tuple(entries), len(entries) < len(rows))


def deleted(library: Library, asked: Delete) -> Done | Refused:
    """Delete what matches all that is said. Refused as well where the disk does not take it."""
    said: list[tuple[str, tuple[Any, ...]]] = []
    if asked.ids is not None:
        said.append((f"id IN ({', '.join('?' * len(asked.ids))})", asked.ids))
    if asked.tenant is not None:
        said.append(("tenant = ?", (asked.tenant,)))
    for name in ("key", "team", "model"):
        if (value := getattr(asked, name)) is not None:
            said.append((f"json_extract(about, '$.{name}') = ?", (value,)))
    if asked.tag is not None:
        said.append((_TAG, asked.tag))
    if asked.created_before_ms is not None:
        said.append(("created_ms < ?", (asked.created_before_ms,)))
    if not said:
        return Refused(asked.number, "nothing says what to delete")
    if asked.ids is not None and len(asked.ids) > 1_000:
        return Refused(asked.number, f"{len(asked.ids)} ids at once; 1000 may be named")
    library.store.flush()
    condition = " AND ".join(each for each, _ in said)
    values = [value for _, some in said for value in some]
    found = library.store.rows("id", condition, values, _EVERY)
    count = library.remove(row[0] for row in found)
    library.store.flush()
    if library.store.owed:
        return Refused(asked.number, NOT_ON_DISK)
    return Done(asked.number, count)


def reported(library: Library, settings: Settings, number: int) -> Reported:
    """What was decided so far, and how right it was."""
    counts = library.counts
    return Reported(
        number,
        shadow=settings.shadow,
        max_error=settings.max_error,
        entries=len(library),
        partitions=library.partitions,
        counts={**counts.events, "writes lost": library.store.lost},
        compared=counts.compared,
        wrong=counts.wrong,
        error_per_hit=counts.error_per_hit(),
        error_per_request=counts.error_per_request(),
        saved_nano=counts.saved_nano,
        expected_error=counts.expected_error(),
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    """As the store has it."""
    id_, partition, tenant, text, about, created_ms, expires_ms, used_ms, hits, seen = row
    compared = msgspec.msgpack.decode(seen, type=list[tuple[float, bool]])
    same = sum(same for _, same in compared)
    return Entry(
        id_, partition, tenant, text, about.encode(), created_ms, expires_ms, used_ms, hits, len(compared), same
    )
