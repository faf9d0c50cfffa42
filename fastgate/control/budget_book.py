"""Every budget there is: the configuration file's, held by id, and the state store's, looked up there."""

from collections.abc import Callable
from heapq import merge
from itertools import chain, islice
from typing import Final

import msgspec

from fastgate.budgets.hierarchy import level_of, templates_of
from fastgate.budgets.templates import EACH, LEVELS, owner_in, said
from fastgate.control.configuration import Published
from fastgate.control.stored_templates import key_with_templates
from fastgate.state import objects
from fastgate.state.store import Store
from fastgate.wire.snapshot import BudgetRecord

_decode: Final = msgspec.msgpack.Decoder(BudgetRecord).decode


class BudgetBook:
    """Methods may be called from any thread. They raise StateError where the store cannot be read."""

    def __init__(self, store: Store, published: Callable[[], Published]) -> None:
        self._store = store
        self._published = published

    def find(self, id_: str) -> BudgetRecord | None:
        """The budget ``owner/window/name``, or the template ``user:ide/*/window/name``."""
        if level_of(id_) in LEVELS:
            key, _, _ = said(owner_in(id_))
            return next((template for template in self.templates(key) if template.id == id_), None)
        record = self._published().compiled.budgets.get(id_)
        if record is not None:
            return record
        with self._store.read() as db:
            blob = objects.budget(db, id_)
        return None if blob is None else _decode(blob)

    def of_owner(self, owner: str) -> tuple[BudgetRecord, ...]:
        """Those of ``team:platform``; of ``each:ide``: the templates of that key."""
        if owner.startswith(EACH):
            return self.templates(owner.removeprefix(EACH))
        records = self._published().by_owner.get(owner)
        if records is not None:
            return records
        with self._store.read() as db:
            return tuple(map(_decode, objects.budgets_of(db, owner)))

    def templates(self, key: str) -> tuple[BudgetRecord, ...]:
        """Those of which a key has one for each user, tag and so on."""
        records = self._published().compiled.templates.get(key)
        if records is not None:
            return records
        stored = key_with_templates(self._store, key)
        return () if stored is None else tuple(chain.from_iterable(templates_of(stored).values()))

    def page(self, after: str, limit: int, level: str | None = None, owner: str | None = None) -> list[BudgetRecord]:
        """In the order of their ids, from behind ``after``."""
        published = self._published()
        of_file = (
            published.compiled.budgets[id_]
            for id_ in published.order_after(after)
            if _fits(published.compiled.budgets[id_], level, owner)
        )
        with self._store.read() as db:
            stored = [_decode(blob) for _, blob in objects.budget_page(db, after, limit, level, owner)]
        return list(islice(merge(of_file, stored, key=_by_id), limit))

    def count(self) -> int:
        """How many there are."""
        with self._store.read() as db:
            return len(self._published().order) + objects.budget_count(db)


def _by_id(record: BudgetRecord) -> str:
    return record.id


def _fits(record: BudgetRecord, level: str | None, owner: str | None) -> bool:
    return level in (None, record.level) and owner in (None, record.owner)
