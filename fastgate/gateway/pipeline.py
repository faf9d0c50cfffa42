"""One request, in order; reads top to bottom.

    authenticate → read → choose target → hold → attempt → relay and meter → settle → journal

Whatever happens after the hold reaches a settlement: what the provider may bill is charged, what it cannot is given
back.
"""

import asyncio
from time import time_ns
from typing import Final
from urllib.parse import quote

from fastgate._core.arena import ArenaFull
from fastgate._core.body import BodyError, scan, splice
from fastgate._core.budget import CONTENDED, Hold, hold
from fastgate._core.events import EventScanner
from fastgate._core.exchange import Exchange
from fastgate._core.upstream_errors import (
    BodyTooLarge,
    ClosedEarly,
    ConnectError,
    ConnectTimeout,
    EndedHere,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    TotalTimeout,
    UpstreamError,
    UpstreamTimeout,
)
from fastgate.budgets.holds import asked_tier, why_unbounded
from fastgate.budgets.periods import period_of
from fastgate.dialects.base import Charge, Operation
from fastgate.gateway.answers import own_headers, provider_headers
from fastgate.gateway.attribution import NOTHING_SAID, attributes_of
from fastgate.gateway.call import Arrival, Call
from fastgate.gateway.grants import Leg
from fastgate.gateway.inbound import (
    check_cache_wish,
    comes_in_pieces,
    inflated,
    patience_ns,
    query_to_forward,
    read_pieces,
)
from fastgate.gateway.inflate import MOST as INFLATED
from fastgate.gateway.inflate import Feeds, Inflater
from fastgate.gateway.limits import beside, limit_headers, need_of, over_limit
from fastgate.gateway.relay import StreamRelay, deliver
from fastgate.gateway.settlement import Outcome, settle
from fastgate.gateway.tail import TailMeter
from fastgate.gateway.window import LEAST_OUTSTANDING, ClientWindow
from fastgate.wire.failure import Failure, FailureCode
from fastgate.wire.request import ChatRequest
from fastgate.wire.snapshot import BudgetRecord, LimitRecord, Window

CLIENT_CLOSED: Final = 499
"""Status in the ledger of a request whose client did not wait for the answer."""
SMALL: Final = 256 << 10
"""Bytes of an answer that are kept without asking for room."""
BUFFERED: Final = 8 << 20
"""Bytes of an answer that is not streamed which are kept for the cost header; longer ones are relayed without it."""
_MOST_HEADS: Final = 64
_URL_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"
_CONTENDED_TRIES: Final = 200
_REASONS: Final = (
    (ConnectTimeout, "could not be connected in time"),
    (ConnectError, "could not be connected"),
    (FirstByteTimeout, "gave no answer in time"),
    (IdleTimeout, "stopped in the middle of its answer"),
    (TotalTimeout, "took longer than a request may take"),
    (ProtocolError, "sent what is not a valid answer"),
    (EndedHere, "was still answering when this gateway had to end"),
    (ClosedEarly, "closed the connection before its answer was whole"),
    (UpstreamError, "failed"),
)


async def serve(call: Call, operation: Operation, path: str) -> None:
    """Answer a request for a model. Raises Failure where the answer is an error of ours."""
    headers = call.headers
    grant = call.authenticate()
    call.within_ns = patience_ns(headers)
    check_cache_wish(headers)
    call.task = call.worker.task()
    body = await receive(call)
    found, request = call.dialect.parse(body)
    call.model = request.model
    call.attributes = attributes_of(headers, request)
    leg = call.leg = grant.leg(call.dialect.name, request.model)
    call.path, call.free = path, operation is Operation.COUNT_TOKENS
    call.bound = bound = leg.terms.bound(request, len(body), free=call.free)
    if leg.terms.strict or request.thinking_budget is not None:
        check_bound(call, leg, request)
    amount = 0
    if not call.free:
        call.tier = tier = asked_tier(request)
        amount = leg.terms.amount(bound, request, tier, call.now_ns)
    held = take(call, leg, amount, request.stream) or await take_soon(call, leg, amount, request.stream)
    edits = call.dialect.edits(
        found, request, model=leg.rename, output_cap=bound.cap, cap_field=leg.upstream.kind.cap_field
    )
    payload = splice(body, edits) if edits else body
    call.body_size = len(body) - request.image_bytes
    del body, found  # a stream may last, and large bodies need not last with it
    await attempt(call, leg, held, request, payload)


