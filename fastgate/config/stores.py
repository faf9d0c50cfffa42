"""Whether what a configuration says of the store that hosts share can hold."""

from collections.abc import Iterator
from pathlib import Path as FilePath

from fastgate.config.certificates import ca_findings
from fastgate.config.problems import Finding
from fastgate.config.redis_urls import RedisGroup, parse_store_url
from fastgate.config.root import Config
from fastgate.config.settings import Redis


def store_findings(config: Config, folder: FilePath) -> Iterator[Finding]:
    """Of the store that hosts share, and of what wants one."""
    redis = config.redis
    if redis is None:
        if config.cache.exact.shared == "redis":
            hint = "add redis: {url: redis://127.0.0.1:6379/0}, or write shared: none"
            yield Finding(("redis",), "is missing, and cache.exact.shared says redis", hint)
        return
    try:
        store = parse_store_url(redis.url.reveal())
    except ValueError as error:
        yield Finding(("redis", "url"), str(error))
        return
    if redis.ca_file is not None and not store.tls:
        told = "is for rediss://, rediss+sentinel:// and rediss+cluster:// alone: nothing else has a certificate"
        yield Finding(("redis", "ca_file"), told)
    elif redis.ca_file is not None:
        yield from ca_findings(("redis", "ca_file"), folder / redis.ca_file)
    if isinstance(store, RedisGroup) and config.cache.exact.shared == "redis":
        told = "keeps answers in one server, and redis.url names several: Sentinel and Cluster are for leases alone"
        hint = "write shared: none, with which each host keeps its own answers, or the URL of one server"
        yield Finding(("cache", "exact", "shared"), told, hint)


def ca_file_of(redis: Redis, folder: FilePath) -> str | None:
    """Where the authorities are that it is trusted by. ``folder``: of the configuration's file."""
    return str((folder / redis.ca_file).resolve()) if redis.ca_file else None


def unused_store(config: Config) -> Iterator[str]:
    """Of a valid configuration: a store that nothing is kept in."""
    if config.redis is not None and not config.redis.leases and config.cache.exact.shared == "none":
        yield "redis: nothing uses it, as redis.leases is false and cache.exact.shared is none"
