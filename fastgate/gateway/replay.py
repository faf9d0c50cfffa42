"""Answers that are given again, in the form that is asked for: whole or streamed, at once or at a set pace."""

import asyncio
from typing import Final

from fastgate._core.budget import OUTCOME_CLIENT_GONE, OUTCOME_OK, SETTLED_NONE, Hold
from fastgate._core.slab import Hit
from fastgate.cache.question import UNSTATED, WHOLE, unpacked
from fastgate.dialects import sse
from fastgate.dialects.base import JSON_TYPE, Dialect
from fastgate.gateway.call import Call
from fastgate.gateway.forms import Forms
from fastgate.gateway.heads import headers_of
from fastgate.gateway.legs import Leg
from fastgate.gateway.meaning import Meant
from fastgate.gateway.relay import accepted, deliver, has_room
from fastgate.gateway.settlement import Outcome, settle
from fastgate.gateway.streams import window_of
from fastgate.gateway.window import LEAST_OUTSTANDING
from fastgate.wire.request import ChatRequest

_EVENTS: Final = ("content-type", "text/event-stream; charset=utf-8")
_FREE: Final = Outcome.free()


def told(forms: Forms, dialect: Dialect, hit: Hit | Meant, request: ChatRequest) -> list[bytes] | None:
    """The body, or the events, as the client asks for them; None: what is kept has no such form."""
    stream, hides = request.stream, dialect.hides_usage(request)
    if hit.kind == WHOLE if not stream else hit.kind != WHOLE and hides == (hit.kind == UNSTATED):
        return [hit.answer]
    return forms.of((hit.id, stream, hides), lambda: _made(dialect, hit, stream=stream, hides=hides))


def _made(dialect: Dialect, hit: Hit | Meant, *, stream: bool, hides: bool) -> list[bytes] | None:
    """In a form that it is not kept in. ``hides``: the client does not want to see its usage."""
    _, stated = unpacked(hit.usage)
    if stream and hit.kind == WHOLE:
        return dialect.events_of(hit.answer, include_usage=not hides)
    if stream:
        made = dialect.same_form(hit.answer, include_usage=not hides, usage=stated or None)
    else:
        made = dialect.answer_of(hit.answer, usage=stated or None)
    return None if made is None else [made]


def given(call: Call, leg: Leg, held: Hold, pieces: list[bytes], *, stream: bool) -> bool:
    """Answer at once, and settle that it cost nothing; False: it has a pace, or is too long for that."""
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if len(body) > LEAST_OUTSTANDING or (stream and _pause_of(leg)):
        return False
    settle(call, held, _FREE, 200)
    call.protocol.response_bytes(200, headers_of(call, leg, [_EVENTS if stream else JSON_TYPE], 0), body)
    return True


def _pause_of(leg: Leg) -> float:
    """Seconds between two events."""
    return leg.cache.replay_ms / 1000 if leg.cache is not None else 0


async def replay(call: Call, leg: Leg, held: Hold, pieces: list[bytes], *, stream: bool) -> None:
    """Likewise, for as long as it takes."""
    if stream and _pause_of(leg):
        await _at_pace(call, leg, held, pieces, _pause_of(leg))
        return
    body = b"".join(pieces)
    settle(call, held, _FREE, 200)
    headers = headers_of(call, leg, [_EVENTS if stream else JSON_TYPE], 0)
    transport = call.protocol.response_stream(200, [*headers, ("content-length", str(len(body)))])
    window = window_of(call)
    await deliver(body, transport, window, call.worker.patience.stalled_seconds)
    call.worker.patience.linger(window)


async def _at_pace(call: Call, leg: Leg, held: Hold, pieces: list[bytes], pause: float) -> None:
    """One event after another, as its client takes them; one that leaves, or takes nothing for too long, ends it."""
    outcome, patience = OUTCOME_CLIENT_GONE, call.worker.patience
    try:
        transport = call.protocol.response_stream(200, headers_of(call, leg, [_EVENTS], 0))
        window = window_of(call)
        for event in (block for piece in pieces for block in sse.blocks(piece)):
            if window.sent:
                await asyncio.sleep(pause)
            if not accepted(transport.send_bytes(event)):
                return
            window.sent += len(event)
            if not await has_room(window, patience.stalled_seconds):
                return
        patience.linger(window)
        outcome = OUTCOME_OK
    finally:
        settle(call, held, Outcome(0, None, SETTLED_NONE, outcome), 200)