def check_bound(call: Call, leg: Leg, request: ChatRequest) -> None:
    """Raises Failure where a strict budget cannot be kept, or where thinking leaves no room for an answer."""
    if leg.terms.strict and not call.free and (why := why_unbounded(request, leg.terms.context_window)):
        budget = next(each for each in leg.bound_by if isinstance(each, BudgetRecord) and each.strict)
        raise Failure.invalid(
            f"The {budget.level} budget '{budget.id}' is strict and takes only requests whose cost has an upper bound:"
            f" {why}."
        )
    thinking, cap = request.thinking_budget, call.bound.cap
    if thinking is not None and cap is not None and thinking >= cap:
        raise Failure.invalid(f"The thinking budget of {thinking} tokens leaves nothing of the output cap of {cap}.")


async def receive(call: Call) -> bytes:
    """The body, within the bounds of size, time, and what the worker has room for."""
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
    return inflated(body, headers, limit, call.take) if "content-encoding" in headers else body


def take(call: Call, leg: Leg, amount: int, stream: bool) -> Hold | None:
    """Hold ``amount`` nano-USD of every budget, a request and its tokens of every limit that applies.

    None: other workers are just changing one of them. Raises Failure naming the one that has no room.
    """
    worker, bound = call.worker, call.bound
    levels = leg.free_levels if call.free else leg.levels
    draft = leg.draft if call.attributes is NOTHING_SAID else leg.attributed(call.attributes)
    now_ns = time_ns() if leg.gauges else call.now_ns  # a limit counts when a request passes, not when its head came
    try:
        held = hold(
            worker.owner,
            worker.journal,
            levels,
            draft,
            amount,
            now_ns,
            call.id,
            stream,
            input_tokens=bound.input_tokens,
            output_tokens=bound.output_tokens,
        )
    except ArenaFull as full:
        raise Failure.no_space(full) from full
    if isinstance(held, Hold):
        call.logged = True  # the hold carries the event from here on
        return held
    if held != CONTENDED:
        raise refused(call, leg, held, amount, now_ns)
    return None


async def take_soon(call: Call, leg: Leg, amount: int, stream: bool) -> Hold:
    """As ``take``, for as long as others may need to be done with the same budgets. Raises Failure."""
    for _ in range(_CONTENDED_TRIES):
        await asyncio.sleep(0.001)
        held = take(call, leg, amount, stream)
        if held is not None:
            return held
    raise Failure(FailureCode.OVERLOADED, "Other requests are changing the same budgets.", retry_after=1)


def refused(call: Call, leg: Leg, level: int, amount: int, now_ns: int) -> Failure:
    """The limit that is reached, or the budget that is spent, in full."""
    budget = leg.bound_by[level]
    if isinstance(budget, LimitRecord):
        call.refused_by = f"limit:{budget.level}"
        return over_limit(budget, leg.levels.standing(level, now_ns), need_of(budget, call.bound))
    call.refused_by = f"budget:{budget.level}"
    cell = leg.levels.rules[level].cell
    spent, held, _, resets_at = call.state.arena.read_cell(cell, period_of(budget), now_ns)
    return Failure.budget(
        level=budget.level,
        budget=budget.id,
        limit=leg.levels.standing(level, call.now_ns)[0],
        spent=spent,
        held=held,
        need=amount,
        resets_at_ns=resets_at or (0 if budget.window == Window.LIFETIME else None),
    )


def compose(call: Call, leg: Leg, length: int) -> bytes:
    """The head of the request to the provider. Clients repeat themselves, so all but the length is kept."""
    headers = call.headers
    names = leg.upstream.kind.forward[call.dialect.name]
    values = (call.path, call.query, *map(headers.get, names))
    head = leg.heads.get(values)
    if head is None:
        if len(leg.heads) >= _MOST_HEADS:
            leg.heads.clear()
        head = leg.heads[values] = first_lines(call, leg, dict(zip(names, values[2:], strict=True)))
    return b"%bcontent-length: %d\r\n\r\n" % (head, length)


def first_lines(call: Call, leg: Leg, forwarded: dict[str, str | None]) -> bytes:
    """The request line, what the client may say to the provider, and what every request to it says."""
    query = query_to_forward(call.query)
    target = f"{leg.upstream.path(call.dialect.name, call.path)}{'?' if query else ''}{query}"
    said = {
        **dict(leg.upstream.kind.defaults),
        **{name: value for name, value in forwarded.items() if value is not None},
    }
    lines = [f"POST {quote(target, safe=_URL_SAFE)} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace") + leg.head


