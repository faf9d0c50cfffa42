"""The exact cache's entries: listed, found and deleted where all workers find them."""

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from fastgate._core.arena import Arena, ArenaError
from fastgate._core.owner import WORKER, owners
from fastgate._core.slab import Listed, Slab
from fastgate._core.slab_search import Search, find_id, fingerprint_of, remove_id
from fastgate.cache.about import said
from fastgate.control.cache_answers import CacheDeletion, entry
from fastgate.control.cache_audit import note
from fastgate.control.cache_shared import SharedEntries
from fastgate.control.cache_wanted import Wanted
from fastgate.control.problems import Busy, CacheUnavailable, NotFound, SharedUnavailable
from fastgate.control.publisher import Publisher
from fastgate.ledger.errors import BadQuery
from fastgate.state.errors import StateError
from fastgate.state.store import Store
from fastgate.wire.caching import slab_path

PAGE_SECONDS: Final = 1.0
"""After which a page is answered as it is: in a store of millions few may match."""
FOLLOW_SECONDS: Final = 5.0
"""Workers take up a new size within a tenth of a second."""
STRETCH: Final = 1 << 18
"""Slots of the index between two looks at the clock."""


class CacheBook:
    """Methods may be called from any thread, and take as long as a part of the index takes to be read.

    They raise CacheUnavailable where there is a cache in force and its file cannot be used. Where nobody wants a cache
    there are no entries.
    """

    def __init__(
        self,
        arena: Arena,
        folder: Path,
        publisher: Publisher,
        store: Store,
        shared: Callable[[], SharedEntries | None] = lambda: None,
    ) -> None:
        """``shared``: what hosts share by the configuration in force."""
        self._arena = arena
        self._folder = folder
        self._publisher = publisher
        self._store = store
        self._shared = shared

    def page(self, wanted: Wanted, cursor: str, most: int) -> tuple[list[Listed], str | None]:
        """At most ``most``, in no order that says anything, and the cursor of the next page.

        Pages have fewer where that would take long. Raises BadQuery where ``cursor`` is none.
        """
        slab = self._open()
        place = _place(cursor, slab.slots if slab is not None else 0)
        if slab is None:
            return [], None
        search, until = _search(wanted, slab), time.monotonic() + PAGE_SECONDS
        found, place = search.entries(place, most, STRETCH)
        while place and len(found) < most and time.monotonic() < until:
            more, place = search.entries(place, most - len(found), STRETCH)
            found += more
        return found, str(place) if place and _goes_on(search, place, until) else None

    def find(self, id_: str) -> Listed:
        """The entry of this id. Raises NotFound."""
        slab = self._open()
        return _found(slab, id_)

    def delete(self, id_: str, actor: str) -> None:
        """No worker gives it any more when this returns; the chain of changes says so.

        Raises NotFound, StateError; and SharedUnavailable where Redis was not told: then nothing is deleted.
        """
        self._store.check()
        self._await_workers()
        slab, shared = self._open(), self._shared()
        asked = None if slab is None or shared is None else fingerprint_of(slab, id_)
        if shared is not None and asked is not None:
            shared.delete(asked)  # first, since a worker would fetch it from there again

        def remove(db: sqlite3.Connection) -> None:
            shown = msgspec.to_builtins(entry(_found(slab, id_)))
            if slab is None or not remove_id(slab, id_):
                raise _no_entry(id_)
            note(db, "delete", actor, id_, shown)

        self._store.write(remove).result()

    def delete_all(self, wanted: Wanted, actor: str) -> CacheDeletion:
        """How many there were. No worker gives them any more when this returns; what is kept meanwhile may stay.

        Raises StateError where they are gone and the chain of changes could not be told; SharedUnavailable where they
        are gone from this host, and may come back from Redis.
        """
        self._store.check()
        self._await_workers()
        self._open()
        done, failure = CacheDeletion(0), None
        try:
            if (shared := self._shared()) is not None:  # first, since workers would fetch them from there again
                done.shared = shared.delete_all(_texts(wanted), *wanted.moments(time.time_ns() // 1_000_000))
        except SharedUnavailable as error:
            failure = error
        slab = self._open()
        done.deleted = gone = _withdrawn(_search(wanted, slab)) if slab is not None else 0
        in_redis = {} if done.shared is msgspec.UNSET else {"shared": done.shared}
        document = {**wanted.document(), "entries": gone, **in_redis}
        try:
            self._store.write(lambda db: note(db, "delete", actor, "", document)).result()
        except StateError as error:
            raise StateError(f"{gone} entries are deleted, and no row of the audit says so: {error}") from error
        if failure is not None:
            raise SharedUnavailable(f"{gone} entries are deleted on this host; {failure.detail}") from failure
        return done

    def counts(self) -> dict[str, int] | None:
        """What the store holds; None: nobody wants a cache."""
        slab = self._open()
        return None if slab is None else {**slab.counts(), "capacity_bytes": slab.capacity}

    def _open(self) -> Slab | None:
        """Anew each time: another file may be in force by then."""
        megabytes, _ = self._publisher.cache
        if not megabytes:
            return None
        try:
            return Slab(str(slab_path(self._folder, megabytes)))
        except (ArenaError, OSError) as error:
            raise CacheUnavailable(f"the exact cache's file cannot be used; the log says why: {error}") from error

    def _await_workers(self) -> None:
        """Until each uses the file in force: what is in one before it cannot be reached here. Raises Busy."""
        _, since = self._publisher.cache
        until = time.monotonic() + FOLLOW_SECONDS
        while behind := [owner["pid"] for owner in owners(self._arena) if _is_behind(owner, since)]:
            if time.monotonic() > until:
                raise Busy(f"worker {behind[0]} has not taken up the cache's size yet: try again in a moment")
            time.sleep(0.01)


def _search(wanted: Wanted, slab: Slab) -> Search:
    """For what is wanted, as old as it is now."""
    now_ms = time.time_ns() // 1_000_000
    from_ms, until_ms = wanted.moments(now_ms)
    return Search(slab, _texts(wanted), now_ms=now_ms, from_ms=from_ms, until_ms=until_ms)


def _texts(wanted: Wanted) -> list[tuple[bytes, ...]]:
    """Of each group one is in what they are about."""
    return [said(name, values) for name, values in wanted.said]


def _is_behind(owner: dict[str, int], since: int) -> bool:
    """Whether it is a worker that has a snapshot, and not yet that one."""
    return owner["kind"] == WORKER and bool(owner["alive"]) and 0 < owner["generation"] < since


def _found(slab: Slab | None, id_: str) -> Listed:
    found = None if slab is None else find_id(slab, id_)
    if found is None or found.expires_ms <= time.time_ns() // 1_000_000:
        raise _no_entry(id_)
    return found


def _no_entry(id_: str) -> NotFound:
    return NotFound(f"there is no entry {id_[:80]}: it was deleted, replaced or has expired, or it gave way")


def _goes_on(search: Search, place: int, until: float) -> bool:
    """Whether there is more, or nobody knows yet."""
    more: Iterable[Listed] = ()
    while place and not more and time.monotonic() < until:
        more, place = search.entries(place, 1, STRETCH)
    return bool(more or place)


def _withdrawn(search: Search) -> int:
    gone, place = search.withdraw(0, STRETCH)
    while place:
        more, place = search.withdraw(place, STRETCH)
        gone += more
    return gone


def _place(cursor: str, slots: int) -> int:
    """The slot that a cursor means; an empty one is the first."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 12 and 0 < int(cursor) < slots):
        raise BadQuery("cursor", "not a cursor of this list: take it from the answer's `next`")
    return int(cursor)
