"""What a request is charged, and how that is marked.

============================================  =====================================  ===========
what happened                                 charged                                settlement
============================================  =====================================  ===========
answered, usage reported                      the usage                              exact
client gone, upstream read to its usage       the usage                              exact
answered or cut, usage missing                the most that can have been produced   estimated
ended here, as the money was spent            what was held of the output            estimated
provider's own error, or nothing was sent     nothing                                none
sent, and no answer came                      the hold                               unsettled
============================================  =====================================  ===========
"""

from fractions import Fraction
from time import time_ns
from typing import Final

import msgspec

from fastgate._core.budget import (
    OUTCOME_CLIENT_GONE,
    OUTCOME_OK,
    OUTCOME_UNKNOWN,
    OUTCOME_UPSTREAM_ERROR,
    SETTLED_ESTIMATED,
    SETTLED_EXACT,
    SETTLED_NONE,
    SETTLED_UNSETTLED,
    Hold,
)
from fastgate._core.price import Usage
from fastgate._core.upstream_errors import UpstreamError
from fastgate.dialects.base import Charge, output_tokens, total
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.wire.failure import FailureCode
from fastgate.wire.money import MOST_NANO, nano_of, share_of
from fastgate.wire.usage import Bucket

_OUTPUT: Final = int(Bucket.OUTPUT)  # a member of an enumeration is found by a dictionary, each time
_REASONING: Final = int(Bucket.REASONING)
UNHEARD: Final = 256
"""Tokens of output that a provider may write before it hears that nobody listens any more."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended."""

    cost: int | None
    """nano-USD; None: the hold, as nobody knows better."""
    usage: Usage | None
    settlement: int
    outcome: int
    error: str = ""

    @classmethod
    def free(cls) -> "Outcome":
        """Nothing to bill."""
        return cls(0, None, SETTLED_NONE, OUTCOME_OK)

    @classmethod
    def unbilled(cls, code: FailureCode) -> "Outcome":
        """An error for which no provider bills."""
        return cls(0, None, SETTLED_NONE, OUTCOME_UPSTREAM_ERROR, code.value)

    @classmethod
    def unknown(cls, code: FailureCode) -> "Outcome":
        """The provider may bill, and has not said what."""
        return cls(None, None, SETTLED_UNSETTLED, OUTCOME_UNKNOWN, code.value)

    @classmethod
    def abandoned(cls) -> "Outcome":
        """The client left and the provider did not answer within the time that is read on."""
        return cls(None, None, SETTLED_UNSETTLED, OUTCOME_CLIENT_GONE)

    @classmethod
    def spent(
        cls, call: Call, leg: Leg, held: Hold, charges: list[Charge] | None, code: FailureCode
    ) -> "tuple[Usage, Outcome]":
        """A stream that was ended here: it has used what was held of its output, with what a provider may yet write."""
        usage = raised(call, total(charges), held.output_tokens)
        cost = max(price(call, leg, charges or []), min(price(call, leg, [Charge(None, usage)]), held.amount))
        return usage, cls(cost, usage, SETTLED_ESTIMATED, OUTCOME_OK, code.value)

    @classmethod
    def of(
        cls,
        call: Call,
        leg: Leg,
        held: Hold,
        charges: list[Charge] | None,
        output_bytes: int,
        *,
        cut: UpstreamError | None = None,
        final: bool = False,
        client_gone: bool = False,
        failed: bool = False,
    ) -> "Outcome":
        """An answer, whole or in part: by what it reports, else by what was measured.

        ``final``: what it reported before it was ``cut`` was its last word.
        """
        outcome, error = OUTCOME_OK, ""
        if client_gone:
            outcome = OUTCOME_CLIENT_GONE
        elif cut or failed:
            outcome, error = OUTCOME_UPSTREAM_ERROR, FailureCode.UPSTREAM_ERROR.value
        usage = total(charges)
        if charges and usage is not None and not usage.estimated and (cut is None or final):
            if call.teaches:
                leg.terms.learn(usage, call.body_size)
            if call.outputs is not None:
                call.outputs.observe(usage[_OUTPUT], output_bytes, usage[_REASONING])
            return cls(price(call, leg, charges), usage, SETTLED_EXACT, outcome, error)
        least = price(call, leg, charges or [])  # what was reported is owed, whatever was held
        usage = raised(call, total(charges), most_produced(call, held, output_bytes))
        cost = max(least, price(call, leg, [Charge(None, usage)])) if leg.terms.price >= 0 else 0
        return cls(cost, usage, SETTLED_ESTIMATED, outcome, error)


def price(call: Call, leg: Leg, charges: list[Charge]) -> int:
    """nano-USD of all charges, rounded once; those of another model at that model's own price where it has one."""
    terms = leg.terms
    if len(charges) == 1:
        charge = charges[0]
        if charge.model is None:
            return terms.charge(charge.usage, call.now_ns)
        return terms.prices.charge(_price_of(leg, charge.model), charge.usage, call.now_ns, terms.geo)
    exact: int | Fraction = 0
    for charge in charges:
        usage = charge.usage
        usage.geo = usage.geo or terms.geo
        index = _price_of(leg, charge.model)
        lines = terms.prices.lines(index, usage, call.now_ns) if index >= 0 else ()
        exact += sum(map(share_of, lines))
    return min(nano_of(exact), MOST_NANO)


def _price_of(leg: Leg, model: str | None) -> int:
    if model is None or model == leg.model:
        return leg.terms.price
    attempts = dict(leg.terms.attempts)
    if model in attempts:  # where nothing prices it, that is what the key says
        return attempts[model].price
    index = leg.upstream.record.price_of(model)
    return leg.terms.price if index < 0 else index


def most_produced(call: Call, held: Hold, output_bytes: int) -> int:
    """Tokens of output at most, of an answer of which so many bytes were seen and that did not say.

    Its whole cap, where it may have had reasoning that nobody saw: what was billed of that before is no bound for one
    that was cut, and nobody would learn otherwise. Else a token is at least one byte of text, and held for.
    """
    outputs = call.outputs
    hidden = call.reasons
    if hidden is None:
        hidden = outputs is None or not outputs.learned
    if hidden or (outputs is not None and outputs.most_reasoning):
        return max(call.bound.output_tokens, held.output_tokens)
    return min(held.output_tokens, output_bytes + UNHEARD)


def raised(call: Call, usage: Usage | None, produced: int) -> Usage:
    """What was reported so far, if anything was, with so much output at least."""
    if usage is None:
        usage = Usage(tier=call.tier, input=call.bound.input_tokens)
    usage[_OUTPUT] = usage[_OUTPUT] + max(0, produced - output_tokens(usage))
    usage.estimated = True
    return usage


def settle(call: Call, held: Hold, outcome: Outcome, status: int) -> int:
    """Book the outcome and log the request; returns nano-USD."""
    cost = outcome.cost
    if cost is None:
        cost = held.amount
    elapsed, upstream = time_ns() - call.now_ns, call.upstream_ns
    held.settle(  # by position: names would be looked up one by one
        cost,
        outcome.usage,
        outcome.settlement,
        outcome.outcome,
        call.status or status,
        elapsed // 1000,
        upstream // 1000,
        call.first_byte_ns // 1000,
        (elapsed - upstream) // 1000,
        outcome.error or call.error,
        call.cache,
        call.saved,
        call.decided,
        call.given,
    )
    return cost
