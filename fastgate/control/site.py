"""What lies beside the API: the status page with its sign-in, metrics, health."""

import asyncio
import time
from typing import Annotated, Any, Final

from litestar import MediaType, Request, Response, get, head, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.params import Body
from litestar.response import Redirect

from fastgate.control import answers
from fastgate.control.access import COOKIE, SESSION_SECONDS, Access, known_parameters
from fastgate.control.api import status
from fastgate.control.page import HEADERS, sign_in_page, status_page
from fastgate.control.plane import ControlPlane
from fastgate.ledger.attributes import Filter, attributes
from fastgate.ledger.errors import LedgerError
from fastgate.ledger.stores import RequestStore
from fastgate.telemetry.exposition import CONTENT_TYPE

_SHOWN: Final = {"Model": "model", "Key": "key", "Team": "team"}
MOST_SIGN_IN: Final = 4_096
"""Bytes; nobody who signs in has a token yet, and a body is held in memory."""
_MONTH_US: Final = 30 * 86_400 * 1_000_000


@get("/", include_in_schema=False, guards=[known_parameters])
async def page(request: Request[Any, Any, Any], state: State, token: str | None = None) -> Response[Any]:
    """The status page for a session; a one-time link's token begins one."""
    access: Access = state.access
    if token is not None:
        session = access.open_link(token)
        return _html(sign_in_page(failed=True), 401) if session is None else _enter(session)
    if not access.has_session(request):
        return _html(sign_in_page(), 401)
    return _html(await _render(state))


@post("/sign-in", include_in_schema=False, guards=[known_parameters], request_max_body_size=MOST_SIGN_IN)
async def sign_in(
    state: State, data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
) -> Response[Any]:
    """A session for the admin token."""
    session = state.access.sign_in(data.get("token", ""))
    return _html(sign_in_page(failed=True), 401) if session is None else _enter(session)


@post("/sign-out", include_in_schema=False, guards=[known_parameters])
async def sign_out(request: Request[Any, Any, Any], state: State) -> Response[Any]:
    """Ends the session."""
    state.access.sign_out(request)
    return _leave()


def _may_see_metrics(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    state = connection.app.state
    token = state.plane.configuration.current.config.admin.metrics_token
    state.access.check_metrics(connection, token.reveal() if token else None)


@get(
    "/metrics",
    summary="Prometheus metrics",
    guards=[_may_see_metrics, known_parameters],
    sync_to_thread=True,
    media_type=MediaType.TEXT,
)
def metrics(state: State) -> Response[bytes]:
    """In the text format."""
    plane: ControlPlane = state.plane
    return Response(plane.exposition.text(), headers={"content-type": CONTENT_TYPE})


@get("/healthz", summary="Whether this process answers", guards=[known_parameters])
async def healthz() -> dict[str, str]:
    """Says nothing about the stores: `status` does."""
    return {"status": "ok"}


@head("/healthz", include_in_schema=False, guards=[known_parameters])
async def healthz_head() -> None:
    """The same for a probe that looks at nothing but the status."""


async def _render(state: State) -> str:
    plane: ControlPlane = state.plane
    since = Filter(since_us=round(time.time() * 1_000_000) - _MONTH_US)
    error, groups, recent = None, None, []
    try:
        groups, rows = (await state.answering.ask(lambda store: _figures(store, since))).found
        recent = [answers.request(row) for row in rows]
    except LedgerError as failure:
        error = str(failure)
    page = plane.budgets.page("", 100)
    await asyncio.to_thread(plane.leasing.look, page)
    budgets = [answers.budget(plane.standing(record), None) for record in page]
    return status_page(status(plane), groups, budgets, recent, error)


def _figures(store: RequestStore, since: Filter) -> tuple[dict[str, list[dict[str, Any]]], Any]:
    groups = {}
    for heading, name in _SHOWN.items():
        found = store.spend(attributes(name), None, since, 20)
        groups[heading] = [{**group.labels, **answers.sums(group.sums)} for group in found.groups]
    return groups, store.page(Filter(), None, 50).rows


def _html(text: str, status_code: int = 200) -> Response[str]:
    return Response(text, media_type=MediaType.HTML, headers=HEADERS, status_code=status_code)


def _enter(session: str) -> Redirect:
    cookie = Cookie(COOKIE, value=session, path="/", httponly=True, samesite="strict", max_age=SESSION_SECONDS)
    return Redirect("/", status_code=303, cookies=[cookie], headers=HEADERS)


def _leave() -> Redirect:
    cookie = Cookie(COOKIE, value="", path="/", httponly=True, samesite="strict", max_age=0)
    return Redirect("/", status_code=303, cookies=[cookie], headers=HEADERS)


HANDLERS: Final = (page, sign_in, sign_out, metrics, healthz, healthz_head)
