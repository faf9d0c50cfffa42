"""Who may see what: the admin token, the page's one-time links and sessions, the metrics token.

=================  ===========================================================================
``/api/v1/...``    ``Authorization: Bearer <admin token>``
``/``              a session cookie, from a one-time link or from the sign-in form
``/metrics``       ``Authorization: Bearer <metrics token>``; without one: the loopback address, by its name
``/healthz``       everybody
=================  ===========================================================================
"""

import hmac
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from fastgate.control.arrivals import welcome
from fastgate.control.problems import BadParameter, Forbidden, Unauthorized
from fastgate.wire.whole_files import replace

COOKIE: Final = "fastgate_session"
SESSION_SECONDS: Final = 12 * 3600
MOST_SESSIONS: Final = 64
LINK_FILE: Final = "dashboard-token"
TOKEN_FILE: Final = "admin-token"

log = logging.getLogger("fastgate.control")

Connection = ASGIConnection[Any, Any, Any, Any]


def same(given: str, expected: str) -> bool:
    """Compares secrets in a time that does not depend on them; an empty one equals nothing."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def admin_token(state_dir: Path, configured: str) -> str:
    """The configured token, else the one that the state folder keeps, else a new one, kept there (0600)."""
    path = state_dir / TOKEN_FILE
    if configured:
        return configured
    try:
        found = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        found = ""
    return found or _keep(path)


def _keep(path: Path) -> str:
    """A new secret in a 0600 file that appears as a whole."""
    secret = secrets.token_urlsafe(32)
    replace(path, f"{secret}\n".encode(), private=True)
    return secret


class Access:
    """Secrets and sessions of one process; sessions end with it."""

    def __init__(self, state_dir: Path, token: str) -> None:
        self._token = token
        self._link_file = state_dir / LINK_FILE
        self._link = ""
        self._renew_link()
        self._sessions: dict[str, float] = {}

    def check_bearer(self, connection: Connection) -> None:
        """Raises Unauthorized where the request does not bear the admin token."""
        self._check(connection, self._token, "the admin token")

    def check_metrics(self, connection: Connection, token: str | None) -> None:
        """Raises Unauthorized or Forbidden where the request may not see metrics."""
        if token:
            self._check(connection, token, "admin.metrics_token")
        elif not _is_loopback(connection.client.host if connection.client else ""):
            raise Forbidden("metrics are open to this host only: set admin.metrics_token to read them from elsewhere")
        elif not _is_own_name(connection.headers.get("host", "")):
            raise Forbidden("metrics are open under an address of this host only: set admin.metrics_token to read them")

    def _check(self, connection: Connection, expected: str, what: str) -> None:
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if not given:
            raise Unauthorized(f"the header `Authorization: Bearer` with {what} is missing")
        if scheme.lower() != "bearer" or not same(given.strip(), expected):
            raise Unauthorized(f"that is not {what}")
        welcome(connection.scope)

    # ---- the page

    def open_link(self, given: str) -> str | None:
        """A new session for a one-time link's token, which is used up by this; the next one lies in the 0600 file."""
        if not same(given, self._link):
            return None
        self._renew_link()
        return self._begin()

    def _renew_link(self) -> None:
        """Where the state folder is full there is no link, and the token still signs in."""
        self._link = ""
        try:
            self._link = _keep(self._link_file)
        except OSError as error:
            log.warning("no link for the status page: %s cannot be written: %s", self._link_file, error.strerror)

    def sign_in(self, given: str) -> str | None:
        """A new session for the admin token."""
        return self._begin() if same(given, self._token) else None

    def has_session(self, connection: Connection) -> bool:
        """Whether the request bears the cookie of a session that has not ended."""
        until = self._sessions.get(connection.cookies.get(COOKIE, ""))
        known = until is not None and until > time.monotonic()
        if known:
            welcome(connection.scope)
        return known

    def sign_out(self, connection: Connection) -> None:
        """Ends the request's session."""
        self._sessions.pop(connection.cookies.get(COOKIE, ""), None)

    def _begin(self) -> str:
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session = secrets.token_urlsafe(32)
        self._sessions[session] = time.monotonic() + SESSION_SECONDS
        return session


def bearer(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard of the API."""
    access: Access = connection.app.state.access
    access.check_bearer(connection)


def known_parameters(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard: a parameter that the handler does not declare is an error, as is one given twice that is not a list."""
    declared = _declared(handler)
    seen: set[str] = set()
    for name, value in connection.query_params.multi_items():
        if name not in declared and not (handler.opt.get("tags") and name.startswith("tag:")):
            known = f"known are {', '.join(declared)}" if declared else "there are none here"
            raise BadParameter(name, f"unknown parameter {name[:80]!r}: {known}")
        if name in seen and not declared.get(name, True):
            raise BadParameter(name, f"the parameter {name!r} is given twice")
        if name in _numbers(handler) and not _INTEGER.fullmatch(value):
            raise BadParameter(name, f"the parameter {name!r} is a whole number, not {value[:80]!r}")
        seen.add(name)


_INTEGER: Final = re.compile(r"-?[0-9]+|null")
_NOT_QUERY: Final = {"request", "state", "data", "body", "scope", "headers", "cookies", "return"}


Told = TypeVar("Told")


def _once(tell: Callable[[BaseRouteHandler], Told]) -> Callable[[BaseRouteHandler], Told]:
    """Keeps what is told of a handler, by its function: guards get another copy of the handler with each request."""
    known: dict[Callable[..., Any], Told] = {}

    @wraps(tell)
    def told(handler: BaseRouteHandler) -> Told:
        function = handler.fn
        if function not in known:
            known[function] = tell(handler)
        return known[function]

    return told


@_once
def _declared(handler: BaseRouteHandler) -> dict[str, bool]:
    """The query parameters of a handler and what it depends on, and whether each may be given more than once."""
    return {
        name: bool(field.is_non_string_collection or any(each.is_non_string_collection for each in field.inner_types))
        for name, field in _fields(handler)
    }


def _fields(handler: BaseRouteHandler) -> Iterator[tuple[str, FieldDefinition]]:
    dependencies = handler.resolve_dependencies()
    beside = {*_NOT_QUERY, *dependencies}
    for signature in (handler.parsed_fn_signature, *(each.parsed_fn_signature for each in dependencies.values())):
        for name, field in signature.parameters.items():
            if name not in beside and f"{{{name}" not in "".join(handler.paths) and not _is_header(field):
                yield name, field


def _is_header(field: FieldDefinition) -> bool:
    return isinstance(field.kwarg_definition, ParameterKwarg) and field.kwarg_definition.header is not None


@_once
def _numbers(handler: BaseRouteHandler) -> frozenset[str]:
    """Its query parameters that are integers: of ``7.0`` the conversion would make one, too."""
    return frozenset(
        name for name, field in _fields(handler) if any(each.annotation is int for each in field.inner_types)
    )


def _is_own_name(host: str) -> bool:
    """Whether a request was meant for this host: a page in its browser could have any other name point here."""
    name = host.rpartition(":")[0] if re.search(r":[0-9]*\Z", host) else host
    return name.lower() == "localhost" or _is_loopback(name.removeprefix("[").removesuffix("]"))


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
