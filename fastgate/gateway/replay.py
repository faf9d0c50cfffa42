"""Answers that are given again, in the form that is asked for: whole or streamed, at once or at a set pace."""

import asyncio

from fastgate._core.budget import OUTCOME_CLIENT_GONE, OUTCOME_OK, SETTLED_NONE, Hold
from fastgate._core.slab import Hit
from fastgate.cache.question import UNSTATED, WHOLE, unpacked
from fastgate.dialects import sse
from fastgate.dialects.base import JSON_TYPE, Dialect
from fastgate.gateway.call import Call
from fastgate.gateway.heads import headers_of
from fastgate.gateway.legs import Leg
from fastgate.gateway.meaning import Meant
from fastgate.gateway.relay import accepted, deliver
from fastgate.gateway.settlement import Outcome, settle
from fastgate.gateway.streams import window_of
from fastgate.gateway.window import LEAST_OUTSTANDING
from fastgate.wire.request import ChatRequest

_EVENTS = ("content-type", "text/event-stream; charset=utf-8")


def told(dialect: Dialect, hit: Hit | Meant, request: ChatRequest) -> list[bytes] | None:
    """The body, or the events, as the client asks for them; None: what is kept has no such form."""
    _, stated = unpacked(hit.usage)
    kept, hides = hit.answer, dialect.hides_usage(request)
    if not request.stream:
        body = kept if hit.kind == WHOLE else dialect.answer_of(kept, usage=stated or None)
        return None if body is None else [body]
    if hit.kind == WHOLE:
        return dialect.events_of(kept, include_usage=not hides)
    if hides == (hit.kind == UNSTATED):
        return [kept]
    events = dialect.same_form(kept, include_usage=not hides, usage=stated or None)
    return None if events is None else [events]


async def replay(call: Call, leg: Leg, held: Hold, pieces: list[bytes], *, stream: bool) -> None:
    """Hand the answer to the client, and settle that it cost nothing."""
    assert leg.cache is not None
    pause = leg.cache.replay_ms / 1000
    if stream and pause:
        await _at_pace(
            call, leg, held, [sse.event(data, name.decode()) for name, data in sse.split(b"".join(pieces))], pause
        )
        return
    settle(call, held, _free(), 200)
    body = b"".join(pieces)
    headers = headers_of(call, leg, [_EVENTS if stream else JSON_TYPE], 0)
    if len(body) <= LEAST_OUTSTANDING:
        call.protocol.response_bytes(200, headers, body)
        return
    transport = call.protocol.response_stream(200, [*headers, ("content-length", str(len(body)))])
    window = window_of(call)
    await deliver(body, transport, window, call.worker.patience.stalled_seconds)
    call.worker.patience.linger(window)


async def _at_pace(call: Call, leg: Leg, held: Hold, events: list[bytes], pause: float) -> None:
    """One event after another; a client that leaves ends it."""
    outcome = OUTCOME_CLIENT_GONE
    try:
        transport = call.protocol.response_stream(200, headers_of(call, leg, [_EVENTS], 0))
        for number, event in enumerate(events):
            if number:
                await asyncio.sleep(pause)
            if not accepted(transport.send_bytes(event)):
                return
        outcome = OUTCOME_OK
    finally:
        settle(call, held, _free(outcome), 200)


def _free(outcome: int = OUTCOME_OK) -> Outcome:
    return Outcome(0, None, SETTLED_NONE, outcome)
