"""Holding for a request before it is sent: of every budget that applies, or of none; what is done where one is full."""

import asyncio
from time import time_ns
from typing import Final

from fastgate._core.arena import ArenaFull
from fastgate._core.budget import CONTENDED, Hold, hold
from fastgate.budgets.holds import Bound, asked_tier, why_unbounded
from fastgate.budgets.instalments import HALVINGS, Instalments
from fastgate.gateway.attribution import NOTHING_SAID
from fastgate.gateway.call import Call
from fastgate.gateway.identity import check_claims
from fastgate.gateway.leasing import Patience
from fastgate.gateway.legs import Leg
from fastgate.gateway.limits import need_of, over_limit, withheld
from fastgate.gateway.templates import TooManyValues
from fastgate.wire.failure import Failure, FailureCode
from fastgate.wire.request import ChatRequest
from fastgate.wire.snapshot import BudgetRecord, LimitRecord, OnLimit, Window

LEAST_CAP: Final = 16
"""Tokens of output below which a cap is not lowered: no answer is worth less, and some providers take none."""
_CONTENDED_TRIES: Final = 200
_CLAMPS: Final = 8
"""How often a cap is lowered, as another budget may have less room than the first, or others may be quicker."""


def bind(call: Call, leg: Leg, request: ChatRequest) -> Leg:
    """``leg`` with what binds the request's own user, tags and so on, and with the prices of the other models it names.

    Raises Failure where there is no more of that, or the key may not use one of those.
    """
    if leg.templates is not None and leg.templates.claims:
        check_claims(call.scope.headers, call.attributes, leg.templates.claims)
    try:
        leg = leg.bound(call.attributes, call.now_ns, free=call.free)
    except TooManyValues as full:
        call.refused_by = f"{full.kind}:{full.level}"
        raise Failure(FailureCode.OVERLOADED, f"No {full.kind} for this request: {full}.", final=True) from full
    except ArenaFull as full:
        raise Failure.no_space(full) from full
    if call.free or not request.other_models:
        return leg
    assert call.grant is not None
    return call.grant.with_others(leg, request.other_models)


def prepare(call: Call, leg: Leg, request: ChatRequest, size: int) -> None:
    """What a body of ``size`` bytes may cost on this way, and how much of that is held first. Raises Failure."""
    call.bound, tokens, amount, call.outputs, call.reasons, call.teaches = leg.terms.quote(
        request, size, call.now_ns, call.free
    )
    if amount is not None:  # as for most, which ask for no tier either
        call.instalments, call.held_tokens, call.amount = None, tokens, amount
        return
    call.tier = asked_tier(request)
    if leg.terms.strict or request.thinking_budget is not None:
        check_bound(call, leg, request)
    reckon(call, leg, request, call.bound)


def reckon(call: Call, leg: Leg, request: ChatRequest, bound: Bound) -> None:
    """What is held first of ``bound``."""
    call.bound = bound
    if call.free:
        return
    plan = Instalments.of(leg.terms, bound, request) if request.stream and leg.terms.instalments else None
    call.instalments = plan
    hold_first(call, leg, request, plan.first() if plan is not None else bound.output_tokens)


def hold_first(call: Call, leg: Leg, request: ChatRequest, output_tokens: int) -> None:
    """So much of the output is held before the request is sent."""
    call.held_tokens = output_tokens
    call.amount = leg.terms.amount(call.bound, output_tokens, request, call.tier, call.now_ns)


def check_bound(call: Call, leg: Leg, request: ChatRequest) -> None:
    """Raises Failure where a strict budget cannot be kept, or where thinking leaves no room for an answer."""
    if leg.terms.strict and not call.free and (why := why_unbounded(request, leg.terms.context_window)):
        budget = next(each for each in leg.binding.records if isinstance(each, BudgetRecord) and each.strict)
        raise Failure.invalid(
            f"The {budget.level} budget '{budget.id}' is strict and takes only requests whose cost has an upper bound:"
            f" {why}."
        )
    thinking, cap = request.thinking_budget, call.bound.cap
    if thinking is not None and cap is not None and thinking >= cap:
        raise Failure.invalid(f"The thinking budget of {thinking} tokens leaves nothing of the output cap of {cap}.")


def take(call: Call, leg: Leg, request: ChatRequest) -> Hold | int:
    """The hold of what was prepared; else the number of the level without room, or ``CONTENDED``. Raises Failure."""
    worker = call.worker
    binding = leg.binding
    levels = binding.levels
    if call.free:
        levels = binding.hit_levels if call.hit else binding.free_levels
    draft = leg.draft if call.attributes is NOTHING_SAID else leg.attributed(call.attributes)
    call.passed_ns = time_ns()  # it counts when it passes, not when its head came: its body may have been held back
    try:
        held = hold(
            worker.owner,
            worker.journal,
            levels,
            draft,
            call.amount,
            call.passed_ns,
            call.id,
            request.stream,
            call.bound.input_tokens,
            call.held_tokens,
        )
    except ArenaFull as full:
        raise Failure.no_space(full) from full
    call.logged = isinstance(held, Hold)  # a hold carries the event from here on
    return held


async def find_room(call: Call, leg: Leg, request: ChatRequest, size: int, verdict: int) -> tuple[Leg, Hold]:
    """A hold where the first one was not taken: as the budget says that has no room for it. Raises Failure.

    ``verdict``: what ``take`` said.
    """
    held = await take_less(call, leg, request, await take_more(call, leg, request, verdict))
    for _ in range(_CLAMPS):
        if isinstance(held, Hold):
            return leg, held
        on_limit = leg.on_limit(held)
        if on_limit == OnLimit.DOWNGRADE:
            return await downgrade(call, leg, request, size, held)
        if on_limit == OnLimit.REJECT or not clamp(call, leg, request, held):
            raise refused(call, leg, request, held)
        held = await take_soon(call, leg, request, take(call, leg, request))
    raise Failure(FailureCode.OVERLOADED, "Other requests are changing the same budgets.", retry_after=1)


