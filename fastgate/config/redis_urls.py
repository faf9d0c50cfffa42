"""Where the store is that several hosts share. Messages never quote its URL, which may hold a password."""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from fastgate.wire.caching import place_of

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MOST_MEMBERS: Final = 16
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,252})|[0-9a-f:.]{2,45}")
_GROUP: Final = re.compile(
    r"(rediss?)\+(sentinel|cluster)://(?:([^@/?#]*)@)?([^@/?#]*)(?:/([^?#]*))?(?:\?([^#]*))?", re.IGNORECASE
)
_SERVICE: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SENTINELS_LOGIN: Final = {"sentinel_username", "sentinel_password"}
_DATABASE: Final = re.compile(r"[0-9]{1,5}")
_BEGINNINGS: Final = "redis://, rediss:// or unix://, or for several servers with redis+sentinel:// or redis+cluster://"
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


class RedisGroup(NamedTuple):
    """Servers of which one has what hosts share, and ``members``, with host and port, who know which one that is."""

    service: str
    """What sentinels call it; empty: it is a Redis Cluster."""
    members: tuple[tuple[str, int], ...]
    """Sentinels, or some nodes of the cluster."""
    tls: bool
    database: int
    user: str
    password: str
    sentinel_user: str
    sentinel_password: str

    @property
    def where(self) -> str:
        """What messages call it."""
        known = ", ".join(place_of(host, port, "") for host, port in self.members)
        return f"{self.service} of the sentinels {known}" if self.service else f"the cluster of {known}"

    def member(self, host: str, port: int) -> RedisAddress:
        """A member, as one asks it which server it is."""
        login = (self.sentinel_user, self.sentinel_password) if self.service else (self.user, self.password)
        return RedisAddress(host, port, "", self.tls, 0, *login)

    def server(self, host: str, port: int) -> RedisAddress:
        """The server itself."""
        return RedisAddress(host, port, "", self.tls, self.database, self.user, self.password)

    def __repr__(self) -> str:
        return f"RedisGroup({self.where})"


RedisStore = RedisAddress | RedisGroup


def parse_store_url(text: str) -> RedisStore:
    """What :func:`parse_redis_url` takes, or several servers:

    ``redis+sentinel://user:password@sentinel:port,sentinel:port/service/database?sentinel_password=...`` or
    ``redis+cluster://user:password@node:port,node:port``; with ``rediss+`` for TLS. Raises ``ValueError`` likewise.
    """
    if "+" not in text.partition("://")[0]:
        return parse_redis_url(text)
    _visible(text)
    found = _GROUP.fullmatch(text)
    if found is None:
        raise ValueError(f"has to begin with {_BEGINNINGS}, and go on with servers: redis+sentinel://host,host/service")
    scheme, kind, login, servers, path, query = found.groups()
    tls, (user, password) = scheme.lower() == "rediss", _login(*_halves(login or ""))
    if kind.lower() == "cluster":
        if path or query is not None:
            raise ValueError("must not have anything behind the nodes: a cluster has one database")
        return RedisGroup("", _members(servers, PORT), tls, 0, user, password, "", "")
    service, _, database = (path or "").partition("/")
    if not _SERVICE.fullmatch(service):
        raise ValueError("has to name the service behind the sentinels: redis+sentinel://host,host/service")
    number = _numbered(database)
    return RedisGroup(service, _members(servers, SENTINEL_PORT), tls, number, user, password, *_sentinels(query))


def _visible(text: str) -> None:
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("may hold visible ASCII characters only: write others as %XX")


def _halves(login: str) -> tuple[str, str]:
    user, _, password = login.partition(":")
    return user, password


def _login(user: str, password: str) -> tuple[str, str]:
    """Both as they are, not as a URL has them."""
    user, password = unquote(user), unquote(password)
    if ":" in user:
        raise ValueError("must not have a colon in the user")
    if user and not password:
        raise ValueError("names a user without a password")
    return user, password


def _members(text: str, port: int) -> tuple[tuple[str, int], ...]:
    members = tuple(_member(each, port) for each in text.split(","))
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"names more than {MOST_MEMBERS} servers")
    if len(set(members)) < len(members):
        raise ValueError("names a server twice")
    return members


def _member(text: str, usual: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError("has no valid hosts and ports: write host:port,host:port")
    return host, port or usual


def _sentinels(query: str | None) -> tuple[str, str]:
    """User and password of the sentinels."""
    said = [each.partition("=")[::2] for each in query.split("&")] if query is not None else []
    names = [name for name, _ in said]
    if not _SENTINELS_LOGIN.issuperset(names) or len(set(names)) < len(names):
        raise ValueError("may have sentinel_username and sentinel_password behind its question mark, and nothing else")
    login = dict(said)
    return _login(login.get("sentinel_username", ""), login.get("sentinel_password", ""))


def parse_redis_url(text: str) -> RedisAddress:
    """``redis://user:password@host:port/database`` in its parts, or ``rediss://`` with TLS, or
    ``unix://user:password@/path?db=database``; raises ``ValueError`` with what is wrong with it."""
    _visible(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("has no valid host and port") from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"has to begin with {_BEGINNINGS}")
    if "#" in text:
        raise ValueError("must not have a fragment")
    user, password = _login(parts.username or "", parts.password or "")
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
