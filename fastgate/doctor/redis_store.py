"""The Redis that hosts share: whether it lets fastgate in, how soon it answers, and whether it keeps leases."""

import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from fastgate.config.redis_client import evicting
from fastgate.config.redis_finder import Finder
from fastgate.config.redis_urls import RedisGroup, parse_store_url
from fastgate.config.root import Config
from fastgate.config.settings import Redis
from fastgate.config.stores import ca_file_of
from fastgate.doctor.findings import Finding, failed, ok, unreachable, warning
from fastgate.doctor.installation import Installation
from fastgate.wire.failure import shown
from fastgate.wire.leasing import prefix_of

PROBE_SECONDS: Final = 3.0
CLOCKS_SECONDS: Final = 2.0
"""By which clocks may differ before it is worth a word."""


class _Found(NamedTuple):
    """What it says of itself. ``seconds``: that an answer takes on a connection that is there."""

    seconds: float
    evicting: str
    fenced: bool
    """Whether it takes no writes once its replicas are gone."""
    ahead: float
    """Seconds by which this host's clock is ahead of its."""


def redis(installation: Installation) -> Iterator[Finding]:
    """Of a configuration in which something is shared."""
    config = installation.config
    store = config.redis
    if store is None or not (store.leases or config.cache.exact.shared == "redis"):
        return
    where, ca_file = parse_store_url(store.url.reveal()), ca_file_of(store, installation.config_dir)
    finder = Finder(where, ca_file, store.cluster_id, PROBE_SECONDS)
    found = yield from _reach(finder, store)
    if found is not None:
        yield _judged(finder, found, store, config)
        for member, why in finder.silent.items():
            yield warning("redis", f"{member}: {shown(why)}", "check it: others alone say now which server it is")


def _reach(finder: Finder, store: Redis) -> Generator[Finding, None, _Found | None]:
    from redis.exceptions import AuthenticationError, RedisError, ResponseError

    try:
        return _ask(finder, store)
    except (AuthenticationError, ResponseError) as error:
        remedy = "check user, password and database"
        if isinstance(finder.store, RedisGroup):
            remedy = "check users and passwords, and what redis.url names"
        yield failed("redis", f"{finder.where} refuses: {shown(str(error))}", remedy)
    except (RedisError, OSError) as error:
        remedy = "check redis.url and firewalls; without it each host has its own answers, and what it has leased"
        if "certificate" in str(error):
            remedy = "check its certificate, redis.ca_file, and that redis.url has the name which the certificate is of"
        yield unreachable("redis", f"{finder.where}: {shown(str(error))}", remedy)
    return None


def _judged(finder: Finder, found: _Found, store: Redis, config: Config) -> Finding:
    if found.evicting:
        remedy = "set its maxmemory-policy to volatile-lru or noeviction"
        return failed("redis", f"{finder.where}: {found.evicting}", remedy)
    took_ms, (setting, deadline_ms) = found.seconds * 1000, _deadline(store, config)
    if took_ms > deadline_ms:
        told = f"{finder.where} takes {took_ms:.1f} ms to answer, and requests give it {deadline_ms}"
        return warning("redis", told, f"raise {setting}, or use a Redis that is nearer")
    if abs(found.ahead) > CLOCKS_SECONDS:
        told = f"{finder.where} has another time: this host is {found.ahead:+,.1f} s ahead of it"
        return warning("redis", told, "set the clocks: each host's own says to which window a request belongs")
    if isinstance(finder.store, RedisGroup) and finder.store.service and not found.fenced:
        told = f"{finder.where} would go on where it is cut off from its replicas and the sentinels"
        return warning("redis", told, "set its min-replicas-to-write to 1, see docs/scaling.md")
    return ok("redis", f"{finder.where} answers within {took_ms:.1f} ms")


def _deadline(store: Redis, config: Config) -> tuple[str, int]:
    """The shortest that a request gives it, in milliseconds, and the setting that says so."""
    told = {"redis.lease_wait_ms": store.lease_wait_ms} if store.leases else {}
    if config.cache.exact.shared == "redis":
        told["cache.exact.shared_deadline_ms"] = config.cache.exact.shared_deadline_ms
    return min(told.items(), key=lambda item: item[1])


def _may_lease(client: Any, cluster: str) -> None:
    """Raises ResponseError where its user may not do what leases take, as far as that can be seen without a change."""
    from redis.exceptions import NoScriptError

    key = f"{prefix_of(cluster)}meta"
    client.execute_command("HGET", key, "epoch")
    client.execute_command("ZCARD", f"{prefix_of(cluster)}live")
    client.execute_command("SDIFF", f"{prefix_of(cluster)}known")
    with suppress(NoScriptError):
        client.evalsha("0" * 40, 1, key)


def _ahead(client: Any) -> float:
    began = time.time()
    seconds, micros = client.time()
    return (began + time.time()) / 2 - float(seconds + micros / 1e6)


def _ask(finder: Finder, store: Redis) -> _Found:
    """Raises RedisError, OSError."""
    with finder.client() as client:
        if store.leases:
            _may_lease(client, store.cluster_id)
        client.ping()
        began = time.perf_counter()
        client.ping()
        seconds = time.perf_counter() - began
        said = client.info() if store.leases else {}
        ahead = _ahead(client) if store.leases else 0.0
        return _Found(seconds, evicting(said), "min_slaves_good_slaves" in said, ahead)
