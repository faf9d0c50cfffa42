"""Which budgets a request is held against: ids, and a key's budgets flattened, narrowest first.

The levels are provider config of a key, key, team, customer. A budget's identity is ``owner/window/name``: its counter
in the arena and in the ledger goes by it, so that an edit of anything else keeps what was spent.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fastgate.config.owners import Budget, Customer, Key, Team
from fastgate.config.root import Config
from fastgate.wire.snapshot import BudgetRecord, Window

LEVELS: Final = ("provider", "key", "team", "customer")
"""Narrowest first."""


def owner_name(level: str, *ids: str) -> str:
    """``team:platform``; a provider config is named by its key and provider: ``provider:ide/anthropic``."""
    return f"{level}:{'/'.join(ids)}"


def window_of(budget: Budget) -> tuple[Window, int]:
    """The kind of a budget's window, and how many of its unit it lasts."""
    unit, every = budget.period
    return Window[unit.upper()], every


def window_name(kind: int, every: int) -> str:
    """``month``, ``3-hour``: the middle of a budget's id. One of a unit is the plain window, however it was written."""
    name = Window(kind).name.lower()
    return name if every == 1 else f"{every}-{name}"


def budget_id(owner: str, budget: Budget) -> str:
    """``team:platform/month/default``."""
    return f"{owner}/{window_name(*window_of(budget))}/{budget.name}"


@dataclass(frozen=True)
class KeyBudgets:
    """``shared`` budgets hold for every provider, those in ``providers`` for one each (None: all are allowed)."""

    shared: tuple[BudgetRecord, ...]
    providers: dict[str, tuple[BudgetRecord, ...]] | None

    def __iter__(self) -> Iterator[BudgetRecord]:
        """All of them, narrowest first."""
        for records in (self.providers or {}).values():
            yield from records
        yield from self.shared


class Hierarchy:
    """Flattens keys' budgets. ``cell`` gives the arena's cell for a budget's id; it may be asked more than once."""

    def __init__(self, config: Config, cell: Callable[[str], int]) -> None:
        self._cell = cell
        self._customers: Mapping[str, Customer] = {customer.id: customer for customer in config.customers}
        self._teams: Mapping[str, Team] = {team.id: team for team in config.teams}
        self._of_team: dict[str, tuple[BudgetRecord, ...]] = {}
        self._of_customer: dict[str, tuple[BudgetRecord, ...]] = {}

    def customer_of(self, key: Key) -> str:
        """The id of the customer that a key's team belongs to, or an empty text."""
        return (self._teams[key.team].customer or "") if key.team else ""

    def environment_of(self, key: Key) -> str:
        """The environment of a key's team, or an empty text."""
        return (self._teams[key.team].environment or "") if key.team else ""

    def of_key(self, key: Key) -> KeyBudgets:
        """Everything that a request of ``key`` may be held against."""
        own = self._records("key", owner_name("key", key.id), key.budgets)
        shared = own + (self.of_team(key.team) if key.team else ())
        if key.providers is None:
            return KeyBudgets(shared, None)
        providers = {
            each.provider: self._records("provider", owner_name("provider", key.id, each.provider), each.budgets)
            for each in key.providers
        }
        return KeyBudgets(shared, providers)

    def of_team(self, team: str) -> tuple[BudgetRecord, ...]:
        """A team's budgets, then its customer's."""
        if team not in self._of_team:
            config = self._teams[team]
            own = self._records("team", owner_name("team", team), config.budgets)
            self._of_team[team] = own + (self.of_customer(config.customer) if config.customer else ())
        return self._of_team[team]

    def of_customer(self, customer: str) -> tuple[BudgetRecord, ...]:
        """A customer's budgets."""
        if customer not in self._of_customer:
            budgets = self._customers[customer].budgets
            self._of_customer[customer] = self._records("customer", owner_name("customer", customer), budgets)
        return self._of_customer[customer]

    def all(self, keys: tuple[Key, ...]) -> dict[str, BudgetRecord]:
        """Every configured budget by its id, those that no key reaches included."""
        found = {record.id: record for key in keys for record in self.of_key(key)}
        for customer in self._customers:
            found.update((record.id, record) for record in self.of_customer(customer))
        for team in self._teams:
            found.update((record.id, record) for record in self.of_team(team))
        return found

    def _records(self, level: str, owner: str, budgets: tuple[Budget, ...]) -> tuple[BudgetRecord, ...]:
        return tuple(self._record(level, owner, budget) for budget in budgets)

    def _record(self, level: str, owner: str, budget: Budget) -> BudgetRecord:
        kind, every = window_of(budget)
        id_ = budget_id(owner, budget)
        strict = budget.bound == "strict"
        return BudgetRecord(self._cell(id_), budget.limit_usd, kind, every, level, owner, id_, strict)
