"""The settings of the caches as workers read them, and whether anybody wants one."""

from collections.abc import Callable
from pathlib import Path

from fastgate.config.owners import Key, Team
from fastgate.config.redis_urls import parse_redis_url
from fastgate.config.root import Config
from fastgate.config.settings import CacheWish, ExactCache, SemanticCache
from fastgate.config.stores import ca_file_of
from fastgate.config.upstreams import PublicModel
from fastgate.wire.caching import SHARED_OWNER, CacheRecord, SemanticRecord, SharedRecord

_SECOND_MS = 1000


def cache_record(wish: CacheWish | None) -> CacheRecord | None:
    """What one key, team or public model wants; None: it says nothing."""
    return None if wish is None else _record(wish, wish.exact, wish.semantic)


def cache_of_file(exact: ExactCache) -> CacheRecord:
    """What holds where nobody says otherwise."""
    return _record(exact, exact.enabled)


def semantic_record(semantic: SemanticCache) -> SemanticRecord | None:
    """What holds where nobody says otherwise; None: there is no embedder, and so no process to ask."""
    if semantic.embedder is None:
        return None
    return SemanticRecord(semantic.enabled, semantic.scope, semantic.deadline_ms)


def wants_meaning(thing: Key | Team | PublicModel) -> bool:
    """Whether it asks for the semantic cache, by itself."""
    return thing.cache is not None and thing.cache.semantic is True


def wants_cache(thing: Key | Team | PublicModel) -> bool:
    """Whether it asks for its answers to be kept, by itself."""
    return thing.cache is not None and thing.cache.exact is True


def is_cached(config: Config) -> bool:
    """Whether anybody in it does."""
    things = (config.keys, config.teams, config.models.values())
    return config.cache.exact.enabled or any(wants_cache(thing) for some in things for thing in some)


def shared_record(config: Config, folder: Path, seal: Callable[[str, str], bytes]) -> SharedRecord | None:
    """Where other hosts keep their answers; None: nobody asks there. ``folder``, ``seal`` as of a snapshot."""
    redis, exact = config.redis, config.cache.exact
    if redis is None or exact.shared == "none":
        return None
    address = parse_redis_url(redis.url.reveal())
    return SharedRecord(
        cluster=redis.cluster_id,
        deadline_ms=exact.shared_deadline_ms,
        host=address.host,
        port=address.port,
        path=address.path,
        database=address.database,
        tls=address.tls,
        ca_file=ca_file_of(redis, folder) or "",
        credentials=seal(address.credentials, SHARED_OWNER),
    )


def _record(said: CacheWish | ExactCache, enabled: bool | None, semantic: bool | None = None) -> CacheRecord:
    return CacheRecord(
        enabled=enabled,
        ttl_ms=None if said.ttl_seconds is None else said.ttl_seconds * _SECOND_MS,
        scope=said.scope,
        max_temperature=said.max_temperature,
        tools=said.tools,
        client_control=said.client_control,
        replay_ms=said.replay_ms,
        single_flight=said.single_flight,
        semantic=semantic,
    )
