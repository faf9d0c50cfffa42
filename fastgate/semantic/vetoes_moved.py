"""The veto on the same words in another order (``Are all squares rectangles?``, ``Are all rectangles squares?``).

Who did what to whom, what is taken from what, which argument comes first, whose is what: all of it is told by order. So
any other order of the same words stops a pair, but where it is known to make no difference: what is listed, what is
mutual, a phrase that stands first or last, words that carry nothing.
"""

from itertools import pairwise
from typing import NamedTuple

from fastgate.semantic.lexicon import AUXILIARIES
from fastgate.semantic.pairs import Pair
from fastgate.semantic.small_words import ARTICLED, CARRIED, JOINTS, OWNERS, PARTLESS, SCOPED, SEQUENCE
from fastgate.semantic.vetoes_tables import MUTUAL
from fastgate.semantic.vetoes_words import FILLING
from fastgate.semantic.words import Profile

LIGHT = AUXILIARIES | PARTLESS
"""Wherever these stand, and whether they do, the others keep their parts."""
TOTAL = {"every": "all", "each": "all"}
OPENING, CLOSING = frozenset("(["), frozenset(")]")
LIST_MARKS = frozenset(",/+*&;")
APART = frozenset(".!?:;,\n")
QUOTING = frozenset("\"'“‘«`([")
BETWEEN = frozenset(["to", "from", "with", "of", "as", "by", "in"])
REACH = 3
"""Words by which the ends of what differs are moved out: ``red tea or green tea``."""

FURTHEST = 40
"""Words between the ends of what two sides of a relation may be."""


class Flow(NamedTuple):
    """The words of a text that order tells something of, and where one may be cut."""

    stems: tuple[str, ...]
    words: tuple[str, ...]
    joints: frozenset[int]  # places of words that a comma, "and" or the like stands before: items of a list
    cuts: frozenset[int]  # places that punctuation stands before


def moved(pair: Pair) -> bool:
    """The same words, and neither a list, nor a phrase put first or last, nor a mutual relation explains their
    order."""
    one, other = pair.one, pair.other
    if one.stems == other.stems or one.content != other.content or one.numbers != other.numbers:
        return False
    letters = lone(one) | lone(other)
    mine, theirs = flow(one, letters), flow(other, letters)
    if mine.stems == theirs.stems:
        return False
    if sorted(mine.stems) != sorted(theirs.stems):
        return exchanged(mine, theirs) or counted_in(one, other)
    mutual = bool(set(one.words) & MUTUAL and set(other.words) & MUTUAL)
    return not (
        listed(mine, theirs) or carried(mine, theirs) or denied(mine, theirs) or (mutual and turned(mine, theirs))
    )


def exchanged(mine: Flow, theirs: Flow) -> bool:
    """Word for word the same but that some stand for one another throughout, some more often than others."""
    if len(mine.stems) != len(theirs.stems):
        return False
    apart = {both for both in zip(mine.stems, theirs.stems, strict=True) if both[0] != both[1]}
    return all((there, here) in apart for here, there in apart)


def counted_in(one: Profile, other: Profile) -> bool:
    """With the same content, all of one kind are spoken of in one, and all of another in the other."""
    mine, theirs = subjects(one), subjects(other)
    return bool(mine) and bool(theirs) and not mine & theirs


def subjects(text: Profile) -> set[str]:
    """What follows ``all`` or ``every``."""
    return {
        piece
        for before, piece in pairwise(("", *(TOTAL.get(*both) for both in zip(text.words, text.stems, strict=True))))
        if before == "all" and piece in text.content
    }


def lone(text: Profile) -> frozenset[str]:
    """``a`` where it is somewhere a letter and no article: before a mark or ``if``, at the end, as a capital."""
    marked = {at for at, mark in text.marks if mark not in QUOTING} | {len(text.words)}
    for at, (word, after) in enumerate(zip(text.words, (*text.words[1:], ""), strict=False)):
        if word == "a" and (at + 1 in marked or at in text.capitals or after in ARTICLED):
            return frozenset({"a"})
    return frozenset()


