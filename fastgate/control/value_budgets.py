"""The budgets that templates made: looked up and listed in the arena, which alone knows them, be they a million."""

from collections.abc import Iterator

from fastgate._core.arena import Arena
from fastgate.budgets.hierarchy import level_of
from fastgate.budgets.templates import LEVELS, budget_called, owner_of_budget, said
from fastgate.control.budget_book import BudgetBook
from fastgate.control.problems import BadParameter
from fastgate.wire.snapshot import BudgetRecord

_MARK = "@"
"""How a cursor begins that is a place among the arena's cells; no budget's id does."""


class ValueBudgets:
    """Methods may be called from any thread, and take memory for one page. They raise StateError, as ``book`` does."""

    def __init__(self, arena: Arena, book: BudgetBook) -> None:
        self._arena = arena
        self._book = book

    def find(self, id_: str) -> BudgetRecord | None:
        """The budget with this id; one like ``user:ide/alice/day/default`` where a request of hers has come."""
        if level_of(id_) not in LEVELS:
            return self._book.find(id_)
        if self._arena.find(id_) is None:
            return None
        owner = owner_of_budget(id_)
        return budget_called(self._book.templates(said(owner)[0]), id_)

    def page(
        self, cursor: str, most: int, level: str | None, owner: str | None
    ) -> tuple[list[BudgetRecord], str | None]:
        """Every budget there is: those that are written down in the order of their ids, then templates' as they came.

        Returns at most ``most``, and the cursor of the next page. Raises BadParameter where ``cursor`` is none.
        """
        level = level or (level_of(owner) if owner else None)
        found: list[BudgetRecord] = []
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

    def _made(self, place: int, prefix: str) -> Iterator[tuple[int, BudgetRecord]]:
        """Those behind a place whose templates are still there, each with its own place."""
        more = True
        while more:
            templates: dict[str, tuple[BudgetRecord, ...]] = {}
            cells, place = self._arena.scan(place, 1000, prefix, members=True)
            for cell, id_ in cells:
                key, _, _ = said(owner_of_budget(id_))
                if key not in templates:
                    templates[key] = self._book.templates(key)
                record = budget_called(templates[key], id_)
                if record is not None:
                    yield cell, record
            more = place > 0


def _place(cursor: str) -> int:
    digits = cursor.removeprefix(_MARK)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
        raise BadParameter("cursor", "it is not the `next` of a page")
    return int(digits)
