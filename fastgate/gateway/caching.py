"""Whether an answer is kept that will do, and how it is given."""

from fastgate._core.body import Scan
from fastgate._core.budget import CACHE_BYPASS, CACHE_EXACT, CACHE_MISS, CACHE_NONE, CACHE_SEMANTIC, Hold
from fastgate._core.slab import LARGEST, Hit
from fastgate.cache.fingerprint import fingerprint, prefix
from fastgate.cache.question import Question, unpacked
from fastgate.gateway.admission import bind, refused, take, take_soon
from fastgate.gateway.cache_plan import CachePlan
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.gateway.meaning import Meant, find, meaning_of, said_of
from fastgate.gateway.replay import replay, told
from fastgate.gateway.wishes import Wish, wish_of
from fastgate.wire.failure import Failure
from fastgate.wire.money import usd
from fastgate.wire.request import ChatRequest


async def answered(call: Call, leg: Leg, request: ChatRequest, found: Scan) -> bool:
    """Answer with what is kept, if that will do. Else ``call.question`` says whether to keep what the provider answers.

    Raises Failure.
    """
    wish = wish_of(call.headers, leg.cache)
    question = question_of(call, leg, request, found, wish)
    if question is None:
        if wish.only:
            raise Failure.not_cached("answers to such a request are not kept")
        call.cache = CACHE_NONE if leg.cache is None else CACHE_BYPASS
        return False
    call.cache = CACHE_MISS if wish.reads else CACHE_BYPASS
    if wish.reads and await found_exactly(call, leg, request, question):
        return True
    if leg.cache is not None and leg.cache.meaning is not None:
        call.meaning = meaning_of(call, leg, request, found)
        if call.meaning is not None and wish.reads:
            meant = await find(call, call.meaning, leg.cache.deadline_ms)
            if meant is not None and await answer(call, leg, request, meant):
                return True
    if wish.only:
        raise Failure.not_cached("no answer to it is kept")
    call.question = question if question.ttl_ms else None
    return False


async def found_exactly(call: Call, leg: Leg, request: ChatRequest, question: Question) -> bool:
    """Answer with what the exact cache has, if that will do. Raises Failure."""
    slab = call.worker.slab
    if slab is None or not question.key:
        return False
    hit = slab.find(question.key, question.fingerprint, call.now_ns // 1_000_000)
    return hit is not None and await answer(call, leg, request, hit)


def question_of(call: Call, leg: Leg, request: ChatRequest, found: Scan, wish: Wish) -> Question | None:
    """What the request asks; None: its answer is not for a cache."""
    plan = leg.cache
    slab = call.worker.slab if plan is not None and plan.exact else None
    if (
        plan is None
        or (slab is None and plan.meaning is None)
        or call.free
        or len(found.data) > LARGEST
        or not may_be_kept(call, plan, request, found)
    ):
        return None
    upstream = leg.upstream
    if not leg.asked:
        leg.asked = prefix(plan.tenant, call.dialect.name, upstream.record.name, leg.model)
    cap = leg.terms.bound(request, len(found.data)).cap
    asked = fingerprint(leg.asked, said_of(call, leg), cap, found.data, call.dialect.unasked)
    if asked is None:
        return None
    key = slab.hash128(asked) if slab is not None else b""
    ttl_ms = 0 if not wish.stores else plan.ttl_ms if wish.ttl_ms is None else min(plan.ttl_ms, wish.ttl_ms)
    return Question(key, asked, plan.tenant, ttl_ms, upstream.record.name, leg.model)


def may_be_kept(call: Call, plan: CachePlan, request: ChatRequest, found: Scan) -> bool:
    """Whether an answer to it may be given again. What it names and does not show may be another thing by then."""
    if request.unseen or request.has_hosted_tools or (request.has_tools and not plan.tools):
        return False
    if len(found.data) > LARGEST:
        return False
    return plan.max_temperature is None or call.dialect.temperature(found) <= plan.max_temperature


async def answer(call: Call, leg: Leg, request: ChatRequest, hit: Hit | Meant) -> bool:
    """Give again what is kept; False: it has no such form as is asked for. Raises Failure where a limit is reached."""
    pieces = told(call.dialect, hit, request)
    if pieces is None:
        return False
    call.free = True  # only what counts requests has to have room for it
    way = call.leg = leg if leg.templates is None else bind(call, leg, request)
    held = await take_soon(call, way, request, take(call, way, request))
    if not isinstance(held, Hold):
        raise refused(call, way, request, held)
    call.cache, (call.saved, _) = CACHE_EXACT, unpacked(hit.usage)
    near: tuple[tuple[str, str], ...] = ()
    if isinstance(hit, Meant):
        call.cache, near = CACHE_SEMANTIC, (("x-fastgate-similarity", f"{min(hit.similarity, 1.0):.4f}"),)
    call.notes = (
        *near,
        ("x-fastgate-cache-entry", hit.id),
        ("x-fastgate-cache-age", str(max(0, call.now_ns // 1_000_000 - hit.created_ms) // 1000)),
        ("x-fastgate-saved-usd", usd(call.saved)),
    )
    await replay(call, way, held, pieces, stream=request.stream)
    return True