def flow(text: Profile, letters: frozenset[str]) -> Flow:
    """Reads order: light words left out, those between the items of a list noted."""
    marks: dict[int, list[str]] = {}
    for place, mark in text.marks:
        marks.setdefault(place, []).append(mark)
    stems: list[str] = []
    words: list[str] = []
    joints, cuts, depth, joint, cut = set(), set(), 0, False, False
    for at, (word, piece) in enumerate(zip(text.words, text.stems, strict=True)):
        for mark in marks.get(at, ()):
            depth += (mark in OPENING) - (mark in CLOSING)
            joint = joint or (mark in LIST_MARKS and depth <= 0 and divides(mark, text, at))
            cut = cut or (mark in APART and depth <= 0)
        if word in JOINTS:
            joint = True
        elif word not in LIGHT or word in letters:
            joints |= {len(stems)} if joint else set()
            cuts |= {len(stems)} if cut else set()
            joint = cut = False
            stems.append(TOTAL.get(word, piece))
            words.append(word)
    return Flow(tuple(stems), tuple(words), frozenset(joints), frozenset(cuts))


def divides(mark: str, text: Profile, at: int) -> bool:
    """A stroke between words lists them; between letters and numbers it divides one by the other."""
    return mark != "/" or (at > 0 and len(text.words[at - 1]) > 1 and text.words[at - 1] not in text.numbers)


def window(mine: Flow, theirs: Flow) -> tuple[int, int]:
    """Where the two begin to differ, and where they end to."""
    first, last = 0, len(mine.stems)
    while mine.stems[first] == theirs.stems[first]:
        first += 1
    while mine.stems[last - 1] == theirs.stems[last - 1]:
        last -= 1
    return first, last


def listed(mine: Flow, theirs: Flow) -> bool:
    """What differs are the items of a list, in another order."""
    first, last = window(mine, theirs)
    if SEQUENCE & set(mine.words):
        return False
    for begin in range(max(first - REACH, 0), first + 1):
        for end in range(last, min(last + REACH, len(mine.stems)) + 1):
            here, there = items(mine, begin, end), items(theirs, begin, end)
            if len(here) > 1 and sorted(here) == sorted(there):
                return True
    return False


def items(text: Flow, begin: int, end: int) -> list[tuple[str, ...]]:
    """A part of a text, cut where a list is."""
    at = [begin, *sorted(joint for joint in text.joints if begin < joint < end), end]
    return [text.stems[here:there] for here, there in pairwise(at)]


def carried(mine: Flow, theirs: Flow) -> bool:
    """One phrase stands before another in one, behind it in the other, and may: it begins with a preposition, a word of
    question or a mark, or carries little."""
    first, last = window(mine, theirs)
    here, there, words = mine.stems[first:last], theirs.stems[first:last], mine.words[first:last]
    for size in range(1, len(here)):
        if here[size:] + here[:size] != there:
            continue
        if {words[0], words[size]} & CARRIED or loose(words[:size]) or loose(words[size:]):
            return True
        if set(here[:size]) <= FILLING or set(here[size:]) <= FILLING or counted(words):
            return True
        if first + size in mine.cuts and last - size in theirs.cuts:
            return True
    return False


def loose(words: tuple[str, ...]) -> bool:
    """An adverb by itself may stand anywhere, though not ``only``; so may whose it is."""
    return len(words) == 1 and words[0] not in SCOPED and (words[0].endswith("ly") or words[0] in OWNERS)


def counted(words: tuple[str, ...]) -> bool:
    """``World War II`` and the second world war, 500 dollars and ``$500``."""
    return len(words) <= REACH and sum(word[0].isdigit() for word in words) == 1


def denied(mine: Flow, theirs: Flow) -> bool:
    """``Why can't I`` and ``Why I can't``: a negation beside its subject, of which not all depends."""
    first, last = window(mine, theirs)
    here, there = mine.words[first:last], theirs.words[first:last]
    short = len(here) <= 2 or (len(here) == REACH and bool(set(here) & set(OWNERS)))
    if "not" not in here or not short or set(here) & (SCOPED - {"not"}):
        return False
    return [word for word in here if word != "not"] == [word for word in there if word != "not"]


def turned(mine: Flow, theirs: Flow) -> bool:
    """Two sides of a mutual relation have changed places."""
    first, last = window(mine, theirs)
    here, there = mine.stems[first:last], theirs.stems[first:last]
    for begin in range(1, len(here) if len(here) <= FURTHEST else 0):
        for end in range(begin + 1, len(here)):
            if here[end:] + here[begin:end] + here[:begin] == there:
                between = set(mine.words[first + begin : first + end])
                return between <= BETWEEN | MUTUAL
    return False
