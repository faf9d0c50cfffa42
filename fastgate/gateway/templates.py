"""Budgets of templates as requests come: that of a request's user, session, tag, model and environment."""

from collections.abc import Callable, Mapping
from typing import Final

from fastgate._core.arena import Arena
from fastgate._core.levels import Level, Levels
from fastgate.budgets.levels import level_at
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import MOST_VALUES, TAG, budget_of
from fastgate.gateway.attribution import Attributes
from fastgate.wire.snapshot import BudgetRecord

_LATE_NS: Final = 10**9
"""How much later a request may be here than one that came after it, so that counters made from the ledger have both."""
_SAID: Final[Mapping[str, Callable[[Attributes], str]]] = {
    "user": lambda said: said.user,
    "session": lambda said: said.session,
}


class TooManyValues(Exception):
    """A template has budgets for as many values as it may have."""

    def __init__(self, template: BudgetRecord) -> None:
        super().__init__(f"the template '{template.id}' has {MOST_VALUES:,} budgets, as many as there may be")
        self.level = template.level


class Templates:
    """A key's templates on one way to serve a model. ``levels``: what every request there is held against.

    ``known``: values that no client has a say in, by the name of a template (``model``, ``tag:product``).
    """

    __slots__ = ("_arena", "_budgets", "_levels", "_values")

    def __init__(
        self, arena: Arena, levels: Levels, each: Mapping[str, tuple[BudgetRecord, ...]], known: Mapping[str, str]
    ) -> None:
        self._arena = arena
        self._levels = levels
        self._budgets = tuple(each.values())
        self._values = tuple(_reader(name, known) for name in each)

    def values(self, said: Attributes) -> tuple[str, ...]:
        """What the request is for each of the templates; empty: it says nothing."""
        return tuple([value(said) for value in self._values])

    def bound(self, values: tuple[str, ...], now_ns: int) -> tuple[tuple[BudgetRecord, ...], Levels]:
        """The budgets of these values, and all levels, those of the budgets last.

        Makes the counters of values that are new. Raises TooManyValues, ArenaFull.
        """
        budgets: list[BudgetRecord] = []
        levels: list[Level] = []
        for templates, value in zip(self._budgets, values, strict=True):
            for template in templates:
                budget = budget_of(template, value)
                levels.append(level_at(self._cell(template, budget, now_ns), budget))
                budgets.append(budget)
        return tuple(budgets), self._levels.extended(levels)

    def _cell(self, template: BudgetRecord, budget: BudgetRecord, now_ns: int) -> int:
        counting = self._arena.cell(template.id)
        if not self._arena.anchor(counting):  # the first use of any of its budgets
            self._arena.restore_cell(counting, period_of(template), now_ns - _LATE_NS, 0, now_ns)
        cell = self._arena.member(budget.id, counting, MOST_VALUES)
        if cell is None:
            raise TooManyValues(template)
        return cell


def _reader(name: str, known: Mapping[str, str]) -> Callable[[Attributes], str]:
    """From what a client says to the value for a template."""
    if name in known:
        value = known[name]
        return lambda said: value
    if not name.startswith(TAG):
        return _SAID[name]
    tag = name.removeprefix(TAG)
    return lambda said: next((value for each, value in said.tags if each == tag), "")
