"""Clients that wait no more for their answer: they have left, or the time is over that they gave it.

Either way the provider goes on and bills, so it is read on for what it says of that, but not for ever. Whoever ended it
at once would leave nothing to charge but all that was held, and a client chooses its time as it likes.
"""

import asyncio
from typing import TYPE_CHECKING

from fastgate.gateway.answers import send_failure
from fastgate.gateway.nobody import NOBODY
from fastgate.wire.failure import Failure, FailureCode

if TYPE_CHECKING:
    from fastgate.gateway.call import Call
    from fastgate.gateway.legs import Leg


def set_deadline(call: "Call", leg: "Leg") -> None:
    """The answer has to be whole within ``call.within_ns``, or its client hears that it is not."""
    call.timer = asyncio.get_running_loop().call_later(call.within_ns / 1e9, run_out, call, leg)


def run_out(call: "Call", leg: "Leg") -> None:
    """The client's time is over: it is told so now, by an answer or by the last event of its stream."""
    failure = out_of_time(call, leg)
    call.error = failure.code.value
    if call.relay is None:
        extra = [("x-fastgate-request-id", call.request_id)]
        call.status = send_failure(call.protocol, call.dialect, failure, call.request_id, extra)
        call.protocol = NOBODY
    elif call.relay.events:
        call.relay.send(call.dialect.stream_error(failure, call.request_id))
    depart(call)


def out_of_time(call: "Call", leg: "Leg") -> Failure:
    """That the client's own time is over."""
    return Failure(
        FailureCode.UPSTREAM_TIMEOUT,
        f"The provider '{leg.upstream.record.name}' has not answered within the {call.within_ns // 1_000_000} ms"
        " of x-fastgate-timeout-ms.",
    )


def depart(call: "Call") -> None:
    """Nobody waits for the answer any more: it is read on for ``disconnect.read_seconds``."""
    if call.departed:
        return
    call.departed = True
    _forget(call)
    seconds = call.state.head.disconnect_ms / 1000
    call.timer = asyncio.get_running_loop().call_later(seconds, abandon, call)
    if call.relay is not None:
        call.relay.leave()


def abandon(call: "Call") -> None:
    """The time to read on is over, too."""
    if call.relay is not None:
        call.relay.abandon()
    else:
        call.task.cancel()


def finish(call: "Call") -> None:
    """The answer is over: whether anybody waits for it matters no more."""
    _forget(call)
    call.relay = None  # which knows the call


def _forget(call: "Call") -> None:
    call.worker.patience.answered(call)
    if call.timer is not None:
        call.timer.cancel()
        call.timer = None
