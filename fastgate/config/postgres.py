"""Where the PostgreSQL is that several hosts share. Messages never quote its URL, which may hold a password."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from fastgate.config.certificates import ca_findings
from fastgate.config.problems import Finding
from fastgate.config.root import Config
from fastgate.wire.caching import place_of

PORT: Final = 5432
EXTRA: Final = "psycopg"
"""The package of the extra ``postgres``."""
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,252})|[0-9a-f:.]{2,45}")
_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")
_VERIFYING: Final = _MODES[3:]
_SHAPE: Final = "postgresql://user:password@host:5432/database"


class PostgresAddress(NamedTuple):
    """Where PostgreSQL is, and what it wants to know. ``host``: without brackets; with a slash, a socket's folder."""

    host: str
    port: int
    database: str
    user: str
    password: str
    sslmode: str
    """As libpq calls it; empty: what goes without saying."""

    @property
    def where(self) -> str:
        """What messages call it."""
        by_socket = self.host.startswith("/")
        return f"{place_of('' if by_socket else self.host, self.port, self.host)}/{self.database}"

    def __repr__(self) -> str:
        return f"PostgresAddress({self.where})"


def parse_postgres_url(text: str) -> PostgresAddress:
    """``postgresql://user:password@host:port/database`` in its parts, with ``?sslmode=`` or ``?host=`` and the folder
    of a socket; raises ``ValueError`` with what is wrong with it."""
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("may hold visible ASCII characters only: write others as %XX")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("has no valid host and port: only one server can be named") from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError(f"has to begin with postgresql://, as in {_SHAPE}")
    if "#" in text:
        raise ValueError("must not have a fragment")
    said = _queried(parts.query)
    host = said.get("host") or parts.hostname or ""
    if "host" in said and (parts.hostname or not host.startswith("/")):
        raise ValueError(
            "may say ?host= for the folder of a socket alone: postgresql://user@/database?host=/run/postgresql"
        )
    if "host" not in said and (not _HOST.fullmatch(host) or port == 0):
        raise ValueError("has no valid host and port: only one server can be named")
    user, database = unquote(parts.username or ""), unquote(parts.path.removeprefix("/"))
    if not user or not database or "/" in database:
        raise ValueError(f"has to name a user and a database, as in {_SHAPE}")
    return PostgresAddress(host, port or PORT, database, user, unquote(parts.password or ""), said.get("sslmode", ""))


def _queried(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    said = dict(pairs)
    if len(said) != len(pairs) or not said.keys() <= {"host", "sslmode"}:
        raise ValueError("may have sslmode and host behind its question mark, each once, and nothing else")
    if said.get("sslmode", _MODES[0]) not in _MODES:
        raise ValueError(f"has an unknown sslmode: it may be {', '.join(_MODES)}")
    return said


def postgres_findings(config: Config, folder: FilePath) -> Iterator[Finding]:
    """Of the database that hosts share."""
    postgres = config.postgres
    if postgres is None:
        return
    try:
        address = parse_postgres_url(postgres.url.reveal())
    except ValueError as error:
        yield Finding(("postgres", "url"), str(error))
        return
    if find_spec(EXTRA) is None:
        yield Finding(("postgres",), f"needs the package {EXTRA}, which is missing", "pip install 'fastgate[postgres]'")
    if postgres.ca_file is None:
        if address.sslmode == "verify-ca":
            yield Finding(("postgres", "ca_file"), "is missing, and sslmode=verify-ca needs it")
        return
    if address.sslmode not in {"", *_VERIFYING}:
        hint = "leave sslmode out: with ca_file it is verify-full"
        yield Finding(("postgres", "ca_file"), f"would not be looked at with sslmode={address.sslmode}", hint)
    yield from ca_findings(("postgres", "ca_file"), folder / postgres.ca_file)


def unused_database(config: Config) -> Iterator[str]:
    """Of a valid configuration: a database that nothing is kept in."""
    if config.postgres is not None and not (config.postgres.configuration or config.postgres.ledger):
        yield "postgres: nothing uses it, as both postgres.configuration and postgres.ledger are false"
