"""Errors of the admin API as RFC 9457 problem details, whoever raises them.

::

    Exception
    └── Problem             answered with its own status
        ├── Unauthorized    401
        ├── Forbidden       403
        ├── BadParameter    400
        ├── NotFound        404
        ├── TooSlow         408
        ├── Conflict        409
        ├── PreconditionFailed  412
        ├── ClientLeft      nobody hears the answer
        ├── CacheUnavailable  503
        ├── SemanticUnavailable  503
        ├── SharedUnavailable  503
        ├── HostsUnavailable  503
        ├── LeasesUnavailable  503
        └── Busy            503

What the ledger and the configuration raise is translated here, by table.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from fastgate.backup.errors import BackupError
from fastgate.config.problems import ConfigErrors
from fastgate.control.configuration import NotPublished, ReloadFailed
from fastgate.ledger.errors import BadQuery, LedgerUnavailable, QueryTimeout
from fastgate.state.errors import SharedAway, StateError
from fastgate.wire.sealing import SealError

MEDIA_TYPE: Final = "application/problem+json"
log = logging.getLogger("fastgate.control")


class Problem(Exception):
    """``extra`` are further members of the document; ``type`` is a stable word under ``urn:fastgate:problem:``."""

    status = 500
    type = "internal_error"
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class Unauthorized(Problem):
    """No token, or not the right one."""

    status = 401
    type = "unauthorized"
    headers: Mapping[str, str] = {"www-authenticate": 'Bearer realm="fastgate"'}


class Forbidden(Problem):
    """Not from there."""

    status = 403
    type = "forbidden"


class BadParameter(Problem):
    """``parameter`` is unknown, or its value makes no sense."""

    status = 400
    type = "bad_parameter"

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail, parameter=parameter)


class NotFound(Problem):
    """No such thing."""

    status = 404
    type = "not_found"


class TooSlow(Problem):
    """The body does not arrive."""

    status = 408
    type = "too_slow"


class ClientLeft(Problem):
    """Its connection is gone while we read from it: no fault of ours, and nobody to tell."""

    status = 400
    type = "client_left"


class Conflict(Problem):
    """It contradicts what is there."""

    status = 409
    type = "conflict"


class PreconditionFailed(Problem):
    """Somebody else has changed it meanwhile."""

    status = 412
    type = "precondition_failed"


class CacheUnavailable(Problem):
    """The exact cache's file is not there, or cannot be used; to try again does not help."""

    status = 503
    type = "cache_unavailable"


class SemanticUnavailable(Problem):
    """The semantic process does not answer; it is started again by itself."""

    status = 503
    type = "semantic_unavailable"
    headers: Mapping[str, str] = {"retry-after": "1"}


class SharedUnavailable(Problem):
    """The Redis that hosts share answers in was not told, or not of all; asking again helps once it answers."""

    status = 503
    type = "shared_cache_unavailable"
    headers: Mapping[str, str] = {"retry-after": "5"}


class HostsUnavailable(Problem):
    """The ledger that hosts share cannot be asked now; this host's own can, by `hosts=own`."""

    status = 503
    type = "hosts_unavailable"
    headers: Mapping[str, str] = {"retry-after": "5"}


class LeasesUnavailable(Problem):
    """The Redis that hosts share budgets by does not answer; asking again helps once it does."""

    status = 503
    type = "leases_unavailable"
    headers: Mapping[str, str] = {"retry-after": "1"}


class Busy(Problem):
    """Too many queries wait already."""

    status = 503
    type = "busy"
    headers: Mapping[str, str] = {"retry-after": "1"}


def document(status: int, kind: str, detail: str, **extra: Any) -> bytes:
    """The body of a problem."""
    return msgspec.json.encode(
        {
            "type": f"urn:fastgate:problem:{kind}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            **extra,
        }
    )


def _answer(
    status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None, **extra: Any
) -> Response[bytes]:
    return Response(
        document(status, kind, detail, **extra),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={"cache-control": "no-store", **(headers or {})},
    )


