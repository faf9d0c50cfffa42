"""Where the store is that several hosts share. Messages never quote its URL, which may hold a password."""

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from fastgate.config.certificates import ca_findings
from fastgate.config.problems import Finding
from fastgate.config.root import Config
from fastgate.wire.caching import place_of

PORT: Final = 6379
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,252})|[0-9a-f:.]{2,45}")
_DATABASE: Final = re.compile(r"[0-9]{1,5}")
_LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's path, by the kernel."""


class RedisAddress(NamedTuple):
    """Where Redis is, and what it wants to know. ``host`` has no brackets; without one ``path`` is a Unix socket's."""

    host: str
    port: int
    path: str
    tls: bool
    database: int
    user: str
    password: str

    @property
    def credentials(self) -> str:
        """``user:password``; empty: it wants none."""
        return f"{self.user}:{self.password}" if self.password else ""

    @property
    def where(self) -> str:
        """What messages call it."""
        return place_of(self.host, self.port, self.path)

    def __repr__(self) -> str:
        return f"RedisAddress({self.where})"


def parse_redis_url(text: str) -> RedisAddress:
    """``redis://user:password@host:port/database`` in its parts, or ``rediss://`` with TLS, or
    ``unix://user:password@/path?db=database``; raises ``ValueError`` with what is wrong with it."""
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("may hold visible ASCII characters only: write others as %XX")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("has no valid host and port") from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("has to begin with redis://, rediss:// or unix://")
    if "#" in text:
        raise ValueError("must not have a fragment")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if ":" in user:
        raise ValueError("must not have a colon in the user")
    if user and not password:
        raise ValueError("names a user without a password")
    host = parts.hostname or ""
    if parts.scheme == "unix":
        if host or port is not None:
            raise ValueError("has to go on with the path of a socket: unix:///run/redis/redis.sock")
        return RedisAddress("", 0, _socket(parts.path), False, _queried(parts.query), user, password)
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError("has no valid host and port")
    if "?" in text:
        raise ValueError("must not have a query: what it would say is not supported")
    database = _numbered(parts.path.removeprefix("/"))
    return RedisAddress(host, port or PORT, "", parts.scheme == "rediss", database, user, password)


def _socket(path: str) -> str:
    path = unquote(path)
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError("has to go on with the path of a socket: unix:///run/redis/redis.sock")
    if len(path.encode()) > _LONGEST_PATH:
        raise ValueError(f"has a path of more than {_LONGEST_PATH} bytes, which no socket can have")
    return path


def _queried(query: str) -> int:
    name, _, value = query.partition("=")
    if query and (name != "db" or not value):
        raise ValueError("may have db=NUMBER behind its question mark, and nothing else")
    return _numbered(value)


def _numbered(text: str) -> int:
    if text and not _DATABASE.fullmatch(text):
        raise ValueError("has to end with the number of a database, or with nothing")
    return int(text or 0)


def store_findings(config: Config, folder: FilePath) -> Iterator[Finding]:
    """Of the store that hosts share, and of what wants one."""
    redis = config.redis
    if redis is None:
        if config.cache.exact.shared == "redis":
            hint = "add redis: {url: redis://127.0.0.1:6379/0}, or write shared: none"
            yield Finding(("redis",), "is missing, and cache.exact.shared says redis", hint)
        return
    try:
        address = parse_redis_url(redis.url.reveal())
    except ValueError as error:
        yield Finding(("redis", "url"), str(error))
        return
    if redis.ca_file is not None and not address.tls:
        yield Finding(("redis", "ca_file"), "is for rediss:// alone: nothing else has a certificate")
    elif redis.ca_file is not None:
        yield from ca_findings(("redis", "ca_file"), folder / redis.ca_file)


def unused_store(config: Config) -> Iterator[str]:
    """Of a valid configuration: a store that nothing is kept in."""
    if config.redis is not None and not config.redis.leases and config.cache.exact.shared == "none":
        yield "redis: nothing uses it, as redis.leases is false and cache.exact.shared is none"
