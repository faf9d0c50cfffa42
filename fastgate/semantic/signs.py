"""Signs of a text that are neither words nor numbers nor plain punctuation: operators, emoji, what nobody sees.

An embedder may have one token for all signs that it does not know, or none; a model reads them all. So two texts whose
signs differ are not taken for the same, whatever the signs mean.
"""

import re
import sys
import unicodedata
from itertools import groupby

DASHES = "\\-\u2010-\u2015"
PLAIN = f".,;:!?'\"()`´{DASHES}…‘’‚“”„«»‹›¿¡。、「」『』《》〈〉・،؛؟।॥"
"""Of these in a character class nothing is asked, but where they are quoted themselves (``split by ';'``)."""
HIDDEN = frozenset(
    chr(point)
    for first, last in (
        (0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)  # fmt: skip
"""Letters and marks by their category, but nobody sees them."""
FOLDED = frozenset({"<super>", "<sub>", "<fraction>", "<font>", "<circle>", "<square>"})
"""Kinds of characters that are others' with a meaning of their own, which normalising takes: ``2⁸`` is not 28."""


def _marks() -> str:
    """All combining marks that are seen, as the inside of a character class."""
    points = [point for point in range(0x300, sys.maxunicode + 1) if _attached(chr(point))]
    runs = [list(run) for _, run in groupby(enumerate(points), lambda at: at[1] - at[0])]
    return "".join(f"\\U{run[0][1]:08x}-\\U{run[-1][1]:08x}" for run in runs)


def _attached(letter: str) -> bool:
    return (
        unicodedata.category(letter)[0] == "M"
        and letter not in HIDDEN
        and not any(first <= ord(letter) <= last for first, last in ACCENTS)
    )


ACCENTS = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
"""Marks of no script. Those that languages use are one with their letter once normalised; embedders drop the rest."""
MARKS = _marks()
"""For a character class. They belong to the letter before: vowels of Hindi and Thai are marks."""
LONGEST_WORD = 40
"""Letters. Embedders have one token for words that are much longer, whatever they say."""
SIGN = re.compile(
    r"(?P<quoted>(?<=['\"`‘“«])[^\w\s'\"`’”»]{1,20}(?=['\"`’”»]))"
    rf"|(?P<minus>(?<![^\W_])[{DASHES}−](?=\s*\.?\d)|(?<=\d\s)[{DASHES}](?=\s*\.?\d)|−)"
    r"|(?P<measure>(?<=\d)['\"](?!\w))"
    r"|(?P<read>(?:(?<=\d)|(?<=\d\s))[%°$€£¥₹]|[$€£¥₹](?=\s?\.?\d)"  # as words
    r"|(?<=[^\W\d_])[&/](?=[^\W\d_])|(?<=\s)&(?=\s)|(?<=[^\W_])_(?=[^\W_])"  # TCP/IP, salt & pepper, snake_case
    rf"|[{PLAIN}]|(?<=[^\W\d_\x00-\u058f])[{MARKS}]{{1,3}}(?![{MARKS}]))"
    rf"|(?P<word>\w{{{LONGEST_WORD + 1},}})"
    r"|(?P<sign>[^\w\s]|_|[\x1c-\x1f])"  # the last count as white space
)
NOTABLE = re.compile(r"[^\w\s.,;:!?'\"()-]|[_\x1c-\x1f]|-\s*\.?\d|['\"][^\w\s]+['\"]|\d['\"]|\w{41}")
"""A text of ASCII without any of these has no signs."""


def signs(text: str) -> str:
    """What is neither letter, digit, white space nor plain punctuation, and words too long to be read, in the order of
    the text; some µs where there is nothing."""
    if text.isascii() and not NOTABLE.search(text):
        return ""
    folded = [letter for letter in text if letter > "\x7f" and (letter in HIDDEN or _folded(letter))]
    found = []
    text = unicodedata.normalize("NFKC", text)
    for match in SIGN.finditer(text):
        kind = match.lastgroup
        if kind == "minus":
            found.append("-")
        elif kind == "measure":  # unless it ends a quotation
            found.append(match.group() if text.count(match.group(), 0, match.start()) % 2 == 0 else "")
        elif kind != "read":
            found.append(match.group())
    return "".join(found) + "".join(folded)


def _folded(letter: str) -> bool:
    return unicodedata.decomposition(letter).partition(" ")[0] in FOLDED
