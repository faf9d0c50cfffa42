"""The ways to serve a model for a key, each with all that a request on it needs."""

from dataclasses import dataclass, field, replace
from typing import Final

from fastgate._core.journal import Draft
from fastgate.budgets.holds import Terms
from fastgate.gateway.attribution import Attributes, merged
from fastgate.gateway.binding import Binding
from fastgate.gateway.cache_plan import CachePlan
from fastgate.gateway.templates import Templates
from fastgate.gateway.upstreams import Upstream
from fastgate.wire.snapshot import BudgetRecord, OnLimit

_MOST_BOUND: Final = 4096


@dataclass(slots=True)
class Leg:
    """One way to serve a model for a key: a provider, a credential, an upstream model, what binds there."""

    upstream: Upstream
    head: bytes
    """Headers of every request, credential included."""
    secret: bytes
    """The credential alone; empty: none."""
    model: str
    """The upstream's own name."""
    rename: str | None
    """The upstream's name, where the client uses another one."""
    terms: Terms
    binding: Binding
    """The limits and budgets that have to have room for it."""
    draft: Draft
    tags: dict[str, str]
    """The key's own."""
    headers: tuple[tuple[str, str], ...]
    """Of every answer: provider, model, route."""
    asked: dict[tuple[bytes, str, str, int | None, tuple[str | None, ...]], bytes] = field(default_factory=dict)
    """What questions on it say beside their bodies, for the cache, by what the client contributes to that."""
    heads: dict[tuple[str | None, ...], bytes] = field(default_factory=dict)
    """Heads of requests to the provider, by what the client contributes to them."""
    templates: Templates | None = None
    """What binds each user and so on besides; None: no template does."""
    cache: CachePlan | None = None
    """What may be done with the exact cache; None: nothing."""
    kept: "Bound" = field(default_factory=dict)
    """Of the whole worker."""

    def bound(self, said: Attributes, now_ns: int, *, free: bool = False) -> "Leg":
        """This way with what binds the client by what it says; ``free``: the request is not billed.

        Raises TooManyValues, ArenaFull.
        """
        templates = self.templates
        if templates is None or (free and not templates.bind_free):
            return self
        who = templates, templates.values(said), free
        found = self.kept.get(who)
        if found is None:
            binding = templates.bound(who[1], now_ns, free=free)
            if len(self.kept) >= _MOST_BOUND:
                self.kept.clear()
            found = self.kept[who] = replace(self, binding=binding)
        return found

    def on_limit(self, level: int) -> int:
        """An OnLimit: what becomes of a request that ``level`` has no room for."""
        full = self.binding.records[level]
        return full.on_limit if isinstance(full, BudgetRecord) else OnLimit.REJECT

    def attributed(self, said: Attributes) -> Draft:
        """The draft of a request of which its client says this."""
        return self.draft.attributed(said.user, said.session, said.operation, merged(self.tags, said.tags))

    def without_secret(self, said: bytes) -> bytes:
        """What the provider said, without our credential: some services repeat one that they refuse."""
        return said.replace(self.secret, b"***") if self.secret else said


Bound = dict[tuple[Templates, tuple[str, ...], bool], Leg]
"""Ways with what binds a request's user and so on, by those, and whether it is free."""
