"""Budgets and limits of templates as requests come: those of their user, session, tag, model and environment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fastgate._core.arena import Arena
from fastgate.budgets.levels import Rule, level_at, rules_of
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import BUDGETS, LIMITS, MOST_VALUES, TAG, made_of
from fastgate.gateway.attribution import Attributes
from fastgate.gateway.binding import Binding
from fastgate.gateway.limits import is_per_request
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

_LATE_NS: Final = 10**9
"""How much later a request may be here than one that came after it, so that counters made from the ledger have both."""
_SAID: Final[Mapping[str, Callable[[Attributes], str]]] = {
    "user": lambda said: said.user,
    "session": lambda said: said.session,
}


class TooManyValues(Exception):
    """A template has budgets, or limits, for as many values as it may have."""

    def __init__(self, template: BudgetRecord | LimitRecord) -> None:
        self.kind = "budget" if isinstance(template, BudgetRecord) else "limit"
        self.level = template.level
        super().__init__(f"the template '{template.id}' has {MOST_VALUES:,} {self.kind}s, as many as there may be")


class Templates:
    """A key's templates on one way to serve a model. ``binding``: what binds every request there.

    ``known``: values that no client has a say in, by the name of a template (``model``, ``tag:product``).
    """

    __slots__ = ("_arena", "_form", "_places", "_values", "bind_free", "claims")

    def __init__(
        self,
        arena: Arena,
        binding: Binding,
        templates: Mapping[str, Sequence[BudgetRecord | LimitRecord]],
        known: Mapping[str, str],
        *,
        shared: bool = False,
    ) -> None:
        places = {template.owner: at for at, some in enumerate(templates.values()) for template in some}
        written = [template for some in templates.values() for template in some]
        self._arena = arena
        self._form = Binding.of(arena, (*binding.rules, *rules_of(arena, written, shared=shared)))
        self._places = tuple((rule, places.get(rule[0].owner)) for rule in self._form.rules)
        """Every rule, in the order in which they bind; of a template's, the place of its value among all values."""
        self._values = tuple(_reader(name, known) for name in templates)
        self.bind_free = any(map(is_per_request, written))
        """Whether they bind requests that are not billed, too."""
        self.claims = tuple(name for name in templates if name not in known)
        """Templates whose values clients say."""

    def values(self, said: Attributes) -> tuple[str, ...]:
        """What the request is for each of the templates; empty: it says nothing."""
        return tuple([value(said) for value in self._values])

    def bound(self, values: tuple[str, ...], now_ns: int, *, free: bool = False) -> Binding:
        """What binds requests of these values. Of what is ``free``, as of all, the limits; but no budget of a template.

        Makes the counters of values that are new. Raises TooManyValues, ArenaFull.
        """
        rules = [
            rule if at is None else self._made(rule, values[at], now_ns)
            for rule, at in self._places
            if not (free and at is not None and isinstance(rule[0], BudgetRecord))
        ]
        return self._form.filled(self._arena, rules)

    def _made(self, rule: Rule, value: str, now_ns: int) -> Rule:
        template, level = rule
        arena, counting, record = self._arena, level.cell, made_of(template, value)
        kind = BUDGETS if isinstance(template, BudgetRecord) else LIMITS
        if kind == BUDGETS and not arena.anchor(counting):  # the first use of any of its budgets
            arena.restore_cell(counting, period_of(template), now_ns - _LATE_NS, 0, now_ns)
        cell = arena.member(record.id, counting, MOST_VALUES, kind)
        if cell is None:
            raise TooManyValues(template)
        return record, level_at(cell, record, shared=level.shared)


def _reader(name: str, known: Mapping[str, str]) -> Callable[[Attributes], str]:
    """From what a client says to the value for a template."""
    if name in known:
        value = known[name]
        return lambda said: value
    if not name.startswith(TAG):
        return _SAID[name]
    tag = name.removeprefix(TAG)
    return lambda said: next((value for each, value in said.tags if each == tag), "")
