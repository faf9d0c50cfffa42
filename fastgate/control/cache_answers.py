"""How the admin API shows what the caches hold and did.

What was asked and answered is shown of the semantic cache alone, and only where that is configured and asked for.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from fastgate._core.slab import Listed
from fastgate.cache.about import unpacked as about_of
from fastgate.cache.question import WHOLE
from fastgate.cache.question import unpacked as usage_of
from fastgate.ledger.spend import moment
from fastgate.wire.money import usd
from fastgate.wire.semantic_entries import Entry, entry_id

EXACT: Final = "exact"
SEMANTIC: Final = "semantic"
ENTRY_ID: Final = re.compile("([0-9a-f]{32}-[0-9]{1,19}|[0-7][0-9a-f]{15})")
"""Of the exact cache, and of the semantic one."""


class Comparison(msgspec.Struct):
    """How near (a cosine) a question came to an entry's, and whether the provider's answer said the same."""

    similarity: float
    same: bool


class SemanticDetail(msgspec.Struct):
    """What only an entry of the semantic cache has. ``tenant``: who shares it, as in `GET cache/semantic`.

    ``compared``: with so many of the provider's answers, of which ``same`` said the same; ``comparisons``: these, the
    latest last, of one entry alone. ``question`` and ``answer``: where texts were asked for, and may be shown.
    """

    tenant: str
    compared: int
    same: int
    comparisons: list[Comparison] | None = None
    question: str | None = None
    answer: str | None = None


class CacheEntry(msgspec.Struct):
    """An answer that is kept, and the request that paid for it. ``kind``: ``whole`` or ``stream``, as it came.

    ``cost_usd``: what each hit saves; ``saved_usd``: that times ``hits``. ``model``: as it was asked for; ``bytes``: of
    the answer together with what was asked; ``last_used_at``: null where nobody asked again.
    """

    id: str
    tier: str
    key: str
    team: str
    model: str
    upstream_model: str
    provider: str
    dialect: str
    tags: dict[str, str]
    kind: str
    bytes: int
    created_at: str
    expires_at: str
    last_used_at: str | None
    hits: int
    cost_usd: str
    saved_usd: str
    semantic: SemanticDetail | None = None


class CacheEntryList(msgspec.Struct):
    """A page, which may have few entries, or none; ``next`` is the ``cursor`` of the following one."""

    items: list[CacheEntry]
    next: str | None


class CacheDeletion(msgspec.Struct):
    """How many entries there were on this host, and in the Redis that hosts share, where they share one."""

    deleted: int
    shared: int | msgspec.UnsetType = msgspec.UNSET


class CacheStore(msgspec.Struct):
    """What a tier holds. ``bytes``: in use of ``capacity_bytes``, with those of what is not given any more.

    Since the store was made ``stored`` answers came, ``evicted`` ones gave way or expired, and ``refused`` ones found
    no room; what was deleted, or replaced by a newer answer, is in none of these.
    """

    tier: str
    entries: int
    bytes: int
    capacity_bytes: int
    stored: int
    evicted: int
    refused: int


class CacheSums(msgspec.Struct):
    """Of requests that had to do with a cache: it answered them, could not, or was not to be asked.

    ``hit_rate``: hits of both tiers among hits and misses, from 0 to 1; null where there are neither.
    """

    requests: int
    exact_hits: int
    semantic_hits: int
    misses: int
    bypasses: int
    hit_rate: float | None
    saved_usd: str


class MeaningSums(msgspec.Struct):
    """Of requests of which the semantic cache was asked, after the exact one had nothing.

    ``explored``: the provider was asked, and its answer compared with an entry's; ``audited``: likewise, where it would
    have been a hit but for chance, which measures errors; ``shadow_hits``: where it would have been one but for shadow
    mode. ``unanswered``: nothing was decided in time. ``hit_rate``: null where there are none.
    """

    requests: int
    hits: int
    misses: int
    explored: int
    audited: int
    shadow_hits: int
    unanswered: int
    hit_rate: float | None
    saved_usd: str


class TierSums(CacheSums):
    """With those of the semantic cache by themselves."""

    semantic: MeaningSums


class KeySums(TierSums):
    """Of one key."""

    key: str


class CacheStatistics(msgspec.Struct):
    """``stores``: none where nobody wants a cache. ``keys``: those first that saved most; ``truncated``: not all."""

    stores: list[CacheStore]
    total: TierSums
    keys: list[KeySums]
    truncated: bool


def entry(listed: Listed) -> CacheEntry:
    """An entry of the exact cache."""
    cost, _ = usage_of(listed.usage)
    return _entry(listed, listed.id, EXACT, cost)


def semantic_entry(found: Entry, comparisons: Iterable[tuple[float, bool]] | None = None) -> CacheEntry:
    """One of the semantic cache, without its texts; ``comparisons``: the latest last."""
    shown = _entry(found, entry_id(found.id), SEMANTIC, found.cost_nano)
    listed = None if comparisons is None else [Comparison(round(near, 4), same) for near, same in comparisons]
    shown.semantic = SemanticDetail(found.tenant.hex(), found.compared, found.same, listed)
    return shown


def _entry(found: Listed | Entry, id_: str, tier: str, cost: int) -> CacheEntry:
    """What entries of both caches have."""
    about = about_of(found.about)
    return CacheEntry(
        id=id_,
        tier=tier,
        key=about.key,
        team=about.team,
        model=about.model,
        upstream_model=about.upstream_model,
        provider=about.provider,
        dialect=about.dialect,
        tags=dict(about.tags),
        kind="whole" if found.kind == WHOLE else "stream",
        bytes=found.size,
        created_at=_moment(found.created_ms),
        expires_at=_moment(found.expires_ms),
        last_used_at=_moment(found.used_ms) if found.hits else None,
        hits=found.hits,
        cost_usd=usd(cost),
        saved_usd=usd(cost * found.hits),
    )


def store(counts: Mapping[str, int]) -> CacheStore:
    """The exact cache's store, as `CacheBook.counts` tells it."""
    return CacheStore(tier=EXACT, **counts)


def _moment(ms: int) -> str:
    return moment(ms * 1000)
