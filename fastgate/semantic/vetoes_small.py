"""Vetoes on small words and on amounts: they carry little, and where all else is the same they carry everything."""

from itertools import pairwise

from fastgate.semantic.pairs import Pair
from fastgate.semantic.small_words import (
    AMOUNTS,
    CHANGING,
    CONDITIONS,
    ENDS_OF,
    MODALS,
    OWNERS,
    QUANTIFIERS,
    SHOUTED,
    SIDES,
    TIMES,
)
from fastgate.semantic.vetoes_order import ARTICLES
from fastgate.semantic.vetoes_signs import conflict
from fastgate.semantic.vetoes_words import FILLING
from fastgate.semantic.words import Profile, stem

LIGHT = FILLING | frozenset(
    stem(word) for table in (QUANTIFIERS, TIMES, CONDITIONS, ENDS_OF, SIDES, MODALS, OWNERS) for word in table
)
CHANGED = frozenset(stem(word) for word in (*CHANGING, *AMOUNTS))
SPEAKERS = frozenset(["i", "me", "we", "us", "you", "one"])
MINE, YOURS = frozenset(["i", "me", "my", "mine"]), frozenset(["you", "your", "yours"])
FACTS = frozenset(["am", "are", "is", "was", "were", "did"])
LIMITS = frozenset({"only", "even"})
"""With one of these ``if`` is another condition."""


def small(pair: Pair) -> bool:
    """Each has a small word of a kind that the other lacks, and nothing else tells them apart: every user, any user."""
    if (pair.left | pair.right) - LIGHT:
        return False
    one, other = words(pair.one), words(pair.other)
    if one == other and pair.one.shouted == pair.other.shouted:
        return False
    if any(conflict(kinds(one, table), kinds(other, table)) for table in (QUANTIFIERS, TIMES, ENDS_OF, SIDES)):
        return True
    if conflict(conditions(pair.one), conditions(pair.other)) or shouted(pair.one, pair.other):
        return True
    if pair.one.asks == pair.other.asks == "polar" and conflict(kinds(one, MODALS), kinds(other, MODALS)):
        return True
    if one & SPEAKERS != other & SPEAKERS:  # then the owner follows: how do I find my way, how do you find yours
        exact = pair.one.asks == pair.other.asks != "how" and not pair.left and not pair.right
        return exact and addressed(one, other)
    return conflict(kinds(one, OWNERS), kinds(other, OWNERS))


def addressed(one: frozenset[str], other: frozenset[str]) -> bool:
    """One asks what who asks is or did, the other what who is asked is or did: otherwise ``you`` may be anybody."""
    facts = bool(one & FACTS) and bool(other & FACTS)
    return facts and {(bool(text & MINE), bool(text & YOURS)) for text in (one, other)} == {
        (True, False),
        (False, True),
    }


def words(text: Profile) -> frozenset[str]:
    """Those of a text, without ``most`` of superlatives."""
    return frozenset(word for before, word in pairwise(("", *text.words)) if word != "most" or before not in ARTICLES)


def kinds(words: frozenset[str], table: dict[str, str]) -> frozenset[str]:
    """What a table calls the words that it has."""
    return frozenset(table[word] for word in words if word in table)


def conditions(text: Profile) -> frozenset[str]:
    """What holds a condition in: ``if``, ``only if``, ``unless``."""
    return frozenset(
        f"{before} {CONDITIONS[word]}" if before in LIMITS else CONDITIONS[word]
        for before, word in pairwise(("", *text.words))
        if word in CONDITIONS
    )


def shouted(one: Profile, other: Profile) -> bool:
    """A name of capitals in one is a pronoun in the other: US policy, us."""
    apart = SHOUTED & set(one.words) & set(other.words)
    return bool(apart & (one.shouted ^ other.shouted))


def amount(pair: Pair) -> bool:
    """One has a number, a part or another word of which a thing becomes another that the other lacks, and all else is
    the same: an hour, half an hour; the square, the square root."""
    if (pair.left | pair.right) - CHANGED:
        return False
    one, other = amounts(pair.one), amounts(pair.other)
    return one - unity(pair.other) != other - unity(pair.one)


def amounts(text: Profile) -> frozenset[str]:
    """Numbers of a text, and words that are like numbers."""
    return text.numbers | {AMOUNTS.get(word, word) for word in text.words if word in AMOUNTS or word in CHANGING}


def unity(text: Profile) -> frozenset[str]:
    """``one month`` is ``1 month``, and so is a month."""
    return frozenset({"1"}) if {"a", "an", "one"} & set(text.words) else frozenset()
