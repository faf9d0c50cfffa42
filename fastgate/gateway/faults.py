"""Providers that fail: what their clients are told, and what is charged where no answer came."""

from typing import Final

from fastgate._core.budget import Hold
from fastgate._core.upstream_errors import (
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
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.gateway.settlement import Outcome, settle
from fastgate.wire.failure import Failure, FailureCode

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