async def attempt(call: Call, leg: Leg, held: Hold, request: ChatRequest, payload: bytes) -> None:
    """Send the request to the provider of ``leg`` and relay what it answers."""
    head = compose(call, leg, len(payload))
    began = time_ns()
    waiting = call.worker.patience.answers
    waiting[call.task] = (began, call.protocol, call.state.head.disconnect_ms / 1000)
    held.sent()
    try:
        exchange = await leg.upstream.pool.request(head, payload, within_ns=call.within_ns)
    except UpstreamError as error:
        call.upstream_ns = time_ns() - began
        raise unanswered(call, leg, held, error) from error
    except asyncio.CancelledError:  # the client left, and the time to read on for it is over
        settle(call, held, Outcome.abandoned(), CLIENT_CLOSED)
        raise
    finally:
        del waiting[call.task]
    call.upstream_ns = time_ns() - began
    call.first_byte_ns = exchange.answered_ns - exchange.started_ns
    if exchange.status != 200:
        await relay_refusal(call, leg, held, exchange)
    elif request.stream and is_event_stream(exchange):
        await relay_stream(call, leg, held, request, exchange)
    else:
        await relay_answer(call, leg, held, exchange)


def is_event_stream(exchange: Exchange) -> bool:
    """Whether the provider streams, as it was asked to."""
    return (exchange.header(b"content-type") or b"")[:17].lower() == b"text/event-stream"


def unanswered(call: Call, leg: Leg, held: Hold, error: UpstreamError) -> Failure:
    """No answer came: what was never sent is not billed; what was sent may be, so its hold stays, as unsettled."""
    timeout = isinstance(error, (ConnectTimeout, UpstreamTimeout))
    failure = Failure(
        FailureCode.UPSTREAM_TIMEOUT if timeout else FailureCode.UPSTREAM_ERROR,
        broken(call, leg, error),
    )
    status = call.dialect.shapes[failure.code].status
    outcome = Outcome.unknown(failure.code) if error.sent else Outcome.unbilled(failure.code)
    settle(call, held, outcome, status)
    return failure


def broken(call: Call, leg: Leg, error: UpstreamError) -> str:
    """What a client may know of it; addresses and details are for the operator's log."""
    name = leg.upstream.record.name
    call.worker.complain(f"request {call.request_id}: provider {name}: {error}", request_id=call.request_id)
    reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
    return f"The provider '{name}' {reason}."


async def relay_refusal(call: Call, leg: Leg, held: Hold, exchange: Exchange) -> None:
    """An error of the provider's own goes to the client as it came; providers bill none."""
    code = FailureCode.UPSTREAM_ERROR
    try:
        body = await whole(call, exchange)
    except UpstreamError as error:
        exchange.abort()  # one that is too long is not whole yet, and nobody wants the rest
        if exchange.status >= 400:
            settle(call, held, Outcome.unbilled(code), exchange.status)
        raise unanswered(call, leg, held, error) from error
    if exchange.status < 400:  # a redirect or an answer that no request of ours asks for: never followed
        settle(call, held, Outcome.unknown(code), 502)
        raise Failure(
            code,
            f"The provider answered with status {exchange.status}, which is no answer to this request.",
            final=True,
        )
    settle(call, held, Outcome.unbilled(code), exchange.status)
    headers = provider_headers((name, leg.without_secret(value)) for name, value in exchange.headers)
    if exchange.status >= 500:
        headers.append(("x-fastgate-error", code.value))
    call.protocol.response_bytes(exchange.status, headers_of(call, leg, headers), leg.without_secret(body))


def at_hand(exchange: Exchange) -> bytes | None:
    """The body where it came with its head, as short answers do; None: it is to be read, or to be inflated."""
    return exchange.at_hand(SMALL) if exchange.header(b"content-encoding") is None else None


async def whole(call: Call, exchange: Exchange) -> bytes:
    """The whole body of an answer, inflated. Raises UpstreamError, BodyTooLarge beyond what can be kept."""
    coding = exchange.header(b"content-encoding")
    if coding is not None and not call.keep(INFLATED):
        raise BodyTooLarge("too many long answers wait for their clients", partial=b"")
    try:
        body = await exchange.read(SMALL)
    except BodyTooLarge:
        if not call.keep(max(BUFFERED, call.answer_bytes)):
            raise
        body = await exchange.read(BUFFERED)
    body = Inflater.of(coding).all(body)
    if call.answer_bytes:
        call.keep(len(body))
    return body


