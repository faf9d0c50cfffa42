"""A connection to the Redis of the configuration, for who may wait for it: never on a request's path."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastgate.config.redis_urls import RedisAddress

if TYPE_CHECKING:
    from redis import Redis


def redis_client(address: RedisAddress, ca_file: str | None, seconds: float, *, single: bool = False) -> "Redis":
    """One that tries once, and waits so long for each answer.

    It connects when it is used, which raises RedisError, or OSError. ``single``: it connects here, and raises these
    here; it is for one thread, who hears of the connection's end by an error: it never begins anew without one.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(
        host=address.host,
        port=address.port,
        unix_socket_path=address.path or None,
        db=address.database,
        username=address.user or None,
        password=address.password or None,
        ssl=address.tls,
        ssl_ca_certs=ca_file,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        single_connection_client=single,
    )


def evicting(said: Mapping[str, Any]) -> str:
    """Why a server that says so of itself (``INFO``) may lose what is leased from it; empty: it does not."""
    policy = said.get("maxmemory_policy", "noeviction")
    if not said.get("maxmemory") or not policy.startswith("allkeys"):
        return ""
    return f"it may evict what hosts have leased, as its maxmemory-policy is {policy}"
