"""The RSGI application: which path does what, and the outermost edge, behind which no request can do harm."""

import asyncio
import logging
from typing import Any, Final

from fastgate._core import leases
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Dialect, Operation
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from fastgate.gateway import listing
from fastgate.gateway.answers import send_failure
from fastgate.gateway.call import Arrival, Call
from fastgate.gateway.gone import GONE
from fastgate.gateway.inbound import discard_body
from fastgate.gateway.leaving import CLOSE
from fastgate.gateway.limits import limit_headers
from fastgate.gateway.marked import Marked
from fastgate.gateway.pipeline import serve
from fastgate.gateway.worker import Worker
from fastgate.wire.failure import Failure, FailureCode, shown
from fastgate.wire.leasing import StoreState

log = logging.getLogger("fastgate.gateway")

_OPENAI: Final = (OPENAI_CHAT, OPENAI_EMBEDDINGS)
# `/v1/v1` and a missing `/v1` are the most frequent mistakes in a base URL, and cannot mean anything else.
_PREFIXES: Final[dict[str, tuple[Dialect, ...]]] = {
    "/v1": (*_OPENAI, ANTHROPIC),
    "/v1/v1": (*_OPENAI, ANTHROPIC),
    "": (*_OPENAI, ANTHROPIC),
    "/openai": _OPENAI,
    "/openai/v1": _OPENAI,
    "/anthropic": (ANTHROPIC,),
    "/anthropic/v1": (ANTHROPIC,),
}
ROUTES: Final[dict[str, tuple[Dialect, Operation, str]]] = {
    prefix + path: (dialect, operation, path)
    for prefix, dialects in _PREFIXES.items()
    for dialect in dialects
    for path, operation in dialect.operations.items()
}
_MODELS: Final = frozenset(prefix + "/models" for prefix in _PREFIXES if prefix)
_PROBES: Final = frozenset({"/", "/api/hello"})
_HEALTH: Final = frozenset({"/healthz", "/readyz"})
# Paths that the product will serve: what asks for them is told so, rather than that there is no such thing. Embeddings
# are served already, but not where Azure's deployments have them.
_LATER: Final = (
    "/completions", "/responses", "/embeddings", "/moderations", "/images/", "/audio/", "/files", "/batches",
)  # fmt: skip


class Gateway:
    """Serves one worker's requests.

    ``leaving``: clients are asked to connect anew, since another worker has taken this one's place or the host ends.
    ``ending``: the host does, as ``/readyz`` says. ``draining``: who could go on asking on one connection is refused.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.leaving = False
        self.ending = False
        self.draining = False

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request. Nothing is raised: what goes wrong is answered, logged and counted here."""
        refused = False
        if self.leaving:
            if scope.http_version.startswith("1"):  # HTTP/2 has a word of its own for it
                protocol = Marked(protocol, [CLOSE])
            else:
                refused = self.draining
        route = ROUTES.get(scope.path)
        dialect = route[0] if route is not None else dialect_of(scope)
        worker = self.worker
        call = Call.arriving(worker, dialect, scope, protocol)
        worker.open += 1
        try:
            if route is not None and scope.method == "POST" and not refused:
                await serve(call, route[1], route[2])
            else:
                await self._other(call, refused)
        except Failure as failure:
            await self._refuse(call, failure)
        except GONE:
            self._fail(call, Failure(FailureCode.INVALID_REQUEST, "The request ended before its body was whole."))
        except asyncio.CancelledError:
            self._fail(call, Failure(FailureCode.REQUEST_TIMEOUT, "The request's body did not arrive in time."))
        except Exception:
            log.exception("request %s failed by a fault of ours", call.request_id, extra=_about(call))
            self._fail(call, Failure(FailureCode.INTERNAL_ERROR, "The gateway failed; its log has the reason."))
        finally:
            if call.flight is not None:
                call.flight.land()
            worker.open -= 1
            worker.body_bytes -= call.body_bytes
            worker.answer_bytes -= call.answer_bytes

    async def _refuse(self, call: Call, failure: Failure) -> None:
        """An error of ours; where the body was not wanted, what can be taken of it is, so that the client can go on."""
        try:
            if call.arrival is Arrival.NONE and await discard_body(call.protocol, call.headers):
                call.arrival = Arrival.WHOLE
        except asyncio.CancelledError:
            call.arrival = Arrival.BEGUN
        self._fail(call, failure)

    def _fail(self, call: Call, failure: Failure) -> None:
        try:
            extra = [("x-fastgate-request-id", call.request_id)]
            if call.arrival is not Arrival.WHOLE:
                extra.append(("connection", "close"))
            if call.leg is not None and (binding := call.leg.binding).gauges:
                extra += limit_headers(call.dialect, binding.levels, binding.gauges)
            status = send_failure(call.protocol, call.dialect, failure, call.request_id, extra)
            call.log(status, failure)
        except Exception:  # the server would swallow it
            what = "request %s: its failure (%s) could not be told or journaled"
            log.exception(what, call.request_id, failure.code, extra=_about(call))

    async def _other(self, call: Call, refused: bool) -> None:
        path, method = call.scope.path, call.scope.method
        if path in _HEALTH:
            self._health(call)
        elif refused:
            raise Failure(FailureCode.DRAINING, "This gateway is shutting down.", retry_after=1)
        elif "websocket" in call.headers.get("upgrade", "").lower():
            raise Failure(
                FailureCode.UPGRADE_REFUSED, "WebSockets are not served: use HTTP requests with server-sent events."
            )
        elif path in _PROBES and method in {"HEAD", "GET"}:
            call.protocol.response_empty(200, [])
        elif path in _MODELS or listing.one_of(path, _MODELS):
            if method != "GET":
                raise not_allowed(path, method, "GET")
            listing.models(call, path)
        elif path in ROUTES:
            raise not_allowed(path, method, "POST")
        elif path.rstrip("/") not in ROUTES and any(ending in path for ending in _LATER):
            raise Failure(FailureCode.DIALECT_NOT_SUPPORTED, f"'{shown(path)}' is not supported yet.")
        else:
            raise Failure(
                FailureCode.NOT_FOUND, f"There is nothing at {method} '{shown(path)}'; the API begins at /v1."
            )

    def _health(self, call: Call) -> None:
        status = b"ok"
        if call.scope.path == "/readyz":
            if self.ending:
                status = b"draining"
            elif leases.store_state(self.worker.arena) == StoreState.REFUSES:
                status = b"name_taken"
        code = 200 if status == b"ok" else 503
        call.protocol.response_bytes(code, [("content-type", "application/json")], b'{"status":"%b"}' % status)


def _about(call: Call) -> dict[str, Any]:
    """What a line of the log says of its request, beside the message."""
    return {"facts": {"request_id": call.request_id}}


def dialect_of(scope: Any) -> Dialect:
    """Whose errors to speak on a path that belongs to no dialect."""
    if scope.path.startswith("/anthropic") or scope.headers.get("anthropic-version") is not None:
        return ANTHROPIC
    return OPENAI_CHAT


def not_allowed(path: str, method: str, allowed: str) -> Failure:
    """A method that the path does not have."""
    return Failure(FailureCode.METHOD_NOT_ALLOWED, f"'{shown(path)}' takes {allowed}, not {shown(method)}.")