def _problem(_: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    return _answer(problem.status, problem.type, problem.detail, problem.headers, **problem.extra)


def _bad_query(_: Request[Any, Any, Any], error: BadQuery) -> Response[bytes]:
    status = 404 if error.parameter == "cursor" else 400  # a page that is not there
    return _answer(status, "bad_parameter", str(error), parameter=error.parameter)


def _unavailable(_: Request[Any, Any, Any], error: LedgerUnavailable) -> Response[bytes]:
    return _answer(503, "ledger_unavailable", str(error), {"retry-after": "5"})


def _timeout(_: Request[Any, Any, Any], error: QueryTimeout) -> Response[bytes]:
    return _answer(504, "query_timeout", str(error))


def _reload_failed(_: Request[Any, Any, Any], error: ReloadFailed) -> Response[bytes]:
    found = [
        {"file": p.file, "line": p.line, "column": p.column, "message": p.message, "hint": p.hint}
        for p in error.problems
    ]
    return _answer(422, "bad_configuration", f"{error}; the configuration in force stays", problems=found)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses: unknown paths and methods, values that do not convert."""
    status = error.status_code
    if status == 404:
        return _answer(404, "not_found", f"there is nothing at {request.url.path}")
    if status == 405:
        allow = ", ".join(sorted(_methods(request)))
        if not allow:
            return _answer(404, "not_found", f"there is nothing at {request.url.path}")
        return _answer(
            405, "method_not_allowed", f"{request.url.path} does not take {request.method}", {"allow": allow}
        )
    if status >= 500:
        return _unexpected(request, error)
    extra = error.extra if isinstance(error.extra, list) else []
    names = [str(each["key"]) for each in extra if isinstance(each, dict) and "key" in each]
    parts = [f"{each.get('key')}: {each.get('message')}" for each in extra if isinstance(each, dict)]
    detail = "; ".join(parts) or str(error.detail)
    return _answer(status, "bad_parameter", detail, None, **({"parameter": names[0]} if names else {}))


def _methods(request: Request[Any, Any, Any]) -> set[str]:
    """What the path takes; nothing where only Litestar's own page for unknown paths lies."""
    wanted = request.url.path.strip("/").split("/")
    found: set[str] = set()
    for route in request.app.routes:
        parts = route.path_format.strip("/").split("/")
        if route.path_format == "/api/v1/{path}":
            continue
        if len(parts) == len(wanted) and all(p == w or p.startswith("{") for p, w in zip(parts, wanted, strict=True)):
            found |= {str(method) for method in getattr(route, "methods", ())}
    return found


def _unexpected(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The outermost edge: logged here, and nothing of it told."""
    log.error("the admin API failed", exc_info=error)
    return _answer(500, "internal_error", "something went wrong; the log says what")


def _bad_object(_: Request[Any, Any, Any], errors: ConfigErrors) -> Response[bytes]:
    found = [{"message": p.message, "hint": p.hint} for p in errors.problems]
    return _answer(422, "bad_object", "; ".join(p.message for p in errors.problems[:3]), problems=found)


def _not_published(_: Request[Any, Any, Any], error: NotPublished) -> Response[bytes]:
    detail = f"the change is kept, but not in force yet: {error}; it is tried again until it works"
    return _answer(503, "not_in_force", detail)


def _no_backup(_: Request[Any, Any, Any], error: BackupError) -> Response[bytes]:
    return _answer(503, "no_backup", str(error), {"retry-after": "60"})


def _shared(_: Request[Any, Any, Any], error: SharedAway) -> Response[bytes]:
    return _answer(503, "shared_configuration_unavailable", str(error), {"retry-after": "2"})


def _state(_: Request[Any, Any, Any], error: StateError | SealError) -> Response[bytes]:
    return _answer(503, "state_unavailable", str(error), {"retry-after": "1"})


HANDLERS: Final[ExceptionHandlersMap] = {
    Problem: _problem,
    BadQuery: _bad_query,
    LedgerUnavailable: _unavailable,
    QueryTimeout: _timeout,
    ReloadFailed: _reload_failed,
    ConfigErrors: _bad_object,
    NotPublished: _not_published,
    BackupError: _no_backup,
    SharedAway: _shared,
    StateError: _state,
    SealError: _state,
    HTTPException: _http,
    Exception: _unexpected,
}
