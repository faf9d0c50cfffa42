"""Whether an answer is kept that will do, and how it is given."""

from fastgate._core.body import Scan
from fastgate._core.budget import (
    CACHE_BYPASS,
    CACHE_EXACT,
    CACHE_MISS,
    CACHE_NONE,
    CACHE_SEMANTIC,
    CONTENDED,
    Hold,
)
from fastgate._core.journal import entry_note
from fastgate._core.slab import LARGEST, Hit
from fastgate.cache.fingerprint import fingerprint
from fastgate.cache.question import Question, unpacked
from fastgate.dialects.images import has_pointers
from fastgate.gateway.admission import bind, refused, take, take_soon
from fastgate.gateway.cache_plan import CachePlan
from fastgate.gateway.call import Call
from fastgate.gateway.following import followed
from fastgate.gateway.headings import heading_of, unasked_of
from fastgate.gateway.legs import Leg
from fastgate.gateway.meaning import Meant, find, meaning_of
from fastgate.gateway.replay import given, replay, told
from fastgate.gateway.wishes import wish_of
from fastgate.wire.failure import Failure
from fastgate.wire.money import usd
from fastgate.wire.request import ChatRequest


async def answered(call: Call, leg: Leg, request: ChatRequest, found: Scan) -> bool:
    """Answer with what is kept, if that will do. Else ``call.question`` says whether to keep what the provider answers.

    Raises Failure.
    """
    plan = leg.cache
    wish = wish_of(call.headers, plan, call.scope.headers)
    asked = None if plan is None else asked_of(call, leg, plan, request, found)
    if asked is None or plan is None:
        if wish.only:
            raise Failure.not_cached("answers to such a request are not kept")
        call.cache = CACHE_NONE if plan is None else CACHE_BYPASS
        return False
    call.cache = CACHE_MISS if wish.reads else CACHE_BYPASS
    slab = call.worker.slab if plan.exact else None
    key = b"" if slab is None else slab.hash128(asked)
    hit = slab.find(key, asked, call.now_ns // 1_000_000) if slab is not None and wish.reads else None
    if hit is not None and not is_fresh(call, plan, hit):
        hit = None
    if hit is not None and await answer(call, leg, request, hit):
        return True
    ttl_ms = plan.ttl_ms if wish.ttl_ms is None else min(plan.ttl_ms, wish.ttl_ms)
    keeps = wish.stores and ttl_ms > 0
    question = Question(key, asked, plan.tenant, ttl_ms, leg.upstream.record.name, leg.model) if keeps else None
    unanswered = question if wish.reads and hit is None and slab is not None else None
    if unanswered is not None and slab is not None and call.worker.shared is not None:
        hit = await call.worker.shared.find(slab, unanswered, call.now_ns // 1_000_000)
        if hit is not None and is_fresh(call, plan, hit) and await answer(call, leg, request, hit):
            return True
    if plan.meaning is not None and await means_the_same(call, leg, plan, request, found, reads=wish.reads):
        return True
    if slab is None and call.meaning is None:  # it has no meaning that could be looked for, and nothing else keeps it
        call.cache, question = CACHE_BYPASS, None
    if wish.only:
        raise Failure.not_cached("no answer to it is kept")
    call.question = question
    if unanswered is not None and plan.single_flight:
        hit = await followed(call, leg, unanswered)
        return hit is not None and is_fresh(call, plan, hit) and await answer(call, leg, request, hit)
    return False


def is_fresh(call: Call, plan: CachePlan, hit: Hit | Meant) -> bool:
    """Whether it is young enough for who asks, who may want younger ones than whoever had it kept."""
    return hit.created_ms + plan.ttl_ms > call.now_ns // 1_000_000


async def means_the_same(
    call: Call, leg: Leg, plan: CachePlan, request: ChatRequest, found: Scan, *, reads: bool
) -> bool:
    """Answer with what is kept of a question that means the same; ``reads``: what is kept will do. Raises Failure.

    What the provider answers is kept by ``call.meaning``.
    """
    call.meaning = meaning_of(call, leg, plan, request, found)
    if call.meaning is None or not reads:
        return False
    meant = await find(call, call.meaning, plan.deadline_ms)
    return meant is not None and is_fresh(call, plan, meant) and await answer(call, leg, request, meant)


def asked_of(call: Call, leg: Leg, plan: CachePlan, request: ChatRequest, found: Scan) -> bytes | None:
    """What the request asks, as a fingerprint; None: its answer is not for a cache, or there is none."""
    body = found.data
    if (plan.meaning is None and (call.worker.slab is None or not plan.exact)) or call.free:
        return None
    if len(body) > LARGEST or not may_be_kept(call, plan, request, found):
        return None
    return fingerprint(heading_of(call, leg, plan.tenant, request, len(body)), body, unasked_of(call, leg))


def may_be_kept(call: Call, plan: CachePlan, request: ChatRequest, found: Scan) -> bool:
    """Whether an answer to it may be given again. What it names and does not show may be another thing by then."""
    if request.unseen or request.has_hosted_tools or (request.has_tools and not plan.tools):
        return False
    if request.images and has_pointers(found.data):
        return False
    if plan.max_temperature is not None and call.dialect.temperature(found) > plan.max_temperature:
        return False
    return call.dialect.shows_all(found)


async def answer(call: Call, leg: Leg, request: ChatRequest, hit: Hit | Meant) -> bool:
    """Give again what is kept; False: it has no such form as is asked for. Raises Failure where a limit is reached."""
    pieces = told(call.worker.forms, call.dialect, hit, request)
    if pieces is None:
        return False
    if request.other_models:  # a hit is for who may have asked for it
        assert call.grant is not None
        call.grant.with_others(leg, request.other_models)
    call.free = call.hit = True  # only what counts requests has to have room for it
    way = call.leg = leg if leg.templates is None else bind(call, leg, request)
    held = take(call, way, request)
    if held == CONTENDED:
        held = await take_soon(call, way, request, held)
    if not isinstance(held, Hold):
        raise refused(call, way, request, held)
    call.cache, (call.saved, _) = CACHE_EXACT, unpacked(hit.usage)
    age_s, similarity_e4 = max(0, call.now_ns // 1_000_000 - hit.created_ms) // 1000, 0
    near: tuple[tuple[str, str], ...] = ()
    if isinstance(hit, Meant):
        similarity_e4 = round(min(hit.similarity, 1.0) * 10_000)
        call.cache, near = CACHE_SEMANTIC, (("x-fastgate-similarity", f"{similarity_e4 / 10_000:.4f}"),)
    call.given = entry_note(hit.id, similarity_e4, age_s)
    call.notes = (
        *near,
        ("x-fastgate-cache-entry", hit.id),
        ("x-fastgate-cache-age", str(age_s)),
        ("x-fastgate-saved-usd", usd(call.saved)),
    )
    if not given(call, way, held, pieces, stream=request.stream):
        await replay(call, way, held, pieces, stream=request.stream)
    return True
