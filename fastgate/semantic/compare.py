"""Whether two answers say the same, so that the questions may count as the same one: step by step, cheapest first.

A pure function of what is known so far. Asked without vectors, or without a judge's word, it says ``unsure`` where
that would decide, and is asked again once the caller has it::

    verdict = compare(mine, theirs)
    if verdict == "unsure": verdict = compare(mine, theirs, vectors=(embed(mine), embed(theirs)))
    if verdict == "unsure" and judge: verdict = compare(mine, theirs, vectors=..., judged=await judge(...))

Answers that are too long for vectors are a judge's too, where one is set.

What stays unsure counts as different: an answer that may be wrong teaches nothing good.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from fastgate.semantic.pairs import pair
from fastgate.semantic.vetoes_signs import conflict
from fastgate.semantic.vetoes_words import negated
from fastgate.semantic.words import profile

Verdict = Literal["same", "different", "unsure"]

SAME_FROM, DIFFERENT_BELOW = 0.93, 0.75
"""Cosines of two answers from which they say the same, and below which they do not. Between them a judge decides."""
SHORT = 12
"""Answers of so many words at most are compared by their words too: ``Paris.`` and ``Rome.`` are near each other as
vectors."""

POLITE = re.compile(
    r"^(?:sure|certainly|of course|absolutely|great question|good question|yes of course|the answer is|answer"
    r"|here you are|here it is)[\s,.!:]+",
    re.IGNORECASE,
)
MARKS = re.compile(r"[*_`#>|\"“”'’()\[\]]+")


def normalised(text: str) -> str:
    """What of an answer may differ though it says the same: case, white space, emphasis, polite beginnings, the last
    stop."""
    text = " ".join(MARKS.sub(" ", unicodedata.normalize("NFKC", text)).split())
    while (shorter := POLITE.sub("", text)) != text:
        text = shorter
    return text.rstrip(" .!").casefold()


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Cosine of two vectors of one length; 0 where one is zero. Raises ``ValueError`` where the lengths differ."""
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    norms = math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
    return dot / norms if norms > 0.0 else 0.0


def compare(
    one: str,
    other: str,
    *,
    vectors: tuple[Sequence[float], Sequence[float]] | None = None,
    judged: bool | None = None,
) -> Verdict:
    """By the text; else by the vectors of the two answers, where there are any; else by a judge's word."""
    by_text = compare_texts(one, other)
    if by_text != "unsure":
        return by_text
    if vectors is not None:
        similarity = cosine(*vectors)
        if similarity >= SAME_FROM:
            return "same"
        if similarity < DIFFERENT_BELOW:
            return "different"
    if judged is not None:
        return "same" if judged else "different"
    return "unsure"


def compare_texts(one: str, other: str) -> Verdict:
    """``same`` where nothing but form differs; ``different`` where numbers do, or short answers in their names or
    negation."""
    first, second = normalised(one), normalised(other)
    if first == second:
        return "same"
    if not first or not second:
        return "different"
    mine, theirs = profile(one), profile(other)
    if conflict(mine.numbers, theirs.numbers):
        return "different"
    if max(len(mine.words), len(theirs.words)) <= SHORT:
        both = pair(one, other)
        if (
            (both.left and both.right)
            or negated(mine.joined) != negated(theirs.joined)
            or {yes(first), yes(second)} == {True, False}
        ):
            return "different"
    return "unsure"


def yes(text: str) -> bool | None:
    """Whether a short answer begins with yes (true) or no (false)."""
    begin = re.match(r"(yes|yeah|true|correct|no|nope|false)\b", text)
    return None if begin is None else begin.group() in {"yes", "yeah", "true", "correct"}
