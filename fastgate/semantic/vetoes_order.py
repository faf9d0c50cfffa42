"""The veto on argument order: the same words, of which two have changed their parts (``PDF to Word``, ``Word to
PDF``)."""

from collections import Counter

from fastgate.semantic.lexicon import STOP
from fastgate.semantic.pairs import Pair
from fastgate.semantic.vetoes_tables import DIRECTED, MUTUAL, SYMMETRIC
from fastgate.semantic.words import Profile

ARTICLES = frozenset(
    {
        "a",
        "an",
        "the",
        "my",
        "your",
        "our",
        "their",
        "his",
        "her",
        "its",
        "this",
        "that",
        "these",
        "those",
        "some",
        "any",
        "one",
    }
)
LONGEST = 80
"""Words. Longer texts say things more than once, and then place tells nothing."""
JOINTS = frozenset({"if", "because", "before", "after", "when", "while", "until", "unless", "instead", "without"})
STRONG = frozenset(word for word, part in DIRECTED.items() if part not in {"of", "for", "in", "on"})
EITHER = "="
"""The part of a word that stands beside another on equal terms."""


def order(pair: Pair) -> bool:
    """Two words of both questions have exchanged their parts, and no word says that this makes no difference."""
    one, other = pair.one, pair.other
    if max(len(one.words), len(other.words)) > LONGEST:
        return False
    if set(one.words) & MUTUAL and set(other.words) & MUTUAL:
        return False
    here, there = turned(one), turned(other)
    if any((after, word, before) in there - here for before, word, after in here - there):
        return True
    if swapped_clauses(one, other):
        return True
    mine, theirs = parts(one), parts(other)
    if passive(mine, theirs) or passive(theirs, mine):
        return True
    both = sorted(set(mine) & set(theirs), key=lambda word: mine[word][0])
    for at, first in enumerate(both):
        for second in both[at + 1 :]:
            if theirs[first][0] > theirs[second][0] and exchanged(mine, theirs, first, second):
                return True
    return False


def swapped_clauses(one: Profile, other: Profile) -> bool:
    """What is said before a conjunction in one is said after it in the other, and the other way around."""
    for joint in JOINTS & set(one.words) & set(other.words):
        before, after = sides(one, joint)
        if before and after and before != after and (after, before) == sides(other, joint):
            return True
    return False


def sides(text: Profile, joint: str) -> tuple[frozenset[str], frozenset[str]]:
    """The stems with a meaning before and after the first of a word."""
    at = text.words.index(joint)
    return frozenset(text.stems[:at]) & text.content, frozenset(text.stems[at + 1 :]) & text.content


def passive(mine: "Parts", theirs: "Parts") -> bool:
    """``A conquered B`` against ``A was conquered by B``."""
    for word, (here, verb) in mine.items():
        there, governed = theirs.get(word, (0, ""))
        if governed == "by" and verb in mine and verb in theirs and theirs[verb][0] < there:
            for subject, (place, _) in mine.items():
                if place < mine[verb][0] < here and subject in theirs and theirs[subject][0] < theirs[verb][0]:
                    return True
    return False


def turned(text: Profile) -> set[tuple[str, str, str]]:
    """What stands before and after each word of direction, one word or two: ``("pdf", "to", "word")``."""
    stems = [piece for word, piece in zip(text.words, text.stems, strict=True) if word not in ARTICLES]
    found = set()
    for at, piece in enumerate(stems):
        if piece in STRONG:
            for width in (1, 2):
                before, after = stems[max(at - width, 0) : at], stems[at + 1 : at + 1 + width]
                if len(before) == len(after) == width and not (set(before) | set(after)) <= STOP:
                    found.add((" ".join(before), DIRECTED[piece], " ".join(after)))
    return found


Parts = dict[str, tuple[int, str]]


def parts(text: Profile) -> Parts:
    """For each word with a meaning, or number, that occurs once: its place, and what governs it."""
    found: Parts = {}
    times = Counter(text.stems)
    for at, (word, piece) in enumerate(zip(text.words, text.stems, strict=True)):
        if word not in STOP and times[piece] == 1:
            found[piece] = (at, governor(text, at))
    return found


def governor(text: Profile, at: int) -> str:
    """The word before, articles left out: a preposition by its direction, ``=`` for a connector on equal terms."""
    before = at - 1
    while before >= 0 and text.words[before] in ARTICLES:
        before -= 1
    if before < 0:
        return "^"
    word = text.words[before]
    if word in SYMMETRIC:
        return EITHER
    return DIRECTED.get(word, text.stems[before])


def exchanged(mine: Parts, theirs: Parts, first: str, second: str) -> bool:
    """Whether ``first``, which comes first in one text and last in the other, and ``second`` have each other's part."""
    (_, first_here), (_, second_here) = mine[first], mine[second]
    (_, first_there), (_, second_there) = theirs[first], theirs[second]
    if EITHER in {first_here, second_here, first_there, second_there}:
        return False
    if second_here != first_there or second_here == first_here:
        return False
    return first_here == second_there or (second_here in STRONG and second_there != second_here)
