"""Whether two answers say the same, so that the questions may count as the same one: step by step, cheapest first.

A pure function of what is known so far. Asked without vectors, or without a judge's word, it says ``unsure`` where
that would decide, and is asked again once the caller has it::

    verdict = compare(mine, theirs)
    if verdict == "unsure": verdict = compare(mine, theirs, vectors=(embed(mine), embed(theirs)), judge=can_be_asked)
    if verdict == "unsure" and can_be_asked: verdict = compare(mine, theirs, judged=await ask(...))

Vectors of whole answers hardly see a "not", nor ``push`` in the place of ``pull``. So near ones say the same only where
no veto speaks against it and nobody knows better: a judge, where one is set, is asked of all that are not far apart.

What stays unsure counts as different: an answer that may be wrong teaches nothing good.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from fastgate.semantic.pairs import pair
from fastgate.semantic.vetoes import veto
from fastgate.semantic.vetoes_signs import conflict
from fastgate.semantic.vetoes_tables import NEGATIONS
from fastgate.semantic.vetoes_words import negated
from fastgate.semantic.words import LONGEST, profile

Verdict = Literal["same", "different", "unsure"]

SAME_FROM, DIFFERENT_BELOW = 0.93, 0.75
"""Cosines of two answers from which they say the same unless their words say otherwise, and below which they do not."""
SHORT = 12
"""Answers of so many words at most are compared by their words too: ``Paris.`` and ``Rome.`` are near each other as
vectors."""

POLITE = re.compile(
    r"^(?:sure|certainly|of course|absolutely|great question|good question|yes of course|the answer is|answer"
    r"|here you are|here it is)[\s,.!:]+",
    re.IGNORECASE,
)
EMPHASIS = re.compile(r"(?<![\w*])\*\*(?=\S)(.+?)(?<=\S)\*\*(?![\w*])|`([^`\n]+)`")
EXCLAIMED = re.compile(r"(?<=[^\W\d_][^\W\d_])!+$")
LAID_OUT = re.compile(r"```|\n(?:\t| {2,})\S")
SIGNS = re.compile(r"[\[\]{}<>|=+*/^%$#@&~\\⁰¹²³⁴-₟]|(?<=\d)!")
"""What makes another thing of the text around it, and of which vectors know little."""
QUOTES = str.maketrans("“”„‘’", '"""\'\'')


def normalised(text: str) -> str:
    """What of an answer may differ though it says the same: white space (but that before lines of code), emphasis,
    capitals that begin words, ligatures, polite beginnings, the last stop."""
    text = EMPHASIS.sub(lambda found: found[1] or found[2], "".join(map(_plain, text.translate(QUOTES))))
    laid_out = LAID_OUT.search(text) is not None
    text = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") if laid_out else " ".join(text.split())
    while (shorter := POLITE.sub("", text)) != text:
        text = shorter
    text = EXCLAIMED.sub("", text.rstrip(" .")).rstrip(" .")
    return re.sub(r"\w+", lambda word: word[0].lower() if len(word[0]) > 1 and word[0].istitle() else word[0], text)


def _plain(character: str) -> str:
    """A letter as it is typed, where it is another form of some; signs and digits mean what they look like."""
    typed = unicodedata.normalize("NFKC", character)
    return typed if character.isalpha() and typed.isalpha() else character


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
    judge: bool = False,
    judged: bool | None = None,
) -> Verdict:
    """By the text; else by the vectors of the two answers, where there are any; else by a judge's word.

    ``judge``: there is one that can be asked.
    """
    by_text = compare_texts(one, other)
    if by_text != "unsure":
        return by_text
    similarity = None if vectors is None else cosine(*vectors)
    if similarity is not None and similarity < DIFFERENT_BELOW:
        return "different"
    if judged is not None:
        return "same" if judged else "different"
    if similarity is not None and similarity >= SAME_FROM and not judge and agree(one, other):
        return "same"
    return "unsure"


def agree(one: str, other: str) -> bool:
    """Whether nothing in the words of two answers that are near each other says that they differ."""
    if max(len(one), len(other)) > LONGEST:  # of more the vetoes see no more
        return False
    if LAID_OUT.search(one) or LAID_OUT.search(other):  # of code each sign counts, and where it stands
        return False
    return not veto(one, other) and marks(one) == marks(other)


def marks(text: str) -> tuple[Counter[str], Counter[str], int]:
    """What turns a text into another one and leaves its vector where it is: signs, words in capitals, negations."""
    negations = sum(word in NEGATIONS for word in profile(text).joined.split())
    return Counter(SIGNS.findall(text)), Counter(filter(str.isupper, re.findall(r"\w{2,}", text))), negations


def compare_texts(one: str, other: str) -> Verdict:
    """``same`` where nothing but form differs; ``different`` where numbers do, or a yes and a no that they begin with,
    or short answers in their names or negation."""
    first, second = normalised(one), normalised(other)
    if first == second:
        return "same"
    if not first or not second:
        return "different"
    mine, theirs = profile(one), profile(other)
    if conflict(mine.numbers, theirs.numbers) or {yes(first), yes(second)} == {True, False}:
        return "different"
    if max(len(mine.words), len(theirs.words)) <= SHORT:
        both = pair(one, other)
        if (both.left and both.right) or negated(mine.joined) != negated(theirs.joined):
            return "different"
    return "unsure"


def yes(text: str) -> bool | None:
    """Whether an answer begins with yes (true) or no (false)."""
    begin = re.match(r"(yes|yeah|true|correct|no|nope|false)\b", text.casefold())
    return None if begin is None else begin.group() in {"yes", "yeah", "true", "correct"}
