"""Vetoes on what is not a word: numbers, units, dates, quotations, code, and signs that nothing else reads."""

import re
from itertools import pairwise
from typing import Any

from fastgate.semantic.pairs import Pair
from fastgate.semantic.vetoes_tables import (
    AMBIGUOUS_UNITS,
    MEASURES,
    MONTHS,
    NEARNESS,
    PERIODS,
    RELATIVE,
    UNITS,
    WEEKDAYS,
)
from fastgate.semantic.words import Profile, alike, profile

MONTH_OF = {name: at for names in MONTHS for at, name in enumerate(names)} | {"sept": 8}
PER = frozenset({"per", "each", "every"})
SIGNS = re.compile(r"[\w\s.()]+")
MAY = re.compile(r"\bmay \d|\d may\b|\b(?:in|of|since|until|by|last|next|this) may\b")


def conflict(one: frozenset[Any], other: frozenset[Any]) -> bool:
    """Whether each has something that the other lacks."""
    return bool(one - other) and bool(other - one)


def number(pair: Pair) -> bool:
    """Each question has a number that the other lacks, however it is written."""
    return conflict(pair.one.numbers, pair.other.numbers)


def measured(text: Profile) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The units of a text, and its numbers with their units."""
    after = {(value, UNITS[word]) for value, word in text.units if word in UNITS}
    named = {UNITS[word] for word in text.words if word in UNITS and word not in AMBIGUOUS_UNITS}
    named |= {UNITS[word] for each, word in pairwise(text.words) if each in PER and word in UNITS}
    return frozenset(named | {name for _, name in after}), frozenset(pair for pair in after if pair[0])


def unit(pair: Pair) -> bool:
    """Each has a unit that the other lacks, or the same numbers and units are put together otherwise."""
    (one, valued), (other, counted) = measured(pair.one), measured(pair.other)
    kinds = {MEASURES.get(name, "") for name in one ^ other}
    return any(conflict(of_kind(one, kind), of_kind(other, kind)) for kind in kinds) or (
        one == other and len(one) > 1 and conflict(valued, counted)
    )


def of_kind(units: frozenset[str], kind: str) -> frozenset[str]:
    """The units that measure the same kind of thing."""
    return frozenset(name for name in units if MEASURES.get(name, "") == kind)


def date(pair: Pair) -> bool:
    """Each has a month, a weekday or another word of time that the other lacks. Years are numbers."""
    if len(pair.one.words) == len(pair.other.words):  # may and march are months where they stand for one another
        apart = [both for both in zip(pair.one.words, pair.other.words, strict=True) if both[0] != both[1]]
        if len(apart) == 1 and all(word in MONTH_OF for word in apart[0]):
            return True
    return any(conflict(one, other) for one, other in zip(moments(pair.one), moments(pair.other), strict=True))


def moments(text: Profile) -> tuple[frozenset[str], ...]:
    """Months, weekdays, words of time and periods near now of a text."""
    words = set(text.words)
    months = {str(MONTH_OF[word]) for word in words if word in MONTH_OF and word != "may"}
    if "may" in words and (MAY.search(text.joined) or any(text.words[at] == "may" for at in text.capitals)):
        months.add("4")
    near = {f"{first} {second}" for first, second in pairwise(text.words) if first in NEARNESS and second in PERIODS}
    near |= words & {"ago"}
    return frozenset(months), frozenset(words & set(WEEKDAYS)), frozenset(words & RELATIVE), frozenset(near)


def unread(pair: Pair) -> bool:
    """Their signs differ that are no words, no numbers and no plain punctuation, or not all of a text was read."""
    return pair.one.signs != pair.other.signs or not (pair.one.whole and pair.other.whole)


def quotation(pair: Pair) -> bool:
    """Each quotes something that the other does not say."""
    return bool(unsaid(pair.one, pair.other)) and bool(unsaid(pair.other, pair.one))


def unsaid(one: Profile, other: Profile) -> list[str]:
    """Quotations of ``one`` that are not in ``other``, quoted or not."""
    if one.quotes == other.quotes:
        return []
    within = f" {other.joined} "
    missing = []
    for quote in one.quotes:
        read = profile(quote)
        lacking = [
            word for word in read.content - other.content if not any(alike(word, theirs) for theirs in other.content)
        ]
        if lacking or not (read.content or f" {read.joined} " in within):
            missing.append(quote)
    return missing


def code(pair: Pair) -> bool:
    """One has an identifier, an operator or an option that the other does not have, or each a word of letters and
    digits."""
    one, other = pair.one, pair.other
    if absent(one, other) or absent(other, one):
        return True
    return conflict(mixed(one), mixed(other))


def absent(one: Profile, other: Profile) -> list[str]:
    """Code of ``one`` of which ``other`` does not have the parts."""
    if not one.codes or one.codes == other.codes:
        return []
    theirs = {found.lower() for found in other.codes}
    signs = {SIGNS.sub("", found) for found in other.codes}
    run = "".join(other.words)
    missing = []
    for found in one.codes - other.codes:
        if found.startswith("~"):
            continue
        parts = re.findall(r"[^\W_]+", found.lower().removesuffix(".js"))
        exact = not parts or found.startswith("-") or (len(found) <= 3 and not found.isalnum())
        if found.lower() not in theirs and (
            exact or "".join(parts) not in run or (signs and SIGNS.sub("", found) not in signs)
        ):
            missing.append(found)
    return missing


def mixed(text: Profile) -> frozenset[str]:
    """Words of letters and digits, as models and products have them (``s7``, ``wn722n``), and dotted ones."""
    words = {word for word in text.words if word[0].isalpha() and any(letter.isdigit() for letter in word)}
    return frozenset(words | {found.lower() for found in text.codes if found.startswith("~")})
