"""Budgets as the admin API changes them: each is a part of its owner's document, and is changed with it.

``owner/window/name`` is the id; the owner is ``customer:acme``, ``team:platform``, ``key:ide``, or
``provider:ide/anthropic`` for what the key ``ide`` may spend there.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from sqlite3 import Connection
from typing import Any, Final

from fastgate.budgets.hierarchy import budget_id, level_of
from fastgate.budgets.templates import LEVELS
from fastgate.config.objects import encode_document, merged, problem, read_object
from fastgate.config.owners import Budget, OwnedBudget
from fastgate.control.collections import Collection, Document
from fastgate.control.objects import Done, Objects, Wish, check_version
from fastgate.control.problems import NotFound
from fastgate.control.resets import Resets
from fastgate.state import audit
from fastgate.state import objects as stored
from fastgate.state.store import Store
from fastgate.wire.money import usd
from fastgate.wire.snapshot import BudgetRecord

Budgets = list[Document]
_OWNERS: Final[dict[str, Collection]] = {
    "customer": "customers",
    "team": "teams",
    "key": "keys",
    "provider": "keys",
}
_FIXED: Final = ("window", "name")


def wish_for(owner: str, actor: str, version: int | None = None) -> Wish:
    """The change of the document that an owner's budgets are in."""
    collection, name = _place_of(owner)
    if level_of(owner) in LEVELS:
        raise problem(f"{owner} has its budgets from a template", f"change each of the key {name}")
    return Wish(collection, name, "update", actor, version)


def version_of(objects: Objects, owner: str) -> int | None:
    """What a change of an owner's budgets asks for in ``If-Match``; None: they cannot be changed by the API."""
    return None if level_of(owner) in LEVELS else objects.version(*_place_of(owner))


def _place_of(owner: str) -> tuple[Collection, str]:
    """Where the document is that says its budgets: those of templates are a key's."""
    return _OWNERS.get(level_of(owner), "keys"), owner.partition(":")[2].partition("/")[0]


def create(
    objects: Objects, values: dict[str, Any], actor: str, version: int | None = None
) -> tuple[str, Future[Done]]:
    """The id of the new budget, and the change that brings it."""
    owned = read_object(OwnedBudget, values)
    fresh = {name: value for name, value in values.items() if name != "owner"}
    done = objects.edit(wish_for(owned.owner, actor, version), _edit(owned.owner, lambda budgets: [*budgets, fresh]))
    return budget_id(owned.owner, owned), done


def update(objects: Objects, record: BudgetRecord, patch: dict[str, Any], wish: Wish) -> Future[Done]:
    """A merge patch of one budget; what was spent stays."""
    for name in patch:
        if name in _FIXED:
            raise problem(f"{name}: a budget is known by it", "create another budget")
        if name not in Budget.__struct_fields__:
            raise problem(f"{name[:80]}: unknown setting")
    return objects.edit(wish, _edit(record.owner, lambda budgets: _replaced(budgets, record, patch)))


def delete(objects: Objects, record: BudgetRecord, wish: Wish) -> Future[Done]:
    """The budget binds no longer; its owner stays."""
    return objects.edit(wish, _edit(record.owner, lambda budgets: _replaced(budgets, record, None)))


def reset(store: Store, resets: Resets, record: BudgetRecord, actor: str, version: int | None = None) -> Future[None]:
    """Begins the budget's window anew; what is held stays. In the ledger, and in the chain of changes."""

    def take_off(db: Connection) -> None:
        check_version(version, stored.find(db, *_place_of(record.owner)))
        before, after = (encode_document({"spent_usd": usd(nano)}) for nano in (resets.take_off(record), 0))
        at_us = time.time_ns() // 1000
        audit.add(db, audit.Entry(0, at_us, actor, "reset", "budgets", record.id, before, after))

    return store.write(take_off)


def _edit(owner: str, change: Callable[[Budgets], Budgets]) -> Callable[[Document], Document]:
    """Of the document that has the owner's budgets: they are what ``change`` makes of them."""
    _, _, provider = owner.partition("/")

    def edit(document: Document) -> Document:
        if not provider:
            return {**document, "budgets": change(document["budgets"])}
        if provider not in (each["provider"] for each in document["providers"] or ()):
            raise NotFound(f"there is no {owner}: the key's document names no provider {provider[:80]}")
        return {
            **document,
            "providers": [
                {**each, "budgets": change(each["budgets"])} if each["provider"] == provider else each
                for each in document["providers"]
            ],
        }

    return edit


def _replaced(budgets: Budgets, record: BudgetRecord, patch: dict[str, Any] | None) -> Budgets:
    """Without the budget of the record, or with it after a patch. Raises NotFound where it has gone meanwhile."""
    ids = [budget_id(record.owner, read_object(Budget, each)) for each in budgets]
    if record.id not in ids:
        raise NotFound(f"there is no budget {record.id}")
    at = ids.index(record.id)
    changed = [] if patch is None else [merged(budgets[at], patch)]
    return [*budgets[:at], *changed, *budgets[at + 1 :]]
