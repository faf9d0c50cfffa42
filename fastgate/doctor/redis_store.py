"""The Redis that hosts share: whether it lets fastgate in, how soon it answers, and whether it keeps leases."""

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from fastgate.config.redis_client import evicting, redis_client
from fastgate.config.root import Config
from fastgate.config.settings import Redis
from fastgate.config.stores import RedisAddress, parse_redis_url
from fastgate.doctor.findings import Finding, failed, ok, unreachable, warning
from fastgate.doctor.installation import Installation
from fastgate.wire.failure import shown

PROBE_SECONDS: Final = 3.0


class _Found(NamedTuple):
    """What it says of itself. ``seconds``: that an answer takes on a connection that is there."""

    seconds: float
    evicting: str


def redis(installation: Installation) -> Iterator[Finding]:
    """Of a configuration in which something is shared."""
    config = installation.config
    store = config.redis
    if store is None or not (store.leases or config.cache.exact.shared == "redis"):
        return
    yield _reach(parse_redis_url(store.url.reveal()), store, config)


def _reach(address: RedisAddress, store: Redis, config: Config) -> Finding:
    from redis.exceptions import AuthenticationError, RedisError, ResponseError

    try:
        found = _ask(address, store)
    except (AuthenticationError, ResponseError) as error:
        return failed("redis", f"{address.where} refuses: {shown(str(error))}", "check user, password and database")
    except (RedisError, OSError) as error:
        remedy = "check redis.url and firewalls; without it each host has its own answers, and what it has leased"
        return unreachable("redis", f"{address.where}: {shown(str(error))}", remedy)
    if found.evicting:
        remedy = "set its maxmemory-policy to volatile-lru or noeviction"
        return failed("redis", f"{address.where}: {found.evicting}", remedy)
    took_ms, (setting, deadline_ms) = found.seconds * 1000, _deadline(store, config)
    if took_ms > deadline_ms:
        told = f"{address.where} takes {took_ms:.1f} ms to answer, and requests give it {deadline_ms}"
        return warning("redis", told, f"raise {setting}, or use a Redis that is nearer")
    return ok("redis", f"{address.where} answers within {took_ms:.1f} ms")


def _deadline(store: Redis, config: Config) -> tuple[str, int]:
    """The shortest that a request gives it, in milliseconds, and the setting that says so."""
    told = {"redis.lease_wait_ms": store.lease_wait_ms} if store.leases else {}
    if config.cache.exact.shared == "redis":
        told["cache.exact.shared_deadline_ms"] = config.cache.exact.shared_deadline_ms
    return min(told.items(), key=lambda item: item[1])


def _ask(address: RedisAddress, store: Redis) -> _Found:
    """Raises RedisError, OSError."""
    with redis_client(address, store.ca_file, PROBE_SECONDS) as client:
        client.ping()
        began = time.perf_counter()
        client.ping()
        seconds = time.perf_counter() - began
        return _Found(seconds, evicting(client.info()) if store.leases else "")
