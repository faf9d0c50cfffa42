"""One attempt: the request as it goes to a provider, and what is done with what comes back."""

import asyncio
from time import time_ns
from typing import Final
from urllib.parse import quote

from fastgate._core.budget import Hold
from fastgate._core.upstream_errors import UpstreamError
from fastgate.gateway.call import Call
from fastgate.gateway.departure import finish, set_deadline
from fastgate.gateway.faults import unanswered
from fastgate.gateway.inbound import query_to_forward
from fastgate.gateway.legs import Leg
from fastgate.gateway.settlement import Outcome, settle
from fastgate.gateway.streams import is_event_stream, relay_stream
from fastgate.gateway.wholes import relay_answer, relay_refusal
from fastgate.wire.request import ChatRequest

CLIENT_CLOSED: Final = 499
"""Status in the ledger of a request whose client did not wait for the answer."""
_MOST_HEADS: Final = 64
_LONGEST_HEAD: Final = 4096
"""Bytes of one that is kept: a client may say what it likes."""
_URL_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"


async def attempt(call: Call, leg: Leg, held: Hold, request: ChatRequest, payload: bytes) -> None:
    """Send the request to the provider of ``leg`` and relay what it answers."""
    head = compose(call, leg, len(payload))
    exchange = None
    began = time_ns()
    call.worker.patience.wait(call, began)
    if call.within_ns:
        set_deadline(call, leg)
    held.sent()
    try:
        exchange = await leg.upstream.pool.request(head, payload)
        call.upstream_ns = time_ns() - began
        call.first_byte_ns = exchange.answered_ns - exchange.started_ns
        if exchange.status != 200:
            await relay_refusal(call, leg, held, exchange)
        elif request.stream and is_event_stream(exchange):
            await relay_stream(call, leg, held, request, exchange)
        else:
            await relay_answer(call, leg, held, exchange)
    except UpstreamError as error:
        call.upstream_ns = time_ns() - began
        raise unanswered(call, leg, held, error) from error
    except asyncio.CancelledError:  # nobody waits for the answer, and the time to read on is over
        settle(call, held, Outcome.abandoned(), CLIENT_CLOSED)
        if exchange is not None:
            exchange.abort()
        raise
    finally:
        finish(call)


def compose(call: Call, leg: Leg, length: int) -> bytes:
    """The head of the request to the provider. Clients repeat themselves, so all but the length is kept."""
    headers = call.headers
    names = leg.upstream.kind.forward[call.dialect.name]
    values = (call.path, call.query, *map(headers.get, names))
    head = leg.heads.get(values)
    if head is None:
        head = first_lines(call, leg, dict(zip(names, values[2:], strict=True)))
        if len(head) <= _LONGEST_HEAD:
            if len(leg.heads) >= _MOST_HEADS:
                leg.heads.clear()
            leg.heads[values] = head
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
