"""The PostgreSQL that hosts share: whether it lets fastgate in, safely, with tables that this version may use."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastgate.backup.contents import STATE
from fastgate.doctor.findings import Finding, failed, ok, unreachable, warning
from fastgate.doctor.installation import Installation, NoAnswer
from fastgate.postgres import configuration as shared
from fastgate.postgres.errors import NewerSchema
from fastgate.postgres.migrations import missing
from fastgate.postgres.place import Place
from fastgate.state import replica
from fastgate.state.copies import opened
from fastgate.state.errors import StateError
from fastgate.wire.failure import shown

if TYPE_CHECKING:
    from psycopg import Connection

PROBE_SECONDS: Final = 3.0
_OLDEST: Final = 13
_NEAR: Final = ("127.", "::1", "localhost", "/")


class _Found(NamedTuple):
    """What it says of itself. ``seconds``: that an answer takes; ``change``: the last one, where there are tables."""

    version: int
    encrypted: bool
    seconds: float
    change: int | None


def postgres(installation: Installation) -> Iterator[Finding]:
    """Of a configuration in which it is named."""
    settings = installation.config.postgres
    if settings is None:
        return
    from psycopg import Error

    place = Place.of(settings, installation.config_dir)
    where = place.address.where
    try:
        with place.connect("doctor", PROBE_SECONDS) as connection:
            found = _ask(connection)
    except NewerSchema as error:
        yield failed("postgres", str(error), "update fastgate on this host")
        return
    except (Error, OSError) as error:
        yield _away(where, " ".join(str(error).split()))
        return
    if found.version < _OLDEST:
        yield failed("postgres", f"{where} is version {found.version}", f"update it: {_OLDEST} is needed")
    if not (found.encrypted or place.address.host.startswith(_NEAR)):
        remedy = "add ?sslmode=verify-full to postgres.url, or postgres.ca_file"
        yield warning("postgres", f"the connection to {where} is not encrypted", remedy)
    if settings.configuration and (why := _refusal(installation)):
        yield failed("postgres", f"this host does not take part: {why}", "see docs/postgres.md")
    behind = _behind(installation, found) if settings.configuration else ""
    yield ok("postgres", f"{where} answers within {found.seconds * 1000:.1f} ms{behind}")


def _away(where: str, why: str) -> Finding:
    if "authentication failed" in why or "does not exist" in why or "no pg_hba.conf entry" in why:
        return failed("postgres", f"{where} refuses: {shown(why)}", "check user, password and database")
    if "permission denied" in why:
        remedy = "let the user own the schema fastgate, or create it, see docs/postgres.md"
        return failed("postgres", f"{where} refuses: {shown(why)}", remedy)
    if "has to be in UTF8" in why:
        return failed("postgres", f"{where}: {shown(why)}", "make one with ENCODING 'UTF8' TEMPLATE template0")
    remedy = "check postgres.url and firewalls; without it nothing that hosts share can be changed"
    return unreachable("postgres", f"{where}: {shown(why)}", remedy)


def _ask(connection: "Connection[tuple[Any, ...]]") -> _Found:
    """Raises psycopg.Error, NewerSchema."""
    began = time.perf_counter()
    connection.execute("SELECT 1")
    seconds = time.perf_counter() - began
    change = None if missing(connection) else shared.head(connection).change
    info = connection.info
    return _Found(info.server_version // 10_000, bool(connection.pgconn.ssl_in_use), seconds, change)


def _refusal(installation: Installation) -> str:
    """What keeps the running gateway from following what hosts share, though the database answers."""
    if installation.running is None:
        return ""
    try:
        said = installation.status().get("shared_configuration")
    except NoAnswer:
        return ""  # told by those who look at the gateway itself
    return str(said["error"] or "") if said else ""


def _behind(installation: Installation, found: _Found) -> str:
    """How this host's copy compares with what hosts share."""
    if found.change is None:
        return "; its tables are made at the next start"
    try:
        with opened(installation.state_dir / STATE) as db:
            at = replica.position(db)
    except StateError:
        at = None
    if at is None:
        return "; this host has no copy of what hosts share"
    return f"; this host has {at.change:,} of {found.change:,} changes"
