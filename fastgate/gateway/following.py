"""Requests that wait for one that asks the same, rather than pay for the same answer once more."""

import asyncio
from time import time_ns
from typing import Final

from fastgate._core.slab import Hit
from fastgate.cache.question import Question
from fastgate.gateway.call import Call
from fastgate.gateway.departure import finish, out_of_time, set_deadline
from fastgate.gateway.flights import Flight
from fastgate.gateway.legs import Leg
from fastgate.wire.failure import Failure, FailureCode

_MOST_FLIGHTS: Final = 2
"""How many a request waits for before it asks by itself: where answers fail, a crowd would wait in turn."""


async def followed(call: Call, leg: Leg, question: Question) -> Hit | None:
    """The answer that another request got; None: this one is to ask, and ``call.flight`` what others may wait for.

    Raises Failure where its client does not wait so long.
    """
    slab, flights = call.worker.slab, call.worker.flights
    if slab is None:  # since a reload
        return None
    until = call.worker.loop.time() + call.worker.patience.follow_seconds
    for _ in range(_MOST_FLIGHTS):
        flight, leads = flights.join(slab, question.key)
        if leads:
            call.flight = flight
        else:
            await _landed(call, leg, flight, until)
        hit = slab.find(question.key, question.fingerprint, time_ns() // 1_000_000)
        if hit is not None or leads or flight.unfit or call.worker.loop.time() >= until:
            return hit  # to who leads one, too: it may have been kept between its first look and now
    return None


async def _landed(call: Call, leg: Leg, flight: Flight, until: float) -> None:
    """Return when it has landed, and at ``until`` by the loop's clock at the latest.

    Raises Failure where the client has left, or its time is over.
    """
    began = time_ns()
    call.worker.patience.wait(call, began)
    if call.within_ns:
        set_deadline(call, leg)
    waiter = flight.wait(call.worker.loop)
    timer = call.worker.loop.call_at(until, _tire, waiter)
    try:
        await waiter
    finally:
        timer.cancel()
        finish(call)
    if call.status:
        raise out_of_time(call, leg)
    if call.departed:
        raise Failure(FailureCode.REQUEST_TIMEOUT, "The client left while another request for the same was under way.")
    if call.within_ns:
        call.within_ns = max(1, call.within_ns - (time_ns() - began))


def _tire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
