"""One request, in order; reads top to bottom.

    authenticate → read → choose target → cache → hold → attempt → relay and meter → settle → journal

Whatever happens after the hold reaches a settlement: what the provider may bill is charged, what it cannot is given
back.
"""

from typing import Final

from fastgate._core.body import splice
from fastgate._core.budget import Hold
from fastgate.dialects.base import Operation
from fastgate.gateway.admission import bind, find_room, prepare, take
from fastgate.gateway.attempts import attempt
from fastgate.gateway.attribution import attributes_of
from fastgate.gateway.caching import answered
from fastgate.gateway.call import Arrival, Call
from fastgate.gateway.inbound import body_at_hand, comes_in_pieces, inflated, patience_ns, read_pieces
from fastgate.wire.failure import Failure

_COUNT_TOKENS: Final = Operation.COUNT_TOKENS  # a member of an enumeration is found by a dictionary, each time
_WHOLE: Final = Arrival.WHOLE


async def serve(call: Call, operation: Operation, path: str) -> None:
    """Answer a request for a model. Raises Failure where the answer is an error of ours."""
    headers, worker = call.headers, call.worker
    grant = call.authenticate()
    call.within_ns = patience_ns(headers)
    call.task = worker.runner.running or worker.task()
    body = at_hand(call)
    if body is None:
        body = await arriving(call)
    if "content-encoding" in headers:
        body = inflated(body, headers, call.state.head.max_body, call.take)
    found, request = call.dialect.parse(body)
    call.model = request.model
    call.attributes = attributes_of(headers, request)
    leg = call.leg = grant.leg(call.dialect.name, request.model)
    call.path, call.free = path, operation is _COUNT_TOKENS
    if (leg.cache is not None or "x-fastgate-cache" in headers) and await answered(call, leg, request, found):
        return
    if leg.templates is not None or request.other_models:
        leg = call.leg = bind(call, leg, request)
    prepare(call, leg, request, len(body))
    held = take(call, leg, request)
    if not isinstance(held, Hold):
        leg, held = await find_room(call, leg, request, len(body), held)
    edits = call.dialect.edits(
        found, request, model=leg.rename, output_cap=call.bound.cap, cap_field=leg.upstream.kind.cap_fields[0]
    )
    payload = splice(body, edits) if edits else body
    call.body_size = len(body) - request.image_bytes
    del body, found  # a stream may last, and large bodies need not last with it
    await attempt(call, leg, held, request, payload)


def at_hand(call: Call) -> bytes | None:
    """The whole body, within its bound, where it is here already, as short ones are. Raises Failure."""
    body = body_at_hand(call.protocol)
    if body is None:
        return None
    call.arrival = _WHOLE
    if len(body) > call.state.head.max_body:
        raise Failure.too_large(call.state.head.max_body)
    call.take(len(body))
    return body


async def arriving(call: Call) -> bytes:
    """A body that is still on its way, within the bounds of size, time, and what the worker has room for."""
    headers, limit = call.headers, call.state.head.max_body
    uploads = call.worker.patience.uploads
    uploads[call.task] = call.now_ns
    call.arrival = Arrival.BEGUN
    try:
        body: bytes
        if comes_in_pieces(headers, limit):
            body = await read_pieces(call.protocol, limit, call.take)
        else:
            body = await call.protocol()
            call.take(len(body))
    finally:
        del uploads[call.task]
    call.arrival = Arrival.WHOLE
    return body
