"""Answers that are not streamed: read whole, metered, settled, and sent with their cost."""

from functools import partial
from typing import Final

from fastgate._core.body import BodyError, scan
from fastgate._core.budget import Hold
from fastgate._core.exchange import Exchange
from fastgate._core.upstream_errors import BodyTooLarge, UpstreamError
from fastgate.cache.question import WHOLE
from fastgate.dialects.base import Charge
from fastgate.gateway.answers import provider_headers
from fastgate.gateway.call import Call
from fastgate.gateway.departure import finish
from fastgate.gateway.faults import unanswered
from fastgate.gateway.heads import headers_of
from fastgate.gateway.inflate import MOST as INFLATED
from fastgate.gateway.inflate import Inflater
from fastgate.gateway.keeping import keep, keep_nothing
from fastgate.gateway.legs import Leg
from fastgate.gateway.relay import deliver
from fastgate.gateway.settlement import Outcome, settle
from fastgate.gateway.streams import open_relay, run, window_of
from fastgate.gateway.tail import TailMeter
from fastgate.gateway.window import LEAST_OUTSTANDING
from fastgate.wire.failure import Failure, FailureCode

SMALL: Final = 256 << 10
"""Bytes of an answer that are kept without asking for room."""
BUFFERED: Final = 8 << 20
"""Bytes of an answer that is not streamed which are kept for the cost header; longer ones are relayed without it."""


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
    outcome = Outcome.free() if call.free else Outcome.of(call, leg, held, charges, output, client_gone=call.departed)
    cost = settle(call, held, outcome, 200)
    if call.question is not None:
        keep(call, leg, outcome, WHOLE, body, sound=partial(call.dialect.is_answer, body))
    headers = headers_of(call, leg, provider_headers(exchange.headers), cost)
    if len(body) <= LEAST_OUTSTANDING:
        call.protocol.response_bytes(200, headers, body)
    else:
        finish(call)
        transport = call.protocol.response_stream(200, [*headers, ("content-length", str(len(body)))])
        window = window_of(call)
        await deliver(body, transport, window, call.worker.patience.stalled_seconds)
        call.worker.patience.linger(window)


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
    keep_nothing(call)
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
