"""Lists of budgets and of limits: those that are written down, then those that templates made, be they a million.

What templates made is known to the arena alone, and is found there.
"""

from collections.abc import Iterator
from typing import Final, Generic, Protocol

from fastgate._core.arena import Arena
from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.templates import LEVELS, Record, called, owner_in, said
from fastgate.ledger.errors import BadQuery

_MARK: Final = "@"
"""How a cursor begins that is a place among the arena's cells; no id does."""
_AT_ONCE: Final = 1000


class Book(Protocol[Record]):
    """Where those are that are written down."""

    def page(self, after: str, limit: int, level: str | None = None, owner: str | None = None) -> list[Record]:
        """In the order of their ids, from behind ``after``."""

    def templates(self, key: str) -> tuple[Record, ...]:
        """Those of which a key has one for each user, tag and so on."""


class ValuePages(Generic[Record]):
    """Methods may be called from any thread, and take memory for one page. They raise StateError, as ``book`` does.

    ``kind``: of the members that templates made.
    """

    def __init__(self, arena: Arena, book: Book[Record], kind: int) -> None:
        self._arena = arena
        self._book = book
        self._kind = kind

    def made(self, id_: str) -> Record | None:
        """What a template made, by its id; None: no request of such a value has come."""
        if self._arena.find(id_) is None:
            return None
        return called(self._book.templates(said(owner_in(id_))[0]), id_)

    def page(self, cursor: str, most: int, level: str | None, owner: str | None) -> tuple[list[Record], str | None]:
        """Those that are written down in the order of their ids, then templates' as they came.

        Returns at most ``most``, and the cursor of the next page. Raises BadQuery where ``cursor`` is none.
        """
        level = level or (level_of(owner) if owner else None)
        found: list[Record] = []
        if not cursor.startswith(_MARK) and level not in LEVELS:
            # One more than asked for tells whether there are more; the cursor is the last id: nothing can shift it.
            found = self._book.page(cursor, most + 1, level, owner)
            if len(found) > most:
                return found[:most], found[most - 1].id
            if level is not None:
                return found, None
        place = _place(cursor) if cursor.startswith(_MARK) else 0
        prefix = f"{owner}/" if owner else f"{level}:" if level else ""
        for last, record in self._made(place, prefix):
            if len(found) == most:
                return found, f"{_MARK}{place}"
            found.append(record)
            place = last
        return found, None

    def _made(self, place: int, prefix: str) -> Iterator[tuple[int, Record]]:
        """Those behind a place whose templates are still there, each with its own place."""
        more = True
        while more:
            templates: dict[str, tuple[Record, ...]] = {}
            cells, place = self._arena.scan(place, _AT_ONCE, prefix, self._kind)
            for cell, id_ in cells:
                key, _, _ = said(owner_in(id_))
                if key not in templates:
                    templates[key] = self._book.templates(key)
                record = called(templates[key], id_)
                if record is not None:
                    yield cell, record
            more = place > 0


def _place(cursor: str) -> int:
    digits = cursor.removeprefix(_MARK)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
        raise BadQuery("cursor", "not a cursor of this list: take it from the answer's `next`")
    return int(digits)
