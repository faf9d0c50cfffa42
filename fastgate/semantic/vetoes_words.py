"""Vetoes on words: negation, opposites, names, languages, one word in the place of another."""

from functools import lru_cache
from itertools import pairwise

from fastgate.semantic.lexicon import FILLER
from fastgate.semantic.pairs import Pair
from fastgate.semantic.vetoes_tables import (
    HARMLESS,
    KINDS,
    LANGUAGES,
    NEGATIONS,
    OPPOSITES,
    PARTICLES,
    PLACES,
    PREFIXES,
    TURNED_PREFIXES,
)
from fastgate.semantic.words import Profile, alike, stem

OPPOSITE: dict[str, frozenset[str]] = {}
for _line in OPPOSITES:
    _first, _second = (stem(_word) for _word in _line)
    if _first != _second:
        OPPOSITE[_first] = OPPOSITE.get(_first, frozenset()) | {_second}
        OPPOSITE[_second] = OPPOSITE.get(_second, frozenset()) | {_first}

KIND = tuple(frozenset(stem(word) for word in kind) for kind in KINDS)
PLACE = frozenset(stem(word) for word in PLACES)
FILLING = frozenset(stem(word) for word in FILLER)
SCRIPTS = (
    (0x250, "latin"), (0x370, "other"), (0x400, "greek"), (0x530, "cyrillic"), (0x590, "armenian"), (0x600, "hebrew"),
    (0x780, "arabic"), (0x900, "other"), (0x980, "devanagari"), (0xE00, "indic"), (0xE80, "thai"), (0x1100, "other"),
    (0x1200, "hangul"), (0x1E00, "other"), (0x2000, "latin"), (0x3040, "other"), (0x3100, "kana"), (0x4E00, "other"),
    (0xA000, "han"), (0xAC00, "other"), (0xD7B0, "hangul"),
)  # fmt: skip
"""Scripts of letters, by the first code point that is past each."""


def negation(pair: Pair) -> bool:
    """One question is negated and the other is not."""
    return negated(pair.one.joined) != negated(pair.other.joined)


@lru_cache(maxsize=2_048)
def negated(joined: str) -> bool:
    """Whether an odd number of words turn a text round."""
    text = f" {joined} "
    for phrase in HARMLESS:
        text = text.replace(f" {phrase} ", " ")
    return sum(word in NEGATIONS for word in text.split()) % 2 == 1


def antonym(pair: Pair) -> bool:
    """One has a word where the other has its opposite, or another of its kind: by tables, or by how it is formed."""
    one, other = set(pair.one.stems), set(pair.other.stems)
    left, right = one - other, other - one
    if not left or not right:
        return False
    positive = {positive_of(word) for word in right}
    if any(OPPOSITE.get(positive_of(word), frozenset()) & positive for word in left):
        return True
    if any(kind & left and kind & right for kind in KIND):
        return True
    # Both ways: "into" is turned to "out", but "out" to "in".
    if particles(pair.one) & turned_particles(pair.other) or particles(pair.other) & turned_particles(pair.one):
        return True
    return formed(left, right) or formed(right, left)


def particles(text: Profile) -> set[tuple[str, str]]:
    """Words with the particle that follows: ``("zoom", "in")``."""
    return {(word, after) for word, after in pairwise(text.stems) if after in PARTICLES and word in text.content}


def turned_particles(text: Profile) -> set[tuple[str, str]]:
    """The same with the particle turned round."""
    return {(word, PARTICLES[after]) for word, after in particles(text)}


def replaced(pair: Pair) -> bool:
    """Word for word the same but for one that carries meaning in both, and no table says that it is the same."""
    one, other = pair.one.stems, pair.other.stems
    if len(one) != len(other):
        return False
    apart = [(mine, theirs) for mine, theirs in zip(one, other, strict=True) if mine != theirs]
    if len(apart) != 1:
        return False
    mine, theirs = apart[0]
    return mine in pair.left - FILLING and theirs in pair.right - FILLING


