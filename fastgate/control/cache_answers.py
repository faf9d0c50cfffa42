"""How the admin API shows what the exact cache holds and did: never what was asked, nor what was answered."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from fastgate._core.slab import Listed
from fastgate.cache.about import unpacked as about_of
from fastgate.cache.question import WHOLE
from fastgate.cache.question import unpacked as usage_of
from fastgate.ledger.spend import moment
from fastgate.wire.money import usd

EXACT: Final = "exact"
ENTRY_ID: Final = re.compile("[0-9a-f]{32}-[0-9]{1,19}")


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


class KeySums(CacheSums):
    """Of one key."""

    key: str


class CacheStatistics(msgspec.Struct):
    """``stores``: none where nobody wants a cache. ``keys``: those first that saved most; ``truncated``: not all."""

    stores: list[CacheStore]
    total: CacheSums
    keys: list[KeySums]
    truncated: bool


def entry(listed: Listed) -> CacheEntry:
    """An entry of the exact cache."""
    about, (cost, _) = about_of(listed.about), usage_of(listed.usage)
    return CacheEntry(
        id=listed.id,
        tier=EXACT,
        key=about.key,
        team=about.team,
        model=about.model,
        upstream_model=about.upstream_model,
        provider=about.provider,
        dialect=about.dialect,
        tags=dict(about.tags),
        kind="whole" if listed.kind == WHOLE else "stream",
        bytes=listed.size,
        created_at=_moment(listed.created_ms),
        expires_at=_moment(listed.expires_ms),
        last_used_at=_moment(listed.used_ms) if listed.hits else None,
        hits=listed.hits,
        cost_usd=usd(cost),
        saved_usd=usd(cost * listed.hits),
    )


def store(counts: Mapping[str, int]) -> CacheStore:
    """The exact cache's store, as `CacheBook.counts` tells it."""
    return CacheStore(tier=EXACT, **counts)


def _moment(ms: int) -> str:
    return moment(ms * 1000)
