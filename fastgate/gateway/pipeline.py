"""One request, in order; reads top to bottom.

    authenticate → read → choose target → cache → hold → attempt → relay and meter → settle → journal

Whatever happens after the hold reaches a settlement: what the provider may bill is charged, what it cannot is given
back.
"""

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


async def serve(call: Call, operation: Operation, path: str) -> None:
    """Answer a request for a model. Raises Failure where the answer is an error of ours."""
    headers = call.headers
    grant = call.authenticate()
    call.within_ns = patience_ns(headers)
    call.task = call.worker.task()
    body = await receive(call)
    found, request = call.dialect.parse(body)
    call.model = request.model
    call.attributes = attributes_of(headers, request)
    leg = call.leg = grant.leg(call.dialect.name, request.model)
    call.path, call.free = path, operation is Operation.COUNT_TOKENS
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


async def receive(call: Call) -> bytes:
    """The body, within the bounds of size, time, and what the worker has room for."""
    headers, limit = call.headers, call.state.head.max_body
    body = body_at_hand(call.protocol)
    if body is None:
        body = await arriving(call, limit)
        call.arrival = Arrival.WHOLE
    else:
        call.arrival = Arrival.WHOLE
        if len(body) > limit:
            raise Failure.too_large(limit)
        call.take(len(body))
    return inflated(body, headers, limit, call.take) if "content-encoding" in headers else body


async def arriving(call: Call, limit: int) -> bytes:
    """A body that is still on its way."""
    headers = call.headers
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
    return body
