"""The budgets that a request in the ledger was spent in: those of its owners, and those that a key's templates made."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from fastgate.budgets.templates import EACH, made_of, said
from fastgate.control.counters import owners_of
from fastgate.control.spent import Payer, Value
from fastgate.ledger.inserts import Columns
from fastgate.ledger.values import value_at
from fastgate.wire.snapshot import BudgetRecord

MOST_KEPT: Final = 100_000
"""Callers, and values of templates; beyond them all are forgotten and asked for again."""

Caller = tuple[str, str, str, str]
"""Customer, team, key and provider of a request."""
OfOwner = Callable[[str], Iterable[BudgetRecord]]
"""The budgets of ``team:platform``; of ``each:ide``: the templates of that key."""


class Paid(NamedTuple):
    """A budget that a request was spent in, and as what the ledger knows its first use."""

    record: BudgetRecord
    payer: Payer
    first: str


class Payments:
    """Of the budgets that are ``wanted``; for one thread."""

    def __init__(self, wanted: Callable[[BudgetRecord], bool]) -> None:
        self._wanted = wanted
        self._callers: dict[Caller, tuple[tuple[Paid, ...], tuple[BudgetRecord, ...]]] = {}
        """What binds all its requests, and the templates of its key."""
        self._made: dict[tuple[str, str], Paid] = {}
        """By the id of a template, and a value."""
        self._changed = False

    def of_batch(self, columns: Columns, of_owner: OfOwner) -> list[BudgetRecord]:
        """The budgets that its requests were spent in, each once."""
        costs = columns["cost_nano"]
        places = (position for position in range(len(costs)) if costs[position])
        paid = (each for position in places for each in self.of(columns, position, of_owner))
        return list({each.record.id: each.record for each in paid}.values())

    def of(self, columns: Columns, position: int, of_owner: OfOwner) -> Iterator[Paid]:
        """Of the request in this place: as a caller's, and as one of values of templates."""
        if self._changed:
            self._changed = False
            self._callers.clear()
            self._made.clear()
        caller: Caller = tuple(columns[name][position] for name in ("customer", "team", "key", "provider"))
        known = self._callers.get(caller)
        if known is None:
            if len(self._callers) >= MOST_KEPT:
                self._callers.clear()
            records = (record for owner in owners_of(*caller) for record in of_owner(owner) if self._wanted(record))
            written = tuple(Paid(record, record.owner, record.id) for record in records)
            templates = tuple(record for record in of_owner(f"{EACH}{caller[2]}") if self._wanted(record))
            known = self._callers[caller] = written, templates
        yield from known[0]
        for template in known[1]:
            key, name, _ = said(template.owner)
            yield self._of_value(template, (key, name, value_at(columns, position, name)))

    def forget(self) -> None:
        """Budgets may have changed; from any thread."""
        self._changed = True

    def _of_value(self, template: BudgetRecord, value: Value) -> Paid:
        paid = self._made.get((template.id, value[2]))
        if paid is None:
            if len(self._made) >= MOST_KEPT:
                self._made.clear()
            paid = self._made[template.id, value[2]] = Paid(made_of(template, value[2]), value, template.id)
        return paid
