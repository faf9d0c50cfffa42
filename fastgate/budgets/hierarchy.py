"""Which budgets a request is held against: their ids, their levels, and whose they are.

The levels are provider config of a key, key, team, customer, and those of templates. A budget's identity is
``owner/window/name``: its counter in the arena and in the ledger goes by it, so that an edit of anything else keeps
what was spent.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from fastgate.budgets.templates import LEVELS as TEMPLATES
from fastgate.budgets.templates import template_owner
from fastgate.config.owners import Budget, Customer, Increase, Key, Team
from fastgate.wire.snapshot import BudgetRecord, OnLimit, Window

LEVELS: Final = ("provider", "key", "team", "customer")
"""Narrowest first."""


def owner_name(level: str, *ids: str) -> str:
    """``team:platform``; a provider config is named by its key and provider: ``provider:ide/anthropic``."""
    return f"{level}:{'/'.join(ids)}"


def level_of(owner: str) -> str:
    """The inverse of :func:`owner_name`, as far as the level."""
    return owner.partition(":")[0]


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


def budget_record(owner: str, budget: Budget, increases: Iterable[Increase] = ()) -> BudgetRecord:
    """A budget as workers read it."""
    kind, every = window_of(budget)
    return BudgetRecord(
        limit=budget.limit_usd,
        window=kind,
        every=every,
        level=level_of(owner),
        owner=owner,
        id=budget_id(owner, budget),
        strict=budget.bound == "strict",
        zone=(budget.timezone or "UTC") if budget.calendar else "",
        soft=budget.mode == "soft",
        rollover=budget.rollover,
        alerts=tuple(sorted(set(budget.alerts_percent))),
        increases=tuple((increase.until, increase.add_usd) for increase in increases),
        on_limit=OnLimit[budget.on_limit.upper()],
        downgrade_to=tuple((target.provider, target.model) for target in budget.downgrade_to),
        grace=budget.grace or 0,
    )


def budget_records(
    owner: str, budgets: Iterable[Budget], increases: Iterable[Increase] = ()
) -> tuple[BudgetRecord, ...]:
    """All budgets of one owner."""
    return tuple(budget_record(owner, budget, increases) for budget in budgets)


def template_names(key: Key) -> list[str]:
    """What a key has templates for, narrowest first."""
    return sorted(key.each, key=lambda name: TEMPLATES.index(level_of(name)))


def templates_of(key: Key) -> dict[str, tuple[BudgetRecord, ...]]:
    """The budgets of all of a key's templates, by name, narrowest first."""
    return {name: budget_records(template_owner(key.id, name), key.each[name].budgets) for name in template_names(key)}


def budgets_of_key(key: Key) -> Iterator[tuple[str, tuple[Budget, ...]]]:
    """A key's owners of budgets, itself and its provider configs, with what they have."""
    for each in key.providers or ():
        yield owner_name("provider", key.id, each.provider), each.budgets
    yield owner_name("key", key.id), key.budgets


def budgets_of(thing: Customer | Team | Key) -> Iterator[tuple[str, tuple[Budget, ...]]]:
    """Owners of budgets in one customer, team or key."""
    if isinstance(thing, Key):
        yield from budgets_of_key(thing)
    else:
        level = "team" if isinstance(thing, Team) else "customer"
        yield owner_name(level, thing.id), thing.budgets


def records_of(thing: Customer | Team | Key) -> Iterator[BudgetRecord]:
    """All budgets in one customer, team or key. A key's increases are of its own, not of its provider configs'."""
    increases = thing.increases if isinstance(thing, Key) else ()
    for owner, budgets in budgets_of(thing):
        yield from budget_records(owner, budgets, increases if level_of(owner) == "key" else ())
