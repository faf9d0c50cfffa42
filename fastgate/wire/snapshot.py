"""What the workers read of a configuration: the records of a compiled snapshot.

The file (written by :mod:`fastgate.wire.snapshot_file`, searched by :class:`fastgate._core.snapshot.Snapshot`) holds
one :class:`SnapshotHead`, the compiled price table, and records found by a digest: a :class:`KeyRecord` per virtual
key, under the SHA-256 of its secret, and an :class:`OwnerRecord` per team and customer, under :func:`owner_digest`. A
record says what was written of one thing and names others, so that a change of one thing changes one record; what a
request needs is put together by the worker. Records are MessagePack arrays: append fields at the end, never reorder
them, and raise the file's version when one changes its meaning.

Units: money in nano-USD, instants in nanoseconds since 1970 UTC, durations in milliseconds, sizes in bytes.
"""

import re
from collections.abc import Callable
from enum import IntEnum
from hashlib import sha256, sha512
from pathlib import Path
from typing import Final

import msgspec

from fastgate.wire.caching import CacheRecord, SemanticRecord, SharedRecord

NO_PRICE: Final = -1
"""The price index of a model that no source prices."""


class Window(IntEnum):
    """The kinds of :mod:`fastgate._core.windows`; persisted in budgets' records."""

    LIFETIME = 0
    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    WEEK = 5
    MONTH = 6
    YEAR = 7


class Counted(IntEnum):
    """What limits count, as :mod:`fastgate._core.levels` calls it; persisted in limits' records."""

    REQUESTS = 1
    INPUT_TOKENS = 2
    OUTPUT_TOKENS = 3
    TOKENS = 4
    CONCURRENT = 5


class Unpriced(IntEnum):
    """What a key wants done with a model that has no price."""

    REJECT = 0
    CEILING = 1  # held and charged at ``KeyRecord.ceiling``
    ALLOW = 2
    DEFAULT = 3  # REJECT where any hard budget applies, else ALLOW


class OnLimit(IntEnum):
    """What becomes of a request that a budget has no room for."""

    REJECT = 0
    CLAMP = 1  # its output's cap is lowered to what there is room for
    DOWNGRADE = 2  # it goes to the first of ``BudgetRecord.downgrade_to`` whose hold fits


class BudgetRecord(msgspec.Struct, array_like=True, frozen=True):
    """One budget that a request of a key is held against."""

    limit: int
    """nano-USD per window."""
    window: int
    """A :class:`Window`."""
    every: int
    """How many of that unit make one window; 1 for a plain one and for ``lifetime``."""
    level: str
    """``provider``, ``key``, ``team`` or ``customer``, narrowest first; or what a template is for: ``user``, say."""
    owner: str
    """``key:ide``, ``team:platform``, ``customer:acme``; ``provider:ide/anthropic`` (key ``ide`` there);
    ``user:ide/alice``, of the template ``user:ide/*`` of that key."""
    id: str
    """``owner/window/name``, what the arena and the API call it."""
    strict: bool = False
    """Whether holds must be absolute upper bounds (``bound: strict``)."""
    zone: str = ""
    """The time zone to whose calendar its windows are aligned; empty: they are counted from the first use."""
    soft: bool = False
    """Whether it only counts, and never refuses (``mode: soft``)."""
    rollover: bool = False
    """Whether what the window before left of ``limit`` is added to it."""
    alerts: tuple[int, ...] = ()
    """Percent of the limit, rising: each is told once per window when so much is spent."""
    increases: tuple[tuple[int, int], ...] = ()
    """``(until_ns, nano-USD)`` each: added to the limit until then."""
    on_limit: int = OnLimit.REJECT
    """An :class:`OnLimit`."""
    downgrade_to: tuple[tuple[str, str], ...] = ()
    """Providers' names and models of theirs, in order."""
    grace: int = 0
    """nano-USD of each window that a host may use beyond its slice while what hosts share cannot be asked for."""


class LimitRecord(msgspec.Struct, array_like=True, frozen=True):
    """One limit that a request of a key has to pass."""

    limit: int
    """Requests or tokens per window, or requests open at once."""
    counted: int
    """A :class:`Counted`."""
    window: int
    """A :class:`Window`; LIFETIME for what is open at once."""
    every: int
    """How many of that unit make one window."""
    level: str
    """As of a budget."""
    owner: str
    """As of a budget."""
    id: str
    """``owner/limit/counted[/window][/models]``, what the arena and the API call it."""
    models: tuple[str, ...] = ()
    """Patterns over the name as the client asks for it; empty: every model."""


