"""The ways to serve a model for a key, each with all that a request on it needs."""

from dataclasses import dataclass, field, replace
from typing import Final

from fastgate._core.journal import Draft
from fastgate._core.levels import Levels
from fastgate.budgets.holds import Terms
from fastgate.gateway.attribution import Attributes, merged
from fastgate.gateway.limits import Gauge
from fastgate.gateway.notices import Notices
from fastgate.gateway.templates import Templates
from fastgate.gateway.upstreams import Upstream
from fastgate.wire.snapshot import BudgetRecord, LimitRecord, OnLimit

_MOST_BOUND: Final = 4096


@dataclass(slots=True)
class Leg:
    """One way to serve a model for a key: a provider, a credential, an upstream model, the budgets that bind there."""

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
    bound_by: tuple[LimitRecord | BudgetRecord, ...]
    """Limits, then budgets: what ``levels`` are made of, and of its first ones ``free_levels``."""
    levels: Levels
    free_levels: Levels
    """Of a request that is not billed: it counts as a request, and begins no budget's window."""
    gauges: tuple[Gauge, ...]
    """The limits that every answer tells of; empty: there are none."""
    notices: Notices | None
    draft: Draft
    tags: dict[str, str]
    """The key's own."""
    headers: tuple[tuple[str, str], ...]
    """Of every answer: provider, model, route, attempts."""
    heads: dict[tuple[str | None, ...], bytes] = field(default_factory=dict)
    """Heads of requests to the provider, by what the client contributes to them."""
    templates: Templates | None = None
    """Which budgets it has for each user and so on; None: the key has no templates."""
    kept: "Bound" = field(default_factory=dict)
    """Of the whole worker."""

    def bound(self, said: Attributes, now_ns: int) -> "Leg":
        """This way with the budgets of ``templates`` for what the client says. Raises TooManyValues, ArenaFull."""
        templates = self.templates
        if templates is None:
            return self
        who = templates, templates.values(said)
        found = self.kept.get(who)
        if found is None:
            budgets, levels = templates.bound(who[1], now_ns)
            if len(self.kept) >= _MOST_BOUND:
                self.kept.clear()
            bound_by = self.bound_by + budgets
            notices = Notices.of(levels, bound_by)
            found = self.kept[who] = replace(self, bound_by=bound_by, levels=levels, notices=notices)
        return found

    def on_limit(self, level: int) -> int:
        """An OnLimit: what becomes of a request that ``level`` has no room for."""
        full = self.bound_by[level]
        return full.on_limit if isinstance(full, BudgetRecord) else OnLimit.REJECT

    def attributed(self, said: Attributes) -> Draft:
        """The draft of a request of which its client says this."""
        return self.draft.attributed(said.user, said.session, said.operation, merged(self.tags, said.tags))

    def without_secret(self, said: bytes) -> bytes:
        """What the provider said, without our credential: some services repeat one that they refuse."""
        return said.replace(self.secret, b"***") if self.secret else said


Bound = dict[tuple[Templates, tuple[str, ...]], Leg]
"""Ways with the budgets of a request's user and so on, by those."""
