"""The semantic cache's entries and what it did, asked of its process.

Where the configuration in force names no embedder there are no entries, and nobody is asked.
"""

import sqlite3
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from fastgate.cache.semantic_ask import ask
from fastgate.config.settings import SemanticCache
from fastgate.control.cache_answers import CacheEntry, semantic_entry
from fastgate.control.cache_audit import note
from fastgate.control.cache_wanted import Wanted
from fastgate.control.problems import Forbidden, NotFound, SemanticUnavailable
from fastgate.ledger.errors import BadQuery
from fastgate.state.errors import StateError
from fastgate.state.store import Store
from fastgate.wire.semantic import (
    Delete,
    Done,
    Entries,
    Inspect,
    Inspected,
    Listed,
    Refused,
    Reply,
    Report,
    Reported,
    Request,
)
from fastgate.wire.semantic_entries import Entry
from fastgate.wire.semantic_entries import Wanted as Asked

SECONDS: Final = 5.0
"""How long what reads is waited for."""
DELETE_SECONDS: Final = 30.0

Answer = TypeVar("Answer", Listed, Inspected, Done, Reported)


class SemanticBook:
    """``settings``: what the configuration in force says of the cache. Methods may be called from any thread, and wait.

    They raise SemanticUnavailable where there should be a process and it does not answer.
    """

    def __init__(self, arena_dir: Path, settings: Callable[[], SemanticCache], store: Store) -> None:
        self._arena_dir = arena_dir
        self._settings = settings
        self._store = store
        self._numbers = count(1)

    @property
    def is_wanted(self) -> bool:
        """Whether there is such a cache."""
        return self._settings().embedder is not None

    def page(self, wanted: Wanted, after: int, most: int) -> tuple[list[Entry], int | None]:
        """At most ``most`` entries in the order of their ids, behind ``after``, and what the next page is behind."""
        if not self.is_wanted:
            return [], None
        listed = self._ask(Entries(next(self._numbers), after, most, _asked(wanted)), Listed)
        return list(listed.entries), listed.following

    def find(self, id_: str, actor: str, *, texts: bool) -> CacheEntry:
        """One entry, with question and answer where ``texts`` are asked for and may be shown. Raises NotFound,
        Forbidden, StateError."""
        if texts and not self._settings().show_texts:
            raise Forbidden("cache.semantic.show_texts is false: neither questions nor answers are shown")
        found = self._inspect(id_)
        shown = semantic_entry(found.entry, found.comparisons)
        if texts and shown.semantic is not None:
            self._write("read", actor, id_, msgspec.to_builtins(shown))
            shown.semantic.question, shown.semantic.answer = found.entry.text, found.said
        return shown

    def delete(self, id_: str, actor: str) -> None:
        """It is served no more when this returns; the chain of changes says so. Raises NotFound, StateError."""
        self._store.check()
        shown = msgspec.to_builtins(semantic_entry(self._inspect(id_).entry))
        done = self._ask(Delete(next(self._numbers), (int(id_, 16),)), Done, DELETE_SECONDS)
        if not done.count:
            raise _no_entry(id_)
        try:
            self._write("delete", actor, id_, shown)
        except StateError as error:
            raise StateError(f"entry {id_} is deleted, and no row of the audit says so: {error}") from error

    def delete_all(self, wanted: Wanted, actor: str) -> int:
        """How many there were. None of them is served any more when this returns; what is kept meanwhile may stay.

        Raises StateError where they are gone and the chain of changes could not be told.
        """
        if not self.is_wanted:
            return 0
        self._store.check()
        asked = Delete(next(self._numbers), wanted=_asked(wanted), everything=wanted.is_everything)
        gone = self._ask(asked, Done, DELETE_SECONDS).count
        try:
            self._write("delete", actor, "", {**wanted.document(), "tier": "semantic", "entries": gone})
        except StateError as error:
            raise StateError(f"{gone} entries are deleted, and no row of the audit says so: {error}") from error
        return gone

    def report(self, tenants: int) -> Reported | None:
        """What was decided, in all and for so many that asked most; None: there is no such cache."""
        return self._ask(Report(next(self._numbers), tenants), Reported) if self.is_wanted else None

    def _inspect(self, id_: str) -> "_Found":
        found = self._ask(Inspect(next(self._numbers), int(id_, 16)), Inspected) if self.is_wanted else None
        if found is None or found.entry is None:
            raise _no_entry(id_)
        return _Found(found.entry, found.comparisons, found.said)

    def _ask(self, request: Request, answer: type[Answer], seconds: float = SECONDS) -> Answer:
        reply: Reply | None = ask(self._arena_dir, request, seconds)
        if isinstance(reply, Refused):
            raise SemanticUnavailable(f"the semantic process refuses: {reply.why}")
        if not isinstance(reply, answer):
            what = "what was asked for may have been done; " if isinstance(request, Delete) else ""
            again = "it is started again by itself, `GET status` says how it is"
            raise SemanticUnavailable(f"the semantic process does not answer: {what}{again}")
        return reply

    def _write(self, action: str, actor: str, id_: str, before: dict[str, Any]) -> None:
        def write(db: sqlite3.Connection) -> None:
            note(db, action, actor, id_, before)

        self._store.write(write).result()


class _Found(msgspec.Struct):
    entry: Entry
    comparisons: tuple[tuple[float, bool], ...]
    said: str


def place(cursor: str) -> int:
    """The id that a cursor goes on behind; an empty one is the first. Raises BadQuery."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20 and int(cursor) < 2**63):
        raise BadQuery("cursor", "not a cursor of this list: take it from the answer's `next`")
    return int(cursor)


def _asked(wanted: Wanted) -> Asked:
    """As its process is asked for it: ages are of this moment."""
    from_ms, until_ms = wanted.moments(time.time_ns() // 1_000_000)
    return Asked(tuple((name, tuple(values)) for name, values in wanted.said), from_ms, until_ms)


def _no_entry(id_: str) -> NotFound:
    return NotFound(f"there is no entry {id_[:80]}: it was deleted, replaced or has expired, or it gave way")
