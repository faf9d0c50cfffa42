"""Questions that mean what an earlier one meant: whether its answer is given, and what becomes of the provider's.

The semantic process decides; a worker asks it under a deadline, after the exact cache had nothing. Whatever it does not
say in time is a miss.
"""

from typing import Final, NamedTuple

from fastgate._core.body import Scan
from fastgate._core.budget import MEANING_UNANSWERED
from fastgate._core.journal import MEANINGS, entry_note
from fastgate.cache.partition import partition
from fastgate.cache.question import WHOLE, Question, unpacked
from fastgate.cache.shared import Kept
from fastgate.gateway.cache_plan import CachePlan
from fastgate.gateway.call import Call
from fastgate.gateway.headings import heading_of, unasked_of
from fastgate.gateway.legs import Leg
from fastgate.wire.request import ChatRequest
from fastgate.wire.semantic import MOST_ANSWER, MOST_TEXT, Decided, Keep
from fastgate.wire.semantic_entries import entry_id


class Meaning(NamedTuple):
    """A question as the semantic process knows it, and what it decided; None: nothing, it is a miss."""

    partition: bytes
    tenant: bytes
    text: str
    decided: Decided | None
    sharers: str
    """Who shares the answer, as operators read it."""


class Meant(NamedTuple):
    """The answer to another question, as an entry of the exact cache would be: see ``Hit``."""

    answer: bytes
    usage: bytes
    kind: int
    created_ms: int
    id: str
    similarity: float


DECIDED: Final = {name: number for number, name in enumerate(MEANINGS)}
"""Verdicts, as in the journal."""


def meaning_of(call: Call, leg: Leg, plan: CachePlan, request: ChatRequest, found: Scan) -> Meaning | None:
    """What the request asks, as far as its meaning goes; None: its last turn is not the user's, or more than a text."""
    turn = call.dialect.last_turn(found.data)
    if turn is None or plan.meaning is None or len(turn.text) > MOST_TEXT:
        return None
    heading = heading_of(call, leg, plan.meaning, request, len(found.data))
    asked = partition(heading, found.data, unasked_of(call, leg), text=(turn.start, turn.end))
    return None if asked is None else Meaning(asked, plan.meaning, turn.text, None, plan.sharers)


async def find(call: Call, meaning: Meaning, deadline_ms: int) -> Meant | None:
    """The answer that is to be given; None: there is none, and the call knows what was decided."""
    client = call.worker.meanings
    call.decided, call.given = MEANING_UNANSWERED, b""
    if client is None:
        return None
    found = await client.find(meaning.partition, meaning.tenant, meaning.text, deadline_ms / 1000)
    if found is None:
        return None
    call.meaning, call.decided = meaning._replace(decided=found.decided()), DECIDED[found.verdict]
    if found.verdict == "miss":
        return None
    id_ = entry_id(found.entry)
    call.given = entry_note(id_, round(found.similarity * 10_000), 0)
    if found.verdict != "serve":
        return None
    return Meant(found.answer, found.usage, found.kind, found.created_ms, id_, found.similarity)


def keep_meaning(call: Call, question: Question, kept: Kept) -> None:
    """Hand a whole and successful answer to the semantic process, if it is nothing but a text."""
    client, meaning = call.worker.meanings, call.meaning
    if client is None or meaning is None or len(kept.answer) > MOST_ANSWER:
        return
    cost, stated = unpacked(kept.usage)
    whole = kept.answer if kept.kind == WHOLE else call.dialect.answer_of(kept.answer, usage=stated or None)
    said = call.dialect.said(whole) if whole is not None else None
    if said is not None:
        client.keep(
            Keep(
                0, meaning.partition, meaning.tenant, meaning.text, said, kept.kind, kept.answer, kept.usage,
                kept.about, cost, question.ttl_ms, meaning.decided, meaning.sharers,
            )
        )  # fmt: skip
