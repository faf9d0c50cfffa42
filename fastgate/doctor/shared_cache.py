"""The Redis that hosts share: whether it lets fastgate in, and how soon it answers. Nothing is asked for but that."""

import time
from collections.abc import Iterator
from typing import Final

from fastgate.config.redis_client import redis_client
from fastgate.config.settings import Redis
from fastgate.config.stores import RedisAddress, parse_redis_url
from fastgate.doctor.findings import Finding, failed, ok, unreachable, warning
from fastgate.doctor.installation import Installation
from fastgate.wire.failure import shown

PROBE_SECONDS: Final = 3.0


def redis(installation: Installation) -> Iterator[Finding]:
    """Of a configuration in which something is shared."""
    store, exact = installation.config.redis, installation.config.cache.exact
    if store is None or exact.shared == "none":
        return
    address = parse_redis_url(store.url.reveal())
    yield _reach(address, store, exact.shared_deadline_ms)


def _reach(address: RedisAddress, store: Redis, deadline_ms: int) -> Finding:
    from redis.exceptions import AuthenticationError, RedisError, ResponseError

    try:
        took_ms = _seconds(address, store.ca_file) * 1000
    except (AuthenticationError, ResponseError) as error:
        return failed("redis", f"{address.where} refuses: {shown(str(error))}", "check user, password and database")
    except (RedisError, OSError) as error:
        remedy = "check redis.url and firewalls; without it each host has its own answers"
        return unreachable("redis", f"{address.where}: {shown(str(error))}", remedy)
    if took_ms > deadline_ms:
        told = f"{address.where} takes {took_ms:.1f} ms to answer, and requests give it {deadline_ms}"
        return warning("redis", told, "raise cache.exact.shared_deadline_ms, or use a Redis that is nearer")
    return ok("redis", f"{address.where} answers within {took_ms:.1f} ms")


def _seconds(address: RedisAddress, ca_file: str | None) -> float:
    """That an answer takes on a connection that is there. Raises RedisError, OSError."""
    with redis_client(address, ca_file, PROBE_SECONDS) as client:
        client.ping()
        began = time.perf_counter()
        client.ping()
        return time.perf_counter() - began