class KeyRecord(msgspec.Struct, array_like=True, frozen=True):
    """What is said of a virtual key itself.

    ``models``: patterns (:func:`matches`) over the name as the client asks for it, be it a public one or
    ``provider/model``; empty: all. ``providers``: budgets of the key's provider configs by provider; None: every
    provider, without budgets of its own. A request to provider ``p`` is held against ``providers[p]``, ``budgets``, and
    those of the team and its customer; so it is with limits.
    """

    id: str
    team: str = ""
    expires_ns: int = 0
    """0: never."""
    models: tuple[str, ...] = ()
    providers: dict[str, tuple[BudgetRecord, ...]] | None = None
    budgets: tuple[BudgetRecord, ...] = ()
    tags: dict[str, str] = {}
    unpriced: int = Unpriced.DEFAULT
    """An :class:`Unpriced`."""
    ceiling: str = ""
    """The name in ``SnapshotHead.ceilings`` where ``unpriced`` is CEILING."""
    allowed_ips: tuple[str, ...] = ()
    """Networks from which the key may be used; empty: all."""
    limits: tuple[LimitRecord, ...] = ()
    provider_limits: dict[str, tuple[LimitRecord, ...]] = {}
    """Of the key's provider configs, by provider; those without limits are left out."""
    each: dict[str, tuple[BudgetRecord, ...]] = {}
    """Templates (:mod:`fastgate.budgets.templates`) by what they are for: ``user``, ``tag:project``; their budgets."""
    each_limits: dict[str, tuple[LimitRecord, ...]] = {}
    """Their limits; those without limits are left out."""
    cache: CacheRecord | None = None
    """What it wants of the exact cache."""
    born: int = 0
    """Microseconds since 1970 when the API created it; 0: it is the file's, or its record is older than this field."""


class OwnerRecord(msgspec.Struct, array_like=True, frozen=True):
    """A team or a customer."""

    budgets: tuple[BudgetRecord, ...] = ()
    customer: str = ""
    """Of a team."""
    environment: str = ""
    """Of a team."""
    limits: tuple[LimitRecord, ...] = ()
    cache: CacheRecord | None = None
    """Of a team: what its keys want, as far as they do not say."""
    born: int = 0
    """As of a key."""


def owner_digest(owner: str) -> bytes:
    """Where the record of ``team:platform`` or ``customer:acme`` is found; another hash than that of the secrets, so
    that nothing a client sends as its key can lead there."""
    return sha512(owner.encode()).digest()[:32]


def certificate_digest(cert: Path) -> str:
    """What tells a certificate file from its successor: its SHA-256. Raises ``OSError``."""
    return sha256(cert.read_bytes()).hexdigest()


def ceiling_name(input_usd: str, output_usd: str) -> str:
    """What the head calls a ceiling: its prices in USD per million tokens, as they were written."""
    return f"{input_usd}/{output_usd}"


def parts_of_ceiling(name: str) -> tuple[str, str]:
    """The inverse of :func:`ceiling_name`."""
    input_usd, _, output_usd = name.partition("/")
    return input_usd, output_usd


class ProviderKeyRecord(msgspec.Struct, array_like=True, frozen=True):
    """A credential of a provider."""

    name: str
    value: bytes
    """Sealed (:mod:`fastgate.wire.sealing`) for :func:`credential_owner`: the file may lie on a disk."""
    weight: int = 1
    """Share of requests among those whose ``models`` match; 0: never chosen."""
    models: tuple[str, ...] = ()
    """Patterns over the upstream model; empty: all."""


def credential_owner(provider: str, name: str) -> str:
    """For whom a provider's credential is sealed."""
    return f"snapshot/{provider}/{name}"


class TimeoutsRecord(msgspec.Struct, array_like=True, frozen=True):
    """Bounds on one attempt, in milliseconds."""

    connect: int
    first_byte: int
    idle: int
    total: int


class ProxyRecord(msgspec.Struct, array_like=True, frozen=True):
    """An HTTP proxy in front of a provider."""

    host: str
    """Without brackets."""
    port: int
    tls: bool
    """Whether the proxy itself is spoken to over TLS."""
    credentials: bytes
    """``user:password``, or nothing, sealed for :func:`proxy_owner`."""


def proxy_owner(provider: str) -> str:
    """For whom the credentials of a provider's proxy are sealed."""
    return f"snapshot/{provider}"


class PriceRule(msgspec.Struct, array_like=True, frozen=True):
    """Prices a family of model names: those that the catalogue matches by more than equality."""

    kind: str
    """``starts_with``, ``ends_with``, ``contains`` or ``regex`` (searched); compared with the lower-cased name."""
    text: str
    price: int