async def take_more(call: Call, leg: Leg, request: ChatRequest, verdict: Hold | int) -> Hold | int:
    """As ``take_soon``; where hosts share the limit that is full, this one may get more of it. Raises Failure."""
    held = await take_soon(call, leg, request, verdict)
    patience = Patience(call, leg)
    while await patience.has(held):
        held = await take_soon(call, leg, request, take(call, leg, request))
    return held


async def take_less(call: Call, leg: Leg, request: ChatRequest, verdict: Hold | int) -> Hold | int:
    """As ``take_soon``; a stream that has no room for its first slice begins with a part of it."""
    held = await take_soon(call, leg, request, verdict)
    plan, whole = call.instalments, call.held_tokens
    for halvings in range(1, HALVINGS + 1):
        if plan is None or isinstance(held, Hold):
            break
        hold_first(call, leg, request, plan.first(halvings))
        held = await take_soon(call, leg, request, take(call, leg, request))
    if not isinstance(held, Hold):
        hold_first(call, leg, request, whole)
    return held


async def take_soon(call: Call, leg: Leg, request: ChatRequest, verdict: Hold | int) -> Hold | int:
    """What became of it, after as long as others may need to be done with the same budgets. Raises Failure."""
    for _ in range(_CONTENDED_TRIES):
        if verdict != CONTENDED:
            return verdict
        await asyncio.sleep(0.001)
        verdict = take(call, leg, request)
    raise Failure(FailureCode.OVERLOADED, "Other requests are changing the same budgets.", retry_after=1)


def clamp(call: Call, leg: Leg, request: ChatRequest, level: int) -> bool:
    """Lower the output's cap to what ``level`` can still pay; false where that is no answer any more."""
    bound = call.bound
    total = affordable(call, leg, request, leg.binding.levels.room(level, call.passed_ns))
    cap = (total - request.prediction_bytes) // request.n
    thinking = request.thinking_budget or 0
    if cap < thinking + LEAST_CAP:
        return False
    if total < call.held_tokens:
        reckon(call, leg, request, Bound(bound.input_tokens, cap * request.n + request.prediction_bytes, cap))
        call.notes = (("x-fastgate-output-cap", str(cap)),)
    return True


def affordable(call: Call, leg: Leg, request: ChatRequest, room: int) -> int:
    """The most tokens of output for which ``room`` nano-USD suffice; negative: not even for the input."""
    fits, beyond = -1, call.bound.output_tokens + 1
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        if leg.terms.amount(call.bound, middle, request, call.tier, call.now_ns) <= room:
            fits = middle
        else:
            beyond = middle
    return fits


async def downgrade(call: Call, leg: Leg, request: ChatRequest, size: int, level: int) -> tuple[Leg, Hold]:
    """The first other way, of those that the budget of ``level`` names, with room for it. Raises Failure."""
    failure = refused(call, leg, request, level)
    call.notes = ()  # a cap that was lowered for this way is none of another
    assert call.grant is not None
    budget = leg.binding.records[level]
    assert isinstance(budget, BudgetRecord)
    for way in call.grant.downgrades(call.dialect.name, call.model, budget):
        try:
            other = bind(call, way, request)
            prepare(call, other, request, size)
        except Failure:  # its own terms do not allow such a request
            continue
        held = await take_less(call, other, request, await take_more(call, other, request, take(call, other, request)))
        if isinstance(held, Hold):
            return other, held
    raise failure


def least_amount(call: Call, leg: Leg, request: ChatRequest, level: int) -> int:
    """nano-USD without which the request cannot be served: streams can begin with less, a lowered cap costs less."""
    tokens = call.held_tokens
    if call.instalments is not None:
        tokens = min(tokens, call.instalments.first(HALVINGS))
    if leg.on_limit(level) == OnLimit.CLAMP:
        least_cap = (request.thinking_budget or 0) + LEAST_CAP
        tokens = min(tokens, least_cap * request.n + request.prediction_bytes)
    return leg.terms.amount(call.bound, tokens, request, call.tier, call.now_ns)


def refused(call: Call, leg: Leg, request: ChatRequest, level: int) -> Failure:
    """The limit that is reached, or the budget that is spent, or that others hold, in full."""
    budget, levels = leg.binding.records[level], leg.binding.levels
    if isinstance(budget, LimitRecord):
        call.refused_by = f"limit:{budget.level}"
        needed = need_of(budget, Bound(call.bound.input_tokens, call.held_tokens, None))
        standing, why = levels.standing(level, call.passed_ns), withheld(levels, level, needed, call.passed_ns)
        return over_limit(budget, standing, needed, why)
    call.refused_by = f"budget:{budget.level}"
    limit, used, resets_at = levels.standing(level, call.passed_ns)
    unspent, least = levels.unspent(level, call.passed_ns), least_amount(call, leg, request, level)
    return Failure.budget(
        level=budget.level,
        budget=budget.id,
        limit=limit,
        spent=limit - unspent,
        held=max(0, used + unspent - limit),
        need=call.amount,
        resets_at_ns=resets_at or (0 if budget.window == Window.LIFETIME else None),
        others_hold=unspent >= least,
        withheld=withheld(levels, level, least, call.passed_ns),
    )
