"""The veto on what is asked beside: a sentence more, or how the answer has to be (``Answer wrongly.``, in one word).

A sentence more makes little odds to an embedder, and all the odds to an answer. So what one question says in a whole
sentence and the other nowhere stops a pair where they otherwise say the same.
"""

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from fastgate.semantic.lexicon import AUXILIARIES
from fastgate.semantic.pairs import Pair
from fastgate.semantic.small_words import ANSWERING, COURTESY, INSTRUCTING, MANNERS, TONGUES, WORDINGS
from fastgate.semantic.words import Profile, stem

ASKING = frozenset(["what", "which", "who", "whom", "whose", "when", "where", "why", "how"])
ENDS = frozenset(".!?:;\n")
JOINING = frozenset(["and", "but", "then", "or", "so", "please"])
POLITE = frozenset(stem(word) for word in COURTESY)
DOING = frozenset(["it", "not", "so", "this", "that", "nothing"])
"""``Do it briefly.`` instructs, ``Do they?`` asks."""


class Sentence(NamedTuple):
    """A part of a text that could stand by itself."""

    stems: frozenset[str]
    asks: bool  # or is a heading
    instructs: bool


def added(pair: Pair) -> bool:
    """One says what the other says, and a sentence or a manner of answering more; or tells how to answer, in a sentence
    of its own."""
    one, other = sentences(pair.one), sentences(pair.other)
    if len(one) != len(other) and contained(one, other):
        return True
    return (
        beside(one, pair.left | (pair.one.numbers - pair.other.numbers), bool(pair.right), pair.one)
        or beside(other, pair.right | (pair.other.numbers - pair.one.numbers), bool(pair.left), pair.other)
        or (not pair.right and told(pair.one, pair.other))
        or (not pair.left and told(pair.other, pair.one))
    )


def told(one: Profile, other: Profile) -> bool:
    """Whether one says how to answer and the other does not."""
    return bool(manners(one) - manners(other))


def manners(text: Profile) -> set[str]:
    """What a text says of how to answer."""
    around = f" {text.joined} "
    tongues = {after for before, after in pairwise(text.words) if before == "in" and after in TONGUES}
    return tongues | (MANNERS & set(text.words)) | {wording for wording in WORDINGS if f" {wording} " in around}


def contained(one: list[Sentence], other: list[Sentence]) -> bool:
    """Whether all sentences of one are in the other, and beside them one that neither asks nor is courtesy.

    A further question is left to what was learnt: people ask the same thing twice over.
    """
    here, there = (Counter(each.stems for each in text if each.stems) for text in (one, other))
    more, said = (here - there, one) if not there - here else (there - here, other) if not here - there else ({}, one)
    return any(each.stems in more and not each.asks for each in said)


def beside(text: list[Sentence], lacking: frozenset[str], more: bool, whole: Profile) -> bool:
    """Whether a sentence of a text is an instruction that is hardly in the other, or a statement of which nothing is.
    The other lacks ``lacking``; ``more``: it says something else."""
    if len(text) < 2:
        return False
    for sentence in text:
        meant = sentence.stems & (whole.content | whole.numbers)
        gone = meant & lacking
        if gone and (
            (sentence.instructs and 2 * len(gone) >= len(meant)) or (gone == meant and not more and not sentence.asks)
        ):
            return True
    return False


def sentences(text: Profile) -> list[Sentence]:
    """A text, cut where sentences end and where an instruction follows a comma or ``and``."""
    ends = {at: mark for at, mark in reversed(text.marks) if mark in ENDS}
    pauses = {at for at, mark in text.marks if mark == ","}
    found, begin = [], 0
    for at in range(1, len(text.words) + 1):
        word = text.words[at] if at < len(text.words) else ""
        instructs = word in ANSWERING and (at in pauses or text.words[at - 1] in JOINING)
        if at in ends or instructs or at == len(text.words):
            found.append(read(text, begin, at, ends.get(at, "")))
            begin = at
    return found


def read(text: Profile, begin: int, end: int, mark: str) -> Sentence:
    """The sentence between two places, and the mark that ends it."""
    words = [word for word in text.words[begin:end] if word not in JOINING]
    first, second = (*words, "", "")[:2]
    instructs = first in INSTRUCTING and (first != "do" or second in DOING)
    asks = mark == "?" or (first in AUXILIARIES and not instructs) or bool(ASKING & {first, second})
    return Sentence(frozenset(text.stems[begin:end]) - POLITE, asks or mark == ":", instructs)