class ProviderRecord(msgspec.Struct, array_like=True, frozen=True):
    """One upstream service."""

    name: str
    type: str
    """``openai``, ``openai-compatible``, ``anthropic`` or ``sim``."""
    scheme: str
    """``http`` or ``https``."""
    host: str
    """As in a URL's authority, without brackets; lower case."""
    port: int
    bases: dict[str, str]
    """Dialects that it speaks (``openai-chat``, ``openai-embeddings``, ``anthropic``) to the path before the operation,
    without a slash at its end: ``{"openai-chat": "/v1"}`` serves ``/v1/chat/completions``, ``{"anthropic": "/a/v1"}``
    serves ``/a/v1/messages``."""
    keys: tuple[ProviderKeyRecord, ...]
    """Empty: requests are sent without a credential."""
    timeouts: TimeoutsRecord
    ca_file: str = ""
    """Empty: the system's authorities."""
    prices: dict[str, int] = {}
    """Model to price index, for every model that a source names (also what operators override)."""
    rules: tuple[PriceRule, ...] = ()
    """In order, for models that ``prices`` does not name."""
    geo: int = 0
    """A ``fastgate.wire.usage.Geo``: where the host keeps inference, when its address says so."""
    proxy: ProxyRecord | None = None
    """None: it is called directly."""

    def price_of(self, model: str) -> int:
        """The price index of an upstream model, or ``NO_PRICE``; rules are searched in turn, so keep the answer."""
        index = self.prices.get(model)
        if index is not None:
            return index
        folded = model.lower()  # as the catalogue does
        index = self.prices.get(folded)
        if index is not None:
            return index
        for rule in self.rules:
            if _RULES[rule.kind](folded, rule.text):
                return rule.price
        return NO_PRICE

    def __repr__(self) -> str:
        return f"ProviderRecord(name={self.name!r}, type={self.type!r}, host={self.host!r}, port={self.port})"


class TargetRecord(msgspec.Struct, array_like=True, frozen=True):
    """Where a public model name may go."""

    provider: int
    """Index into ``SnapshotHead.providers``."""
    model: str
    """The upstream's own name."""
    price: int
    """Price index, or ``NO_PRICE``."""
    weight: int = 1


class ModelRecord(msgspec.Struct, array_like=True, frozen=True):
    """A public model name. ``provider/model`` needs none: see ``SnapshotHead``."""

    name: str
    targets: tuple[TargetRecord, ...]
    cache: CacheRecord | None = None
    """What those who ask for it want, as far as neither they nor their team say."""


class PriceRecord(msgspec.Struct, array_like=True, frozen=True):
    """What bounds need to know of a priced model; same index as its rows in the price table."""

    provider: str
    """The catalogue's name for the service; ``ceiling`` for the ceilings of keys."""
    model: str
    context_window: int | None = None
    """Tokens; None: unknown."""
    max_output: int | None = None
    """Tokens; None: unknown."""
    source: str = ""
    reasons: bool | None = None
    """Whether it reasons without being asked to, out of sight; None: not known."""


class LeasesRecord(msgspec.Struct, array_like=True, frozen=True):
    """Budgets and limits are shared with other hosts."""

    wait_ms: int
    """How long a request waits for more of one, where this host's slice does not cover it."""


class SnapshotHead(msgspec.Struct, array_like=True, frozen=True):
    """What does not depend on the key.

    A model name is looked up in ``models`` first. One that is not there and reads ``name/rest`` with ``name`` a
    provider's is that provider's model ``rest``, priced by :meth:`ProviderRecord.price_of`.
    """

    generation: int
    compiled_at_ns: int
    max_body: int
    """Bytes of a request's body."""
    output_cap: int
    """Tokens; sent upstream where a hard budget needs a cap and the client gave none."""
    disconnect_ms: int
    """How long an upstream is read after its client left."""
    drain_ms: int
    providers: tuple[ProviderRecord, ...]
    models: dict[str, ModelRecord]
    prices: tuple[PriceRecord, ...]
    ceilings: dict[str, int] = {}
    """Price indices of keys' ceilings, by :func:`ceiling_name`."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies that say whom they speak for."""
    cors_origins: tuple[str, ...] = ()
    """Whose pages may call; ``*``: all. Workers look at it when they start."""
    certificate: str = ""
    """:func:`certificate_digest` of the file that the data plane shall show; empty: no TLS."""
    cache: CacheRecord = CacheRecord()
    """What holds for the exact cache where nobody says otherwise."""
    cache_mb: int = 0
    """MiB for all answers together; 0: nobody wants any kept."""
    shared: SharedRecord | None = None
    """Where other hosts keep theirs; None: each host has its own."""
    semantic: SemanticRecord | None = None
    """None: meanings cannot be found."""
    leases: LeasesRecord | None = None
    """None: this host has every limit to itself."""
    drain_delay_ms: int = 0
    """When the host ends: connections that have been idle for less may yet bear a request."""


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Whether ``name`` is one of ``patterns``, where ``*`` stands for any text; case counts. None: every name."""
    return not patterns or any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    """In time linear in the name: names come from clients, so nothing here may backtrack."""
    head, star, rest = pattern.partition("*")
    if not star:
        return pattern == name
    *middle, tail = rest.split("*")
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    at, end = len(head), len(name) - len(tail)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _searches(text: str, pattern: str) -> bool:
    return re.search(pattern, text) is not None


_RULES: Final[dict[str, Callable[[str, str], bool]]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
    "regex": _searches,
}
