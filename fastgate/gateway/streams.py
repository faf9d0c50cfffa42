"""Answers that are streamed: relayed piece by piece, metered and paid for on the way, settled at their end."""

from functools import partial
from time import time_ns

from fastgate._core.budget import Hold
from fastgate._core.events import EventScanner
from fastgate._core.exchange import Exchange
from fastgate._core.upstream_errors import ClosedEarly, UpstreamError
from fastgate.cache.question import STREAM, UNSTATED
from fastgate.gateway.answers import provider_headers
from fastgate.gateway.call import Call
from fastgate.gateway.departure import depart
from fastgate.gateway.faults import broken
from fastgate.gateway.heads import headers_of
from fastgate.gateway.inflate import Feeds, Inflater
from fastgate.gateway.keeping import keep, recording_of
from fastgate.gateway.legs import Leg
from fastgate.gateway.metering import Purse
from fastgate.gateway.relay import StreamRelay
from fastgate.gateway.settlement import Outcome, settle
from fastgate.gateway.window import ClientWindow
from fastgate.wire.failure import Failure, FailureCode
from fastgate.wire.request import ChatRequest


def is_event_stream(exchange: Exchange) -> bool:
    """Whether the provider streams, as it was asked to."""
    return (exchange.header(b"content-type") or b"")[:17].lower() == b"text/event-stream"


async def relay_stream(call: Call, leg: Leg, held: Hold, request: ChatRequest, exchange: Exchange) -> None:
    """To its end, or to the end of the money."""
    dialect, pays = call.dialect, call.instalments is not None
    scanner = EventScanner(dialect.table, dialect.hides_usage(request), whole=pays or call.within_ns > 0)
    purse = Purse(call, leg, held, request, scanner) if pays else None
    recording = recording_of(call, scanner)
    meter = Inflater.of(exchange.header(b"content-encoding")).before(recording or scanner)
    relay = open_relay(call, leg, exchange, meter)
    relay.events = True
    if purse is not None:
        relay.pay(purse, scanner)
    try:
        cut = await run(call, relay)
        if purse is not None and relay.spent:
            usage, outcome = Outcome.spent(call, leg, held, dialect.charges_of_stream(scanner.captures), purse.code)
            settle(call, held, outcome, 200)
            relay.send(dialect.ending(scanner, request, usage))
            return
        if cut is None and not dialect.is_whole(scanner):
            cut = ClosedEarly("the stream ended without saying that it is complete", sent=True, answered=True)
        outcome = outcome_of(call, leg, held, scanner, cut, client_gone=relay.client_gone)
        settle(call, held, outcome, 200)
        if recording is not None and cut is None and (events := recording.events()) is not None:
            hidden = dialect.hides_usage(request)
            stated = dialect.stated_of_stream(scanner.captures) if hidden else None
            sound = partial(dialect.is_complete, scanner, request)
            keep(call, leg, outcome, UNSTATED if hidden else STREAM, events, sound=sound, stated=stated or b"")
        if cut is not None:
            failure = Failure(FailureCode.UPSTREAM_ERROR, broken(call, leg, cut))
            relay.send(dialect.stream_error(failure, call.request_id))
    finally:
        relay.close()
        if recording is not None:
            recording.close()


def outcome_of(
    call: Call, leg: Leg, held: Hold, scanner: EventScanner, cut: UpstreamError | None, *, client_gone: bool
) -> Outcome:
    """Of a stream that ended by itself."""
    dialect, seen = call.dialect, scanner.captures
    return Outcome.of(
        call,
        leg,
        held,
        dialect.charges_of_stream(seen),
        scanner.output_bytes,
        cut=cut,
        final=dialect.is_final(seen),
        client_gone=client_gone,
        failed=scanner.failed,
    )


def open_relay(call: Call, leg: Leg, exchange: Exchange, meter: Feeds) -> StreamRelay:
    """Begin an answer whose end is not known."""
    transport = call.protocol.response_stream(200, headers_of(call, leg, provider_headers(exchange.headers)))
    relay = call.relay = StreamRelay(
        exchange,
        meter,
        transport,
        window_of(call),
        depart=partial(depart, call),
        stalled_seconds=call.worker.patience.stalled_seconds,
    )
    if call.departed:
        relay.leave()
    return relay


def window_of(call: Call) -> ClientWindow:
    """How much may wait for this client."""
    return ClientWindow(call.scope.client, call.worker.unread)


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