async def relay_answer(call: Call, leg: Leg, held: Hold, exchange: Exchange) -> None:
    """A whole answer: read, metered, settled, then sent with its cost."""
    try:
        body = at_hand(exchange) or await whole(call, exchange)
    except BodyTooLarge:
        await relay_long_answer(call, leg, held, exchange)
        return
    except UpstreamError as error:
        raise unanswered(call, leg, held, error) from error
    charges, output = metered(call, body)
    outcome = Outcome.free() if call.free else Outcome.of(call, leg, held, charges, output)
    cost = settle(call, held, outcome, 200)
    headers = headers_of(call, leg, provider_headers(exchange.headers), cost)
    if len(body) <= LEAST_OUTSTANDING:
        call.protocol.response_bytes(200, headers, body)
    else:
        transport = call.protocol.response_stream(200, [*headers, ("content-length", str(len(body)))])
        window = window_of(call)
        await deliver(body, transport, window, call.worker.patience.stalled_seconds)
        call.worker.patience.linger(window)


def metered(call: Call, body: bytes) -> tuple[list[Charge] | None, int]:
    """What an answer reports, and the bytes of its output for where it reports nothing."""
    try:
        found = scan(body, call.dialect.answer_fields)
        charges = call.dialect.charges_of_answer(found)
        return charges, 0 if charges else call.dialect.output_bytes_of_answer(found)
    except BodyError:
        return None, len(body)


async def relay_long_answer(call: Call, leg: Leg, held: Hold, exchange: Exchange) -> None:
    """An answer too long to be kept: relayed as it comes; its usage stands near its end."""
    meter = TailMeter()
    relay = open_relay(call, leg, exchange, Inflater.of(exchange.header(b"content-encoding")).before(meter))
    try:
        cut = await run(call, relay)
        charges = meter.charges(call.dialect)
        settle(
            call, held, Outcome.of(call, leg, held, charges, meter.size, cut=cut, client_gone=relay.client_gone), 200
        )
    finally:
        relay.close()


async def relay_stream(call: Call, leg: Leg, held: Hold, request: ChatRequest, exchange: Exchange) -> None:
    """A stream: relayed piece by piece, metered on the way, settled at its end."""
    dialect = call.dialect
    scanner = EventScanner(dialect.table, dialect.hides_usage(request))
    relay = open_relay(call, leg, exchange, Inflater.of(exchange.header(b"content-encoding")).before(scanner))
    try:
        cut = await run(call, relay)
        if cut is None and not dialect.is_whole(scanner):
            cut = ClosedEarly("the stream ended without saying that it is complete", sent=True, answered=True)
        outcome = Outcome.of(
            call,
            leg,
            held,
            dialect.charges_of_stream(scanner.captures),
            scanner.output_bytes,
            cut=cut,
            final=dialect.is_final(scanner.captures),
            client_gone=relay.client_gone,
            failed=scanner.failed,
        )
        settle(call, held, outcome, 200)
        if cut is not None:
            failure = Failure(FailureCode.UPSTREAM_ERROR, broken(call, leg, cut))
            relay.send(dialect.stream_error(failure, call.request_id))
    finally:
        relay.close()


def open_relay(call: Call, leg: Leg, exchange: Exchange, meter: Feeds) -> StreamRelay:
    """Begin an answer whose end is not known."""
    transport = call.protocol.response_stream(200, headers_of(call, leg, provider_headers(exchange.headers)))
    return StreamRelay(
        exchange,
        meter,
        transport,
        window_of(call),
        disconnect_seconds=call.state.head.disconnect_ms / 1000,
        stalled_seconds=call.worker.patience.stalled_seconds,
    )


def window_of(call: Call) -> ClientWindow:
    """How much may wait for this client."""
    return ClientWindow(call.scope.client, call.worker.open + len(call.worker.patience.lingering))


async def run(call: Call, relay: StreamRelay) -> UpstreamError | None:
    """Relay to the end; what ended it early is returned, since the settlement needs it first."""
    began = time_ns()
    try:
        await relay.run()
    except UpstreamError as error:
        return error
    finally:
        call.upstream_ns += time_ns() - began
        call.worker.patience.linger(relay.window)
    return None


def headers_of(call: Call, leg: Leg, headers: list[tuple[str, str]], cost: int | None = None) -> list[tuple[str, str]]:
    """All headers of an answer."""
    left = leg.levels.left(call.now_ns)
    if leg.gauges:
        headers = beside(headers, limit_headers(call.dialect, leg.levels, leg.gauges))
    found = [*headers, *leg.headers, *own_headers(call.request_id, call.overhead_us(), left, cost)]
    if leg.notices is not None:
        found += leg.notices.headers(call.now_ns)
    return found
