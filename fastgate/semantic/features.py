"""What the decision goes by: a similarity, and how the words of two questions differ, in a handful of numbers.

Each is about 0 to 3, so that one scale of priors fits all. Words are weighed by how rare they are in the traffic
itself.
"""

import math
import zlib
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from fastgate.semantic.pairs import Pair
from fastgate.semantic.vetoes_words import FILLING, named
from fastgate.semantic.words import Profile

NAMES = (
    "constant", "closeness", "similarity", "gap", "crowd", "votes", "swapped", "added", "overlap", "no difference",
    "rare swapped", "names added", "names swapped", "numbers", "asks otherwise", "asks for something else", "length",
    "uneven", "wording", "loose", "sentences", "person", "record", "denied near", "short swapped",
    "closeness squared", "overlap squared", "wording squared", "length squared", "closeness by gap",
    "closeness by crowd",
)  # fmt: skip
"""In the order of the vector."""

FACTS = frozenset(
    {"why", "who", "when", "where", "how many", "how much", "how long", "how old", "how far", "how often", "how"}
)
BUCKETS = 4_096
"""Words share that many learnt weights, by a hash that is the same in every process."""


class Surroundings(NamedTuple):
    """Where a neighbour stands among the others that were found."""

    gap: float  # similarity to it less that to the nearest with another answer; 1 where there is none
    crowd: int  # neighbours with other answers nearly as near as it, or nearer
    votes: int  # other neighbours that have its answer
    record: float  # what earlier comparisons with the entry say: log-odds
    denied: float  # 1 where a question that was no nearer than this one is known to be answered otherwise, falling to 0


class Frequencies:
    """In how many questions a word was: the weight of a difference. Forgets half of all when it is full.

    Words are kept as hashes: questions that were deleted must not be read from what they taught.
    """

    MOST = 50_000

    def __init__(self, counts: dict[int, int] | None = None, total: int = 0) -> None:
        self.counts = counts if counts is not None else {}
        self.total = total

    def add(self, text: Profile) -> None:
        """Counts the words of one question."""
        self.total += 1
        counts = self.counts
        for word in text.content:
            hashed = hash_of(word)
            counts[hashed] = counts.get(hashed, 0) + 1
        if len(counts) > self.MOST:
            self.counts = {hashed: count // 2 for hashed, count in counts.items() if count > 1}
            self.total //= 2

    def weight(self, word: str) -> float:
        """Rareness from 0 (in every question) to 1; words that carry little begin as if they had been seen often."""
        total = self.total + 2_000
        return math.log(total / (self.counts.get(hash_of(word), 0) + (60 if word in FILLING else 1))) / math.log(total)


@lru_cache(maxsize=16_384)
def hash_of(word: str) -> int:
    """64 bits, the same in every process. Who guesses a word can still see whether it was said."""
    return int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def bucket(word: str) -> int:
    """The learnt weight that a word shares."""
    return zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS


def buckets(pair: Pair) -> list[int]:
    """Learnt weights of the words in which two questions differ."""
    return sorted({bucket(word) for word in pair.left | pair.right})


def features(pair: Pair, similarity: float, around: Surroundings, frequencies: Frequencies) -> list[float]:
    """The vector of ``NAMES``; some 20 µs."""
    one, other = pair.one, pair.other
    weight = frequencies.weight
    left, right = [weight(word) for word in pair.left], [weight(word) for word in pair.right]
    shared = sum(weight(word) for word in pair.shared)
    mine, theirs = sum(left), sum(right)
    swapped, added = min(mine, theirs, 2.0), min(max(mine, theirs), 3.0)
    names = named(one) | named(other)
    names_left, names_right = len(names & pair.left), len(names & pair.right)
    asks, hard = asking(one, other)
    count, count_other = len(one.words), len(other.words)
    words = max(count, count_other, 1)
    closeness = -math.log(max(1.0 - similarity, 0.005)) - 2.3
    gap, crowd = min(around.gap, 0.15) * 10.0, math.log1p(around.crowd)
    overlap = 2.0 * shared / (shared + mine + theirs) if shared + mine + theirs > 0 else 1.0
    length, alike = math.log1p(words) - 2.3, 2.0 * wording(one, other)
    return [
        1.0,
        closeness,
        (similarity - 0.85) * 10.0,
        gap,
        crowd,
        math.log1p(around.votes),
        swapped,
        added,
        overlap,
        1.0 if not pair.left and not pair.right else 0.0,
        min(max(left, default=0.0), max(right, default=0.0)),
        min(float(names_left + names_right), 3.0),
        1.0 if names_left and names_right else 0.0,
        1.0 if one.numbers != other.numbers else 0.0,
        asks,
        hard,
        length,
        abs(count - count_other) / words,
        alike,
        min(float(pair.loose), 2.0),
        min(float(abs(one.sentences - other.sentences)), 2.0),
        1.0 if persons(one) != persons(other) else 0.0,
        around.record,
        around.denied,
        swapped / math.sqrt(words / 4.0),
        closeness * closeness,
        overlap * overlap,
        alike * alike,
        length * length,
        closeness * gap,
        closeness * crowd,
    ]


def asking(one: Profile, other: Profile) -> tuple[float, float]:
    """Whether two questions begin to ask otherwise, and whether they ask for facts of different kinds."""
    if one.asks == other.asks:
        return 0.0, 0.0
    return 1.0, 1.0 if one.asks in FACTS and other.asks in FACTS else 0.0


def wording(one: Profile, other: Profile) -> float:
    """Share of neighbouring words that both have, function words included: 1 where the texts are the same."""
    mine = set(zip(("", *one.stems), (*one.stems, ""), strict=True))
    theirs = set(zip(("", *other.stems), (*other.stems, ""), strict=True))
    return 2.0 * len(mine & theirs) / (len(mine) + len(theirs))


_PERSONS = {
    word: person
    for person, words in {"he": ("he", "his", "him"), "she": ("she", "her"), "they": ("they", "their", "them")}.items()
    for word in words
}


def persons(text: Profile) -> frozenset[str]:
    """Of whom else a question speaks; ``I``, ``you`` and ``we`` ask alike."""
    return frozenset(_PERSONS[word] for word in text.words if word in _PERSONS)


def denied(similarity: float, seen: Sequence[tuple[float, bool]]) -> float:
    """Nearness of the question that was most like the entry though its answer was another, as seen from this
    similarity."""
    worst = max((value for value, same in seen if not same), default=0.0)
    return math.exp(-max(similarity - worst, 0.0) / 0.03) if worst else 0.0
