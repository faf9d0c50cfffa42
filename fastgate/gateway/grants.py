"""What a virtual key may do, worked out once per key and model and kept until the next snapshot."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from fastgate._core.arena import ArenaFull
from fastgate._core.journal import Draft
from fastgate._core.learned import OutputRate, TokenRate
from fastgate.budgets.holds import Terms
from fastgate.budgets.levels import rules_of
from fastgate.budgets.templates import LEVELS, TAG, called
from fastgate.dialects.openai_embeddings import NAME as EMBEDDINGS
from fastgate.gateway.attribution import merged
from fastgate.gateway.binding import Binding
from fastgate.gateway.cache_plan import Member, cache_of
from fastgate.gateway.legs import Leg
from fastgate.gateway.limits import caps_output
from fastgate.gateway.templates import Templates
from fastgate.routing.targets import Weighted, by_provider, resolve
from fastgate.wire.failure import Failure, FailureCode, shown
from fastgate.wire.networks import Networks
from fastgate.wire.snapshot import (
    NO_PRICE,
    BudgetRecord,
    LimitRecord,
    PriceRecord,
    ProviderKeyRecord,
    ProviderRecord,
    TargetRecord,
    Unpriced,
    matches,
)

if TYPE_CHECKING:
    from fastgate.gateway.state import State

_MOST_ROUTES: Final = 256
_LONGEST_NAME: Final = 256
_DOWNGRADE: Final = "downgrade"
_OWN_LEVELS: Final = frozenset({"provider", "key", *LEVELS})
_NOT_TOKENS: Final = PriceRecord(provider="", model="")


class Grant:
    """A virtual key in the snapshot that is in force, with what its team and its customer add."""

    __slots__ = (
        "_member", "_others", "_routes", "_state", "budgets", "customer", "environment", "limits", "networks", "record",
    )  # fmt: skip

    def __init__(self, state: "State", member: Member) -> None:
        record, team, customer = member.key, member.team, member.customer
        self.record = record
        self.customer = team.customer
        self.environment = team.environment
        self.budgets = record.budgets + team.budgets + customer.budgets
        """For every provider, narrowest first."""
        self.limits = record.limits + team.limits + customer.limits
        """Likewise."""
        self.networks = Networks(record.allowed_ips) if record.allowed_ips else None
        """Where clients of the key may be; None: anywhere."""
        self._state = state
        self._member = member
        self._routes: dict[tuple[str, ...], Weighted[Leg]] = {}
        self._others: dict[tuple[str, ...], tuple[int, ...]] = {}
        """Prices of models that requests name beside their own, by the provider and those."""

    def leg(self, dialect: str, model: str) -> Leg:
        """A way to serve ``model`` to a client of ``dialect``. Raises Failure where there is none."""
        route = self._routes.get((dialect, model))
        if route is None:
            try:
                route = self._route(dialect, model)
            except ArenaFull as full:
                raise Failure.no_space(full) from full
            self._keep((dialect, model), route)
        return route.choose()

    def downgrades(self, dialect: str, model: str, budget: BudgetRecord) -> Iterator[Leg]:
        """The ways that ``budget`` names for requests for ``model`` without room in it, as far as the key has them.

        What a budget of the key's own names is allowed by that; what one of its team or customer names has to be
        among the key's providers and models. Embeddings have none: vectors of two models cannot be compared.
        """
        if dialect == EMBEDDINGS:
            return
        own = budget.level in _OWN_LEVELS
        for provider, target in budget.downgrade_to:
            asked = f"{provider}/{target}"
            name = (dialect, model, asked, "own" if own else "")
            route = self._routes.get(name) or self._downgrade(dialect, model, asked, own)
            if route:  # what stands in the way of another one may pass
                self._keep(name, route)
                yield route.choose()

    def with_others(self, leg: Leg, models: tuple[str, ...]) -> Leg:
        """``leg`` for requests that let its provider run these models of its own as well, by the provider's names.

        Raises Failure where the key may not use one of them, or rejects what has no price.
        """
        provider = leg.upstream.record
        found = self._others.get((provider.name, *models))
        if found is None:
            found = tuple(self._price_beside(provider, model) for model in models)
            if len(self._others) >= _MOST_ROUTES:
                self._others.clear()
            self._others[provider.name, *models] = found
        priced = [self._state.head.prices[price] if price >= 0 else _NOT_TOKENS for price in found]
        return replace(leg, terms=leg.terms.tried_with(leg.model, zip(models, found, priced, strict=True)))

    def _price_beside(self, provider: ProviderRecord, model: str) -> int:
        head, name = self._state.head, f"{provider.name}/{model}"
        public = [
            alias
            for alias, record in head.models.items()
            for target in record.targets
            if target.model == model and head.providers[target.provider] is provider
        ]
        if not _is_sound(model) or not any(map(self.allows, (name, *public))):
            raise Failure.model_not_allowed(name, self.record.id)
        return self._price(name, provider.price_of(model))

    def _keep(self, name: tuple[str, ...], route: Weighted[Leg]) -> None:
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        self._routes[name] = route

    def _downgrade(self, dialect: str, model: str, asked: str, own: bool) -> Weighted[Leg]:
        """To ``asked``, a "provider/model"; empty where it cannot serve the dialect, or the key may not use it."""
        head, upstreams = self._state.head, self._state.upstreams
        legs: list[tuple[Leg, float]] = []
        for target in by_provider(head, asked):
            allowed = own or (self.allows_provider(target.provider) and self.allows(asked))
            if allowed and dialect in upstreams[target.provider].record.bases:
                with suppress(Failure, ArenaFull):  # nothing prices it for this key, or there is no room for a counter
                    legs += self._legs(dialect, model, target, _DOWNGRADE)
        return Weighted(legs)

    def written(self, id_: str) -> BudgetRecord | LimitRecord | None:
        """The budget or limit of this id, on whatever way; None: there is none."""
        record = self.record
        budgets = chain(self.budgets, *(record.providers or {}).values())
        limits = chain(self.limits, *record.provider_limits.values())
        everywhere: Iterator[BudgetRecord | LimitRecord] = chain(budgets, limits)
        for each in everywhere:
            if each.id == id_:
                return each
        made = called(chain.from_iterable(record.each.values()), id_)
        return made or called(chain.from_iterable(record.each_limits.values()), id_)

    def allows(self, model: str) -> bool:
        """Whether the key's list of models has this public name."""
        return matches(self.record.models, model)

    def allows_provider(self, provider: int) -> bool:
        """Whether the key's list of providers has this one, by its number in the head."""
        providers = self.record.providers
        return providers is None or self._state.head.providers[provider].name in providers

    def _route(self, dialect: str, model: str) -> Weighted[Leg]:
        targets = resolve(self._state.head, model) if _is_sound(model) else ()
        if not targets:
            raise Failure.model_not_found(model)
        if not self.allows(model):
            raise Failure.model_not_allowed(model, self.record.id)
        targets = tuple(target for target in targets if self.allows_provider(target.provider))
        if not targets:
            raise Failure(
                FailureCode.PROVIDER_NOT_ALLOWED,
                f"The key '{self.record.id}' may not use a provider that serves the model '{shown(model)}'.",
                param="model",
            )
        spoken = [target for target in targets if dialect in self._state.upstreams[target.provider].record.bases]
        if not spoken:
            other = ", ".join(sorted({d for t in targets for d in self._state.upstreams[t.provider].record.bases}))
            raise Failure(
                FailureCode.DIALECT_NOT_SUPPORTED,
                f"The model '{shown(model)}' is served in the dialect {other}, and this request came in {dialect}:"
                " translation between dialects is not supported yet.",
                param="model",
            )
        legs = [leg for target in spoken for leg in self._legs(dialect, model, target)]
        route = Weighted(legs)
        if not route:
            raise Failure(
                FailureCode.NO_HEALTHY_TARGET,
                f"No provider key serves the model '{shown(model)}': their models or weights leave it out.",
                final=True,
            )
        return route

    def _legs(self, dialect: str, model: str, target: TargetRecord, route: str = "") -> list[tuple[Leg, float]]:
        keys = self._state.upstreams[target.provider].record.keys
        if not keys:
            return [(self._leg(dialect, model, target, None, route), target.weight)]
        fitting = [key for key in keys if key.weight > 0 and matches(key.models, target.model)]
        total = sum(key.weight for key in fitting)
        return [(self._leg(dialect, model, target, key, route), target.weight * key.weight / total) for key in fitting]

    def _leg(
        self, dialect: str, model: str, target: TargetRecord, key: ProviderKeyRecord | None, decided: str = ""
    ) -> Leg:
        state, record = self._state, self.record
        upstream = state.upstreams[target.provider]
        name = upstream.record.name
        terms = self._terms(dialect, model, target, name)
        binding = Binding.of(state.arena, rules_of(state.arena, self._bound_at(name, model), shared=state.shares))
        route = decided or (f"models.{model}" if model in state.head.models else "direct")
        return Leg(
            upstream=upstream,
            head=upstream.head(dialect, key),
            secret=upstream.secrets[key.name] if key is not None else b"",
            model=target.model,
            rename=None if model == target.model else target.model,
            terms=terms,
            binding=binding,
            draft=Draft(
                key=record.id,
                team=record.team,
                customer=self.customer,
                provider=name,
                provider_key=key.name if key else "",
                model=model,
                upstream_model=target.model,
                route=route,
                dialect=dialect,
                environment=self.environment,
                tags=merged(record.tags, ()),
            ),
            tags=record.tags,
            headers=(
                ("x-fastgate-provider", name),
                ("x-fastgate-model", target.model),
                ("x-fastgate-route", route),
            ),
            templates=self._templates(binding, model, target.model) if record.each else None,
            cache=cache_of(state.head, model, self._member, means=dialect != EMBEDDINGS),
            kept=state.bound,
        )

    def _terms(self, dialect: str, model: str, target: TargetRecord, provider: str) -> Terms:
        """Raises Failure where nothing prices the model, or nobody knows yet what its budgets have spent."""
        state = self._state
        upstream = state.upstreams[target.provider]
        price = self._price(model, target.price)
        priced = state.head.prices[price] if price >= 0 else _NOT_TOKENS
        bound_by = (*self._bound_at(provider, model), *chain.from_iterable(self._each_at(model).values()))
        budgets = [record for record in bound_by if isinstance(record, BudgetRecord)]
        if budgets and not state.arena.counted:  # it becomes true, and stays: what was put together once is not asked
            raise Failure.not_counted()
        known = self._known(model, provider, target, price)
        strict = any(budget.strict for budget in budgets)
        return Terms(
            state.prices,
            price,
            TokenRate(state.arena, known),
            OutputRate(state.arena, f"{known} answers"),
            OutputRate(state.arena, f"{known} thoughts"),
            capped=dialect != EMBEDDINGS and any(map(caps_output, bound_by)),  # these have no output
            strict=strict,
            default_cap=state.head.output_cap,
            max_output=priced.max_output,
            context_window=priced.context_window,
            cap_fields=upstream.kind.cap_fields,
            geo=upstream.record.geo,
            instalments=bool(bound_by) and not strict,
            reasons=priced.reasons,
        )

    def _templates(self, binding: Binding, model: str, upstream_model: str) -> Templates | None:
        """Of one way; what a client may claim of the rest, ``fastgate.config`` has seen to. None: no template binds."""
        each = self._each_at(model)
        tags = {f"{TAG}{name}": value for name, value in self.record.tags.items()}
        known = {**tags, "model": upstream_model, "environment": self.environment}
        return Templates(self._state.arena, binding, each, known, shared=self._state.shares) if each else None

    def _known(self, model: str, provider: str, target: TargetRecord, price: int) -> str:
        """By what the traffic teaches of a model is kept, for good: so only names that do not come from clients."""
        head = self._state.head
        known = head.prices[price].model if price >= 0 else target.model if model in head.models else "*"
        return f"{provider}/{known}"[:128]

    def _price(self, model: str, price: int) -> int:
        if price != NO_PRICE:
            return price
        policy = self.record.unpriced
        if policy == Unpriced.REJECT or (policy == Unpriced.DEFAULT and self._is_bound()):
            raise Failure(
                FailureCode.MODEL_UNPRICED,
                f"Nothing prices the model '{shown(model)}', and the key '{self.record.id}' rejects models without"
                " a price: set one in providers.*.prices, or the key's 'unpriced'.",
                param="model",
            )
        return self._state.head.ceilings[self.record.ceiling] if policy == Unpriced.CEILING else NO_PRICE

    def _bound_at(self, provider: str, model: str) -> tuple[LimitRecord | BudgetRecord, ...]:
        """What every request to a provider for a public name has to pass: limits, and budgets, narrowest first."""
        limits = self.record.provider_limits.get(provider, ()) + self.limits
        return (*_limits_on(model, limits), *(self.record.providers or {}).get(provider, ()), *self.budgets)

    def _each_at(self, model: str) -> dict[str, tuple[LimitRecord | BudgetRecord, ...]]:
        """The templates that bind requests for a public name, by what they are for, narrowest first."""
        record = self.record
        found: dict[str, tuple[LimitRecord | BudgetRecord, ...]] = {
            name: (*_limits_on(model, record.each_limits.get(name, ())), *budgets)
            for name, budgets in record.each.items()
        }
        return {name: templates for name, templates in found.items() if templates}

    def _is_bound(self) -> bool:
        """Whether any hard budget applies to the key, at whatever provider."""
        at_providers = chain.from_iterable((self.record.providers or {}).values())
        of_templates = chain.from_iterable(self.record.each.values())
        return not all(budget.soft for budget in chain(self.budgets, at_providers, of_templates))


def _limits_on(model: str, limits: tuple[LimitRecord, ...]) -> tuple[LimitRecord, ...]:
    """Those that are for a public name."""
    return tuple(limit for limit in limits if matches(limit.models, model))


def _is_sound(model: str) -> bool:
    """Whether a name can be a model's: only such a one goes into headers and journals."""
    return len(model) <= _LONGEST_NAME and model.isascii() and model.isprintable()