@lru_cache(maxsize=16_384)
def positive_of(word: str) -> str:
    """``high`` of ``highest``, where that has an opposite."""
    for ending in ("iest", "ier", "est", "er"):
        if word.endswith(ending):
            base = word[: -len(ending)]
            for found in (base + "y", base, base[:-1]) if ending[0] == "i" else (base, base + "e", base[:-1]):
                if (known := stem(found)) in OPPOSITE and word not in OPPOSITE:
                    return known
    return word


def formed(mine: set[str], theirs: set[str]) -> bool:
    """Whether a word of ``mine`` is one of ``theirs`` turned round by what it begins or ends with."""
    for word in theirs:
        if any(
            f"{prefix}{word}" in mine for prefix in PREFIXES if len(word) > 3 or (len(word) == 3 and len(prefix) > 1)
        ):
            return True
        if f"{word}less" in mine or (word.endswith("ful") and f"{word[:-3]}less" in mine):
            return True
        if len(word) > 4 and word.endswith(("er", "or")) and f"{word[:-2]}e" in mine:  # trainer, traine(e)
            return True
        for prefix, turned in TURNED_PREFIXES:
            if word.startswith(prefix) and len(word) > len(prefix) + 2 and turned + word[len(prefix) :] in mine:
                return True
    return False


def named(text: Profile) -> set[str]:
    """Stems of a text that are names: by their capital, or because they are well known."""
    return {word for word in text.names if word not in FILLING and len(word) > 1} | (PLACE & text.content)


def entity(pair: Pair) -> bool:
    """Each names somebody or something that the other does not name, in no form and by no initials."""
    one, other = named(pair.one), named(pair.other)
    mine = {word for word in one - set(pair.other.stems) if not known(word, pair.other)}
    theirs = {word for word in other - set(pair.one.stems) if not known(word, pair.one)}
    if not mine or not theirs:
        return False
    for word in list(mine):
        run = initials(word, pair.other)
        mine -= {word} if run else set()
        theirs -= run
    for word in list(theirs):
        run = initials(word, pair.one)
        theirs -= {word} if run else set()
        mine -= run
    return bool(mine) and bool(theirs)


def known(word: str, other: Profile) -> bool:
    """Whether a name is in a text in another form, or misspelt, or joined with its neighbour."""
    if any(alike(word, theirs) for theirs in other.content):
        return True
    return len(word) > 4 and word in "".join(other.words)


def initials(word: str, other: Profile) -> set[str]:
    """The stems of ``other`` of which a name has the first letters (``un``: united nations); empty where there are
    none."""
    if not 2 <= len(word) <= 6:
        return set()
    letters = "".join(text[0] for text in other.words)
    at = letters.find(word)
    return set(other.stems[at : at + len(word)]) if at >= 0 else set()


def language(pair: Pair) -> bool:
    """The questions are in different scripts, or surely in different languages."""
    (script, tongue), (other_script, other_tongue) = spoken(pair.one.joined), spoken(pair.other.joined)
    if script and other_script and script != other_script:
        return True
    return bool(tongue) and bool(other_tongue) and tongue != other_tongue


@lru_cache(maxsize=2_048)
def spoken(joined: str) -> tuple[str, str]:
    """Script and language of a text, each empty where it is not sure."""
    counts: dict[str, int] = {}
    for letter in joined[:400]:
        if letter.isalpha():
            name = next((name for end, name in SCRIPTS if ord(letter) < end), "other")
            counts[name] = counts.get(name, 0) + 1
    script = max(counts, key=lambda name: counts[name]) if counts else ""
    if script != "latin":
        return script, ""
    words = joined.split()
    scores = sorted(((sum(word in known for word in words), name) for name, known in LANGUAGES.items()), reverse=True)
    (best, name), (second, _) = scores[0], scores[1]
    return script, name if best >= 2 and best - second >= 2 else ""
