"""Answers that are kept, so that they can be given again."""

from time import time_ns
from typing import Final

import msgspec

from fastgate._core.budget import SETTLED_EXACT
from fastgate.cache.question import Question, packed
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.gateway.meaning import Kept, keep_meaning
from fastgate.gateway.settlement import Outcome

_MOST_STATED: Final = 16 << 10
"""Bytes of a usage report: one that is longer is none of a provider's in its senses."""
_SHOWN_MODEL: Final = 200
"""Characters of a model's name that are kept with an answer: clients may write what they like."""


def keep(call: Call, leg: Leg, outcome: Outcome, kind: int, body: bytes, *, stated: bytes = b"") -> None:
    """Keep a whole and successful answer for who asks the same; ``stated``: usage that it does not state itself."""
    question, slab = call.question, call.worker.slab
    if question is None or len(stated) > _MOST_STATED or not is_sure(call, leg, question, outcome):
        return
    assert call.grant is not None
    record = call.grant.record
    about = {
        "key": record.id,
        "team": record.team,
        "model": call.model[:_SHOWN_MODEL],
        "provider": question.provider,
        "dialect": call.dialect.name,
        "tags": call.attributes.tags,
    }
    usage, told = packed(outcome.cost or 0, stated), msgspec.json.encode(about)
    if call.meaning is not None:
        keep_meaning(call, question, Kept(kind, body, usage, told))
    if slab is None or not question.key:
        return
    slab.store(
        question.key,
        question.fingerprint,
        body,
        kind=kind,
        usage=usage,
        tenant=question.tenant,
        about=told,
        now_ms=time_ns() // 1_000_000,
        ttl_ms=question.ttl_ms,
    )


def is_sure(call: Call, leg: Leg, question: Question, outcome: Outcome) -> bool:
    """Whether it is the answer of who was asked, to what was asked: no cap lowered, and all of it."""
    if outcome.settlement != SETTLED_EXACT or outcome.error or call.notes:
        return False
    return leg.upstream.record.name == question.provider and leg.model == question.model
