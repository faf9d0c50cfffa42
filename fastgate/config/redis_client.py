"""A connection to the Redis of the configuration, for who may wait for it: never on a request's path."""

from typing import TYPE_CHECKING

from fastgate.config.stores import RedisAddress

if TYPE_CHECKING:
    from redis import Redis


def redis_client(address: RedisAddress, ca_file: str | None, seconds: float) -> "Redis":
    """One that tries once, and waits so long for each answer.

    It connects when it is used, which raises RedisError, or OSError.
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
    )
