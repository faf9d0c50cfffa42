"""Customers, teams and keys: who may spend what, and on which models."""

from typing import Annotated, Final, Literal

from msgspec import Meta, field

from fastgate.config.scalars import (
    Id,
    Instant,
    Line,
    ModelName,
    ModelPattern,
    Name,
    Network,
    Owner,
    Price,
    Secret,
    Sha256,
    TagValue,
    Usd,
)
from fastgate.config.settings import CacheWish, Section
from fastgate.config.upstreams import Weight

Unit = Literal["second", "minute", "hour", "day", "week", "month", "year"]
Count = Annotated[int, Meta(ge=0, le=10**15)]
MOST_EVERY: Final = 10_000
"""Units of a window."""
COUNTED: Final = ("requests", "tokens", "input_tokens", "output_tokens", "concurrent")
"""What limits count; ``tokens`` are those of input and output together."""
DEFAULT_BUDGET: Final = "default"
"""What a budget without a name is called."""


class Every(Section, frozen=True, kw_only=True):
    """A window of several units."""

    every: Annotated[int, Meta(ge=1, le=MOST_EVERY)]
    unit: Unit


def period_of(window: str | Every) -> tuple[str, int]:
    """A window's unit and how many of it; ``day`` and one of ``day`` are the same."""
    return (window.unit, window.every) if isinstance(window, Every) else (window, 1)


class Downgrade(Section, frozen=True, kw_only=True):
    """Where requests go that a budget has no room for."""

    provider: Name
    model: ModelName


class Budget(Section, frozen=True, kw_only=True):
    """A limit on money in each window. ``calendar`` without a ``timezone`` is that of UTC."""

    name: Name = DEFAULT_BUDGET
    limit_usd: Usd
    window: Literal[Unit, "lifetime"] | Every
    calendar: bool = False
    timezone: Line | None = None
    mode: Literal["hard", "soft"] = "hard"
    bound: Literal["learned", "strict"] = "learned"
    on_limit: Literal["reject", "clamp", "downgrade"] = "reject"
    downgrade_to: tuple[Downgrade, ...] = ()
    alerts_percent: tuple[Annotated[int, Meta(ge=1, le=100)], ...] = ()
    rollover: bool = False
    grace: Usd | None = None

    @property
    def period(self) -> tuple[str, int]:
        """The window's unit and how many of it."""
        return period_of(self.window)


class OwnedBudget(Budget, frozen=True, kw_only=True):
    """A budget beside whose it is: ``team:platform``, or ``provider:ide/anthropic`` for a key's part of a provider."""

    owner: Owner


class Limit(Section, frozen=True, kw_only=True):
    """A limit on one of ``COUNTED`` in each window; on requests open at once at any time."""

    requests: Count | None = None
    tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    concurrent: Count | None = None
    window: Unit | Every | None = None
    models: tuple[ModelPattern, ...] = ()

    @property
    def counted(self) -> tuple[str, ...]:
        """What it sets a limit on: exactly one, where it makes sense."""
        return tuple(name for name in COUNTED if getattr(self, name) is not None)

    @property
    def period(self) -> tuple[str, int]:
        """The window's unit and how many of it; what is open at once has none, so its lifetime."""
        return ("lifetime", 1) if self.window is None else period_of(self.window)

    @property
    def only_models(self) -> tuple[str, ...]:
        """The patterns, none where it is for every model."""
        return () if "*" in self.models else self.models


class Customer(Section, frozen=True, kw_only=True):
    """Who pays."""

    id: Id
    name: Line | None = None
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()


class Team(Section, frozen=True, kw_only=True):
    """A part of a customer, in one environment."""

    id: Id
    customer: Id | None = None
    environment: Name | None = None
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    cache: CacheWish | None = None


class KeyProvider(Section, frozen=True, kw_only=True):
    """That a key may use a provider, and how much of it."""

    provider: Name
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()


class Template(Section, frozen=True, kw_only=True):
    """What each user, tag, session or model of a key gets."""

    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()


class Increase(Section, frozen=True, kw_only=True):
    """Money on top of each of a key's own budgets until an instant."""

    add_usd: Usd
    until: Instant


class CeilingPrices(Section, frozen=True, kw_only=True):
    """What an unpriced model is taken to cost."""

    input_usd_per_million: Price
    output_usd_per_million: Price


class Ceiling(Section, frozen=True, kw_only=True):
    """Unpriced models are held and charged at these prices."""

    ceiling: CeilingPrices


class Key(Section, frozen=True, kw_only=True):
    """A virtual key."""

    id: Id
    team: Id | None = None
    secret: Secret | None = None
    secret_sha256: Sha256 | None = None
    expires: Instant | None = None
    models: tuple[ModelPattern, ...] = ()
    providers: tuple[KeyProvider, ...] | None = None
    budgets: tuple[Budget, ...] = ()
    each: dict[str, Template] = field(default_factory=dict)
    increases: tuple[Increase, ...] = ()
    allowed_ips: tuple[Network, ...] = ()
    trusted_identity: bool = False
    limits: tuple[Limit, ...] = ()
    tags: dict[Name, TagValue] = field(default_factory=dict)
    unpriced: Literal["reject", "allow"] | Ceiling | None = None
    cache: CacheWish | None = None


class RuleScope(Section, frozen=True, kw_only=True):
    """Whose requests a rule sees; nothing set: everyone's."""

    customer: Id | None = None
    team: Id | None = None
    key: Id | None = None


class RuleTarget(Section, frozen=True, kw_only=True):
    """Where a rule sends a request."""

    provider: Name
    model: Line
    weight: Weight = 1


class Rule(Section, frozen=True, kw_only=True):
    """A routing rule: a condition in CEL and targets."""

    name: Line
    scope: RuleScope = RuleScope()
    priority: int = 0
    when: Line
    targets: tuple[RuleTarget, ...]
    goes_on: bool = field(default=False, name="continue")
