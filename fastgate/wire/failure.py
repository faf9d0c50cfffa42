"""What the gateway itself refuses or could not do, in terms that no client API knows of.

``Failure`` is raised anywhere on the request path; a dialect turns it into the status, headers and body that its
clients handle best. The code is stable and goes out as ``x-fastgate-error`` in every dialect; the sentence is the same
everywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from fastgate.wire.leasing import Withheld
from fastgate.wire.networks import address_text

if TYPE_CHECKING:
    from fastgate._core.body import BodyError

MAX_RETRY_AFTER: Final = 60
"""Seconds. Some SDKs wait as long as they are told, others give up beyond two minutes."""


class FailureCode(StrEnum):
    """The values of ``x-fastgate-error``."""

    INVALID_API_KEY = "invalid_api_key"
    BUDGET_EXCEEDED = "budget_exceeded"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    PROVIDER_NOT_ALLOWED = "provider_not_allowed"
    IP_NOT_ALLOWED = "ip_not_allowed"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UPGRADE_REFUSED = "upgrade_refused"
    INVALID_REQUEST = "invalid_request"
    MODEL_UNPRICED = "model_unpriced"
    DIALECT_NOT_SUPPORTED = "dialect_not_supported"
    REQUEST_TOO_LARGE = "request_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    RATE_LIMITED = "rate_limited"
    UPSTREAM_ERROR = "upstream_error"
    NO_HEALTHY_TARGET = "no_healthy_target"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    NOT_CACHED = "not_cached"
    OVERLOADED = "overloaded"
    DRAINING = "draining"
    INTERNAL_ERROR = "internal_error"


TRANSIENT: Final = frozenset(
    {
        FailureCode.REQUEST_TIMEOUT,
        FailureCode.RATE_LIMITED,
        FailureCode.UPSTREAM_ERROR,
        FailureCode.NO_HEALTHY_TARGET,
        FailureCode.UPSTREAM_TIMEOUT,
        FailureCode.OVERLOADED,
        FailureCode.DRAINING,
        FailureCode.INTERNAL_ERROR,
    }
)
"""Codes after which the same request may succeed."""


def usd(nano: int) -> str:
    """Nano-USD as people write it: ``$12.50``, ``$0.000000001``; at least two places, none lost."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), 10**9)
    places = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole}.{places}"


