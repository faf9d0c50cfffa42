"""Answers that are kept, so that they can be given again."""

from collections.abc import Callable
from functools import partial
from time import time_ns
from typing import Final

from fastgate._core.budget import CACHE_BYPASS, SETTLED_EXACT
from fastgate._core.events import EventScanner
from fastgate._core.slab import LARGEST
from fastgate.cache.about import About, cut
from fastgate.cache.question import Question, packed
from fastgate.cache.shared import Kept
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.gateway.meaning import keep_meaning
from fastgate.gateway.recording import Recording
from fastgate.gateway.settlement import Outcome

_MOST_STATED: Final = 16 << 10
"""Bytes of a usage report: one that is longer is none of a provider's in its senses."""


def recording_of(call: Call, scanner: EventScanner) -> Recording | None:
    """A recording of the call's stream; None: its answer is none to be kept, or the worker has no room for it.

    To be called before the head of the answer is sent, which says so.
    """
    if call.question is None:
        return None
    room = call.worker.recordings
    if room.left < LARGEST:  # before others that have begun have to give way
        call.cache = CACHE_BYPASS
        _give_up(call, True)
        return None
    return Recording(scanner, LARGEST, room, partial(_give_up, call))


def _give_up(call: Call, crowded: bool) -> None:
    if crowded:
        call.worker.complain("a stream is not kept by the cache: those on their way take all the room that there is")
    keep_nothing(call)


def keep_nothing(call: Call) -> None:
    """Its answer is none to be kept, as is known before its end: nobody needs to wait for that."""
    flight, call.flight, call.question, call.meaning = call.flight, None, None, None
    if flight is not None:
        flight.land(unfit=True)


def keep(
    call: Call, leg: Leg, outcome: Outcome, kind: int, body: bytes, *, sound: Callable[[], bool], stated: bytes = b""
) -> None:
    """Keep a whole and successful answer for who asks the same; ``stated``: usage that it does not state itself.

    ``sound``: whether it says itself that it is whole and successful, which is asked only of what its bill says so of.
    """
    question = call.question
    if question is None:
        return
    kept = False
    if len(stated) <= _MOST_STATED and is_sure(call, leg, question, outcome) and sound():
        now_ms, usage = time_ns() // 1_000_000, packed(outcome.cost or 0, stated)
        answer = Kept(kind, usage, _about(call, question), body, now_ms, now_ms + question.ttl_ms)
        kept = _store(call, question, answer)
        if call.meaning is not None:
            keep_meaning(call, question, answer)
    if call.flight is not None:  # at once: its own client may take its time
        call.flight.land(unfit=not kept)


def _store(call: Call, question: Question, answer: Kept) -> bool:
    """In the exact cache, of this host and of all that share; whether it is there."""
    slab = call.worker.slab
    if slab is None or not question.key:
        return False
    kept = slab.store(
        question.key,
        question.fingerprint,
        answer.answer,
        kind=answer.kind,
        usage=answer.usage,
        tenant=question.tenant,
        about=answer.about,
        now_ms=answer.created_ms,
        ttl_ms=question.ttl_ms,
    )
    if kept and call.worker.shared is not None:
        call.worker.shared.offer(question.fingerprint, answer)
    return kept


def _about(call: Call, question: Question) -> bytes:
    """What a list of what is kept says of it."""
    assert call.grant is not None
    record = call.grant.record
    return About(
        key=record.id,
        team=record.team,
        model=cut(call.model),
        upstream_model=cut(question.model),
        provider=question.provider,
        dialect=call.dialect.name,
        tags=tuple(sorted({**dict(call.attributes.tags), **record.tags}.items())),
    ).packed()


def is_sure(call: Call, leg: Leg, question: Question, outcome: Outcome) -> bool:
    """Whether it is the answer of who was asked, to what was asked: no cap lowered, and all of it."""
    if outcome.settlement != SETTLED_EXACT or outcome.error or call.notes:
        return False
    return leg.upstream.record.name == question.provider and leg.model == question.model