def instant(ns: int) -> str:
    """RFC 3339 of nanoseconds since 1970 UTC, rounded up to the millisecond."""
    seconds, ms = divmod(-(-ns // 1_000_000), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


_WITHHELD: Final = {
    Withheld.LEASED: "Other hosts have leased what is left of it: it may pass soon, unless they are gone.",
    Withheld.AWAY: (
        "There is room for it, but the Redis that hosts share it by cannot be asked now, and this host has used what it"
        " had leased: it may pass soon."
    ),
    Withheld.LEARNS: (
        "There is room for it, but the Redis that hosts share it by waits until all hosts have told what they use:"
        " it may pass soon."
    ),
    Withheld.REFUSES: (
        "There is room for it, but this host gets none, as another one goes by its name: it may pass on other hosts."
    ),
    Withheld.STRANDED: (
        "Hosts that lost their counters had leased what is left of it: nobody knows whether they used that, so that it"
        " counts as used."
    ),
}
"""Why a host cannot have what is left of a budget or limit."""


class Failure(Exception):
    """A request that ends without a provider's answer.

    ``message`` says what and why, as whole sentences; ``retry_after`` is in whole seconds, at most 60, and so is
    ``retry_after_ms``, where the moment is known to the millisecond; ``param`` names the member of the body that is at
    fault; ``final`` says that a client's retry is idle, as the gateway has tried elsewhere already, say; ``passing``
    that what is in the way may go by itself, nobody knows when.
    """

    def __init__(
        self,
        code: FailureCode,
        message: str,
        *,
        retry_after: int | None = None,
        retry_after_ms: int | None = None,
        param: str | None = None,
        final: bool = False,
        passing: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        if retry_after_ms is not None:
            retry_after_ms = min(retry_after_ms, MAX_RETRY_AFTER * 1000)
            retry_after = -(-retry_after_ms // 1000)
        self.retry_after = None if retry_after is None else max(1, min(retry_after, MAX_RETRY_AFTER))
        self.retry_after_ms = retry_after_ms
        self.param = param
        self.final = final
        self.passing = passing

    @property
    def transient(self) -> bool:
        """Whether retrying the same request can help."""
        return (self.passing or self.code in TRANSIENT) and not self.final

    def sentence(self, request_id: str) -> str:
        """The message, whether retrying helps, and the request's id."""
        if not self.transient:
            until = " before it resets or is raised" if self.code is FailureCode.BUDGET_EXCEEDED else ""
            advice = f"Retrying does not help{until}."
        elif self.retry_after is not None:
            advice = f"Retry after {self.retry_after} s."
        else:
            advice = "Retrying may help."
        return f"{self.message} {advice} (request id {request_id})"

    @classmethod
    def of_body(cls, error: BodyError) -> Failure:
        """A body that is not JSON, or has a member of a wrong type."""
        where = f"at line {error.line}, column {error.column} (byte {error.offset})"
        what = error.message if error.field else f"The body is not acceptable JSON: {error.message}"
        return cls(FailureCode.INVALID_REQUEST, f"{what}, {where}.", param=error.field)

    @classmethod
    def invalid(cls, message: str, param: str | None = None) -> Failure:
        """A request that no provider could take."""
        return cls(FailureCode.INVALID_REQUEST, message, param=param)

    @classmethod
    def invalid_key(cls, why: str) -> Failure:
        """``why`` completes "The API key ...": ``is missing``, ``is unknown``, ``expired on 2027-01-01``."""
        return cls(FailureCode.INVALID_API_KEY, f"The API key {why}.")

    @classmethod
    def budget(
        cls,
        *,
        level: str,
        budget: str,
        limit: int,
        spent: int,
        held: int,
        need: int,
        resets_at_ns: int | None,
        others_hold: bool = False,
        withheld: Withheld | None = None,
    ) -> Failure:
        """A hard budget does not cover the request. Amounts in nano-USD.

        ``resets_at_ns`` 0: it never resets; None: nothing was ever held of it, so that its window has not begun.
        ``others_hold``: what is spent leaves room for the request, so that it may pass when others have ended.
        ``withheld``: there is room for it, and this host cannot have that, and why.
        """
        if resets_at_ns is None:
            reset = "Its window begins with the first request that it covers."
        elif resets_at_ns:
            reset = f"It resets at {datetime.fromtimestamp(resets_at_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}."
        else:
            reset = "It does not reset."
        message = (
            f"The {level} budget '{budget}' does not cover this request: limit {usd(limit)}, spent {usd(spent)}, "
            f"held by open requests {usd(held)}, and this request may cost up to {usd(need)}. {reset}"
        )
        if withheld is not None:
            message, passing = f"{message} {_WITHHELD[withheld]}", withheld != Withheld.STRANDED
            return cls(FailureCode.BUDGET_EXCEEDED, message, passing=passing)
        if not others_hold:
            return cls(FailureCode.BUDGET_EXCEEDED, message)
        message += (
            " What is spent leaves room for it, and open requests hold the rest: it may pass when they have ended."
        )
        return cls(FailureCode.BUDGET_EXCEEDED, message, passing=True)

    @classmethod
    def rate_limited(
        cls,
        *,
        level: str,
        limit: str,
        allowed: str,
        used: int,
        need: int,
        resets_at_ns: int,
        retry_after_ms: int | None,
        withheld: Withheld | None = None,
    ) -> Failure:
        """A limit has no room for the request. ``allowed``: ``100 requests per second``.

        ``resets_at_ns`` 0: it has room again as others end. ``retry_after_ms`` None: it never will have.
        ``withheld``: as of a budget.
        """
        message = (
            f"The {level} limit '{limit}' has no room for this request: it allows {allowed}, of which {used} are taken"
        )
        if withheld is not None:
            message += f", and this request may take {need}. {_WITHHELD[withheld]}"
            if withheld == Withheld.STRANDED:
                message += f" It resets at {instant(resets_at_ns)}."
        elif retry_after_ms is None:
            message += f", and this request alone may take {need}."
        elif resets_at_ns:
            message += f", and this request may take {need}. It resets at {instant(resets_at_ns)}."
        else:
            message += ": it has room again when one of them has ended."
        final = retry_after_ms is None
        return cls(FailureCode.RATE_LIMITED, message, retry_after_ms=retry_after_ms, final=final)

    @classmethod
    def no_space(cls, full: Exception) -> Failure:
        """Nowhere to count what a request costs: so it must not be served."""
        return cls(FailureCode.OVERLOADED, f"No space to count this request: {full}.", retry_after=5)

    @classmethod
    def not_cached(cls, why: str) -> Failure:
        """Only what is kept was to be given, and that is nothing."""
        return cls(
            FailureCode.NOT_CACHED,
            f"The request says 'x-fastgate-cache: only', and {why}; no provider was asked.",
            final=True,
        )

    @classmethod
    def not_counted(cls) -> Failure:
        """What was spent is not known: the counters were lost, and the ledger that has it cannot be read."""
        return cls(
            FailureCode.OVERLOADED,
            "What was spent of this key's budgets is not known: the counters were lost and the ledger cannot be read."
            " The operator has to put the ledger right, or to let them begin at zero (fastgate state accept-loss).",
            retry_after=MAX_RETRY_AFTER,
        )

    @classmethod
    def model_not_found(cls, model: str) -> Failure:
        """Neither a public name nor ``provider/model``."""
        message = f"The model '{shown(model)}' is neither a configured name nor 'provider/model' of a known provider."
        return cls(FailureCode.MODEL_NOT_FOUND, message, param="model")

    @classmethod
    def model_not_allowed(cls, model: str, key: str) -> Failure:
        """The key's allow-list does not have the model."""
        message = f"The key '{key}' may not use the model '{shown(model)}'."
        return cls(FailureCode.MODEL_NOT_ALLOWED, message, param="model")

    @classmethod
    def ip_not_allowed(cls, key: str, address: int | None) -> Failure:
        """The key's networks do not have the client's address; None: a trusted proxy did not say it."""
        where = (
            "from an address that is not known: the proxy in front sent no valid X-Forwarded-For"
            if address is None
            else f"from {address_text(address)}"
        )
        return cls(FailureCode.IP_NOT_ALLOWED, f"The key '{key}' may not be used {where}.")

    @classmethod
    def too_large(cls, limit: int) -> Failure:
        """A body beyond ``limit`` bytes."""
        return cls(FailureCode.REQUEST_TOO_LARGE, f"The body is larger than the limit of {limit} bytes.")


def shown(text: str, limit: int = 200) -> str:
    """Text of a client as it may stand in a message: one line, printable, bounded."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)
