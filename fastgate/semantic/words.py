"""Words, numbers, names, quotations and code of a question, read once and kept: what vetoes and features go by.

English is read closely. Of other languages words, numbers, quotations, code and names in scripts with capitals are
seen.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from fastgate.semantic.lexicon import AUXILIARIES, CONTRACTED, GROUPS, IRREGULAR, NUMBER_WORDS, ROMAN, SCALES, STOP
from fastgate.semantic.numerals import canonical, scaled
from fastgate.semantic.signs import MARKS, signs

LONGEST = 2_000
"""Characters that are read of a text. A longer one is like none: it is neither asked about nor kept."""

PLAIN = (
    r"(?P<number>\d{1,4}[/-]\d{1,2}[/-]\d{1,4}(?!\w)|\d+:\d+"
    r"|(?:(?<=\s)-)?(?:\d[\d,]*(?:\.\d+)*|(?<![\w.])\.\d+)(?:[^\W\d_]+)?%?)"
    rf"|(?P<word>[^\W\d_][^\W_]*(?:[{MARKS}]+[^\W_]*)*(?:['’][^\W\d_]+)*)"
    r"|(?P<mark>[.!?]+(?=\s|$)|[^\w\s])"
)
WORDS = re.compile(PLAIN)
CODELIKE = re.compile(r"[`#<>_()$@=&|*/\\\[\]{}%]|\+\+|\.\w|(?<!\w)-\w|::|\d[xX]")
"""Without any of these a text has no code, and is read in half the time."""
TOKEN = re.compile(
    r"(?P<code>`[^`\n]{1,200}`|[A-Za-z]\+\+|[A-Za-z]#(?!\w)|(?<![\w.])\.(?=[A-Za-z])[A-Za-z][\w.]*|</?[A-Za-z][\w-]*/?>"
    r"|(?<![\w-])--?[A-Za-z][\w-]*|[A-Za-z_]\w*(?:(?:::|->)[A-Za-z_]\w*)+(?:\(\))?|[A-Za-z_][\w.]*\([^()\s]{0,40}\)"
    r"|[A-Za-z_][\w.]*\.(?:js|ts|py|com|org|net|io|txt|csv|json|html|css|xml|exe|java|cpp|sh|md|ya?ml|pdf|png|jpe?g|log"
    r"|ini|conf|sql)\b"
    r"|\\[A-Za-z]|%[a-z](?!\w)|(?<!\w)\+\+[A-Za-z]|(?<=\s)[&*][A-Za-z_]\w*|\[\]|\{\}|\(\)"
    r"|[A-Za-z]+(?:_\w+)+|_{1,2}[A-Za-z]\w*|\$[A-Za-z_]\w*|@[A-Za-z_]\w*|(?<!\w)(?:/[\w.-]+){2,}|0x[0-9a-fA-F]+"
    r"|===|!==|==|!=|<=|>=|=>|->|&&|\|\||\+=|-=|<<|>>|(?<![A-Za-z*])\*\*(?![A-Za-z*]))"
    r"|(?P<dotted>[A-Za-z_]\w+(?:\.[A-Za-z_]\w+)+)"
    rf"|{PLAIN}"
)
QUOTED = re.compile(
    r"\"{1,2}([^\"\n]{1,300})\"{1,2}|“([^”\n]{1,300})”|«([^»\n]{1,300})»|(?<!\w)['‘]([^'’\n]{2,300})['’](?!\w)"
)
NUMBER = re.compile(r"(-?(?:\d[\d,]*(?:\.\d+)*|\.\d+))([^\W\d_]*)(%?)")
INITIALS = re.compile(r"\b([A-Za-z])\.(?=[A-Za-z])")
"""The points of ``U.S.A.``, ``e.g.`` and ``B.Tech`` end no sentence."""
_ALIKE = str.maketrans({"’": "'", "´": "'", "ʼ": "'", "−": "-"})
ORDINAL = {"st", "nd", "rd", "th"}
ENDS = frozenset(".!?:;")
LETTERED = frozenset(
    {
        "column",
        "row",
        "type",
        "vitamin",
        "plan",
        "part",
        "class",
        "grade",
        "group",
        "option",
        "hepatitis",
        "team",
        "section",
        "point",
        "variable",
        "set",
        "drive",
    }
)
"""After these a single letter is a name: ``vitamin a`` has no article."""
ABBREVIATED = frozenset({"mr", "mrs", "ms", "dr", "mt", "prof", "st", "vs", "jr", "sr", "no", "approx", "dept"})


@dataclass(frozen=True, slots=True)
class Profile:
    """What was read of one text. ``words``, ``stems`` and ``written`` run in parallel, in the order of the text."""

    words: tuple[str, ...]  # lower case, contractions expanded; numbers as numerals.canonical has them
    stems: tuple[str, ...]  # what inflections of one word share
    content: frozenset[str]  # stems that carry meaning: no function words, no numbers
    names: frozenset[str]  # stems of words written as names
    numbers: frozenset[str]
    units: tuple[tuple[str, str], ...]  # (number, word that follows it)
    quotes: frozenset[str]  # lower case, white space folded
    codes: frozenset[str]  # as written
    asks: str  # how, why, who, when, where, what, how many, ..., polar, or ""
    sentences: int
    titled: bool  # capitals say nothing: all words have them, or none has
    joined: str  # words with one space between, for look-ups of phrases
    signs: str  # in order, what is neither word, number nor plain punctuation
    whole: bool  # nothing was cut off
    marks: tuple[tuple[int, str], ...]  # (place of the word that follows, punctuation mark or line feed)
    capitals: frozenset[int]  # places of words with a capital, where no sentence begins and not all have one
    shouted: frozenset[str]  # words of two letters and more all in capitals, where not all of the text is


@lru_cache(maxsize=2_048)
def profile(text: str) -> Profile:
    """Reads ``text``. Never fails, whatever the text; some 50 µs for a question, once while it is in use."""
    found, whole = signs(text[:LONGEST]), len(text) <= LONGEST
    plain = unicodedata.normalize("NFKC", text[:LONGEST].translate(_ALIKE))
    text = INITIALS.sub(r"\1", plain)
    reader = _Reader()
    lines, read = "\n" in text, 0
    for match in (TOKEN if CODELIKE.search(text) else WORDS).finditer(text):
        if lines and "\n" in text[read : match.start()]:
            reader.marks.append((len(reader.words), "\n"))
        reader.take(match)
        read = match.end()
    return reader.profile(text, found, whole)


class _Reader:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.capital: list[bool] = []  # written with a capital, where no sentence begins
        self.first: list[bool] = []
        self.numbers: set[str] = set()
        self.units: list[tuple[str, str]] = []
        self.codes: set[str] = set()
        self.marks: list[tuple[int, str]] = []
        self.shouted: set[str] = set()
        self.sentences = 0
        self.begins = True
        self.hyphen = False
        self.hanging = ""  # a number that waits for its unit

    def take(self, match: re.Match[str]) -> None:
        kind, text = match.lastgroup, match.group()
        if self.hyphen and text == "free":
            text = "without"  # sugar-free
        self.hyphen = False
        if kind == "word":
            self._word(text)
        elif kind == "number":
            self._number(text)
        elif kind == "code":
            self._code(text, text.strip("`"))
        elif kind == "dotted":
            self._code(text, f"~{text}")  # or two sentences without a space between
        else:
            self._mark(text)
        self.hyphen = text == "-"

    def _mark(self, text: str) -> None:
        if not (text == "." and self.words and self.words[-1] in ABBREVIATED):
            self.marks.append((len(self.words), text[0]))
        if text[0] in ENDS and not (text == "." and self.words and self.words[-1] in ABBREVIATED):
            self.sentences += not self.begins
            self.begins = True
            self.hanging = ""
        elif text == "." and self.words and self.words[-1] == "no":
            self.words[-1] = "number"
        elif text in "$€£¥₹%°":
            self._add({"%": "percent", "°": "degree"}.get(text, text), False)
            self.units.append((self.hanging, self.words[-1]))
        elif text in '"“«([':
            self.begins = True  # a capital within says nothing
        elif text in "<>":
            self._add("less" if text == "<" else "greater", False)
        elif text in "^~*+=|\\@#{}[]":
            self.codes.add(f"~{text}")

    def _add(self, word: str, capital: bool) -> None:
        self.words.append(word)
        self.capital.append(capital and not self.begins)
        self.first.append(self.begins)
        self.begins = False

    def _word(self, text: str) -> None:
        low = text.lower()
        if len(text) == 1 and text != "I" and self.words and self.words[-1] in LETTERED:
            self._add(f"letter_{low}", True)
            return
        capital = text[0].isupper() or any(letter.isupper() for letter in text[1:])
        if len(text) > 1 and text.isupper():
            self.shouted.add(low)
        if any(letter.isupper() for letter in text[1:]) and not text.isupper():
            self.begins = False  # iPhone, McDonald: a name wherever it stands
        parts = CONTRACTED.get(low)
        if parts is None:
            parts = tuple(part for part in _apart(low) if part)
        for part in parts:
            if part in NUMBER_WORDS:
                self._value(NUMBER_WORDS[part])
            elif part in SCALES and self.words and self.words[-1] in self.numbers:
                self._scale(SCALES[part])
            elif part in SCALES and len(part) > 3 and self.words and self.words[-1] in {"a", "one"}:
                self._value(str(SCALES[part]))
            elif text in ROMAN:
                self._value(ROMAN[text])
            else:
                self._add(part, capital)
                if self.hanging:
                    self.units.append((self.hanging, part))
                    self.hanging = ""

    def _number(self, text: str) -> None:
        if ":" in text or text.count("/") + text.count("-") == 2:
            self._value(text.replace("/", "-"))
            return
        match = NUMBER.match(text)
        assert match is not None
        if text.endswith(","):
            self.marks.append((len(self.words) + 1, ","))
        digits, letters, percent = match.groups()
        suffix = letters.lower()
        self._value(canonical(digits))
        if suffix in SCALES:
            self._scale(SCALES[suffix])
        elif suffix and suffix not in ORDINAL:
            self._add(suffix, False)
            self.units.append((self.hanging, suffix))
            self.hanging = ""
        if percent:
            self._add("percent", False)
            self.units.append((self.hanging, "percent"))

    def _value(self, value: str) -> None:
        self._add(value, False)
        self.numbers.add(value)
        self.hanging = value

    def _scale(self, factor: int) -> None:
        value = self.words[-1]
        self.numbers.discard(value)
        self.words[-1] = self.hanging = scaled(value, factor)
        self.numbers.add(self.hanging)

    def _code(self, text: str, kept: str) -> None:
        inner = text.strip("`")
        self.codes.add(kept)
        for part in re.findall(r"[^\W_]+", inner) or [inner]:
            self._add(part.lower(), False)
        if len(inner) <= 3:
            self.words[-1] = inner.lower()  # c++ and c are two words

    def _titled(self) -> bool:
        """Whether every word has its capital, as in headings: then none is a name's."""
        rest = [
            (word in STOP, capital)
            for word, capital, first in zip(self.words, self.capital, self.first, strict=True)
            if not first and word != "i" and word[0].isalpha()
        ]
        plain = [capital for small, capital in rest if small]
        return all(capital for small, capital in rest if not small) and (any(plain) if plain else len(rest) > 3)

    def _capitals(self) -> frozenset[int]:
        """Places of capitals that tell: none where every word has one."""
        rest = [at for at, first in enumerate(self.first) if not first and self.words[at] != "i"]
        found = frozenset(at for at in rest if self.capital[at])
        return found if len(found) < len(rest) else frozenset()

    def profile(self, text: str, found: str, whole: bool) -> Profile:
        words = tuple(self.words)
        stems = tuple(stem(word) for word in words)
        titled = text.isupper() or self._titled()
        names = {
            stems[at]
            for at, word in enumerate(words)
            if self.capital[at] and word not in STOP and word not in AUXILIARIES and not titled
        }
        plain = STOP | self.numbers
        return Profile(
            words, stems, frozenset(piece for piece, word in zip(stems, words, strict=True) if word not in plain),
            frozenset(names), frozenset(self.numbers), tuple(self.units),
            frozenset(" ".join(next(filter(None, each)).lower().split()) for each in QUOTED.findall(text)),
            frozenset(self.codes), asked(words), self.sentences + (not self.begins), titled, " ".join(words), found,
            whole, tuple(self.marks), self._capitals(), frozenset() if text.isupper() else frozenset(self.shouted),
        )  # fmt: skip


def _apart(word: str) -> list[str]:
    """``doesn't`` is two words, ``John's`` is one."""
    head, quote, tail = word.partition("'")
    if not quote:
        return [word]
    if tail == "t" and head.endswith("n"):
        return [{"ca": "can", "wo": "will", "sha": "shall"}.get(head[:-1], head[:-1]), "not"]
    full = {"re": "are", "ve": "have", "ll": "will", "m": "am", "d": "would", "s": ""}.get(tail)
    return [head, full] if full is not None else [head, tail]


CLUES = {
    "reason": "why", "reasons": "why", "way": "how", "ways": "how", "time": "when", "year": "when", "date": "when",
    "place": "where", "places": "where",
}  # fmt: skip
"""After ``what`` or ``which``, these say what is asked for."""


def asked(words: tuple[str, ...]) -> str:
    """What kind of answer is asked for, by the first word of question."""
    for at, word in enumerate(words):
        after = words[at + 1] if at + 1 < len(words) else ""
        if word == "how":
            return (
                f"how {after}"
                if after in {"many", "much", "long", "old", "far", "often", "tall", "big", "fast"}
                else "how"
            )
        if word in {"what", "which"}:
            rest = words[at + 1 : at + 6]
            return next((CLUES[clue] for clue in rest if clue in CLUES), "what")
        if word in {"why", "when", "where"}:
            return word
        if word in {"who", "whom", "whose"}:
            return "who"
        if at == 0 and word in AUXILIARIES:
            return "polar"
    return ""


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """A cautious stem: plurals and ``-ing``, ``-ed``, ``-ly`` taken off; then what a table says means the same."""
    base = _stem(IRREGULAR.get(word, word))
    return _SYNONYMS.get(base, base)


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending, least in (("ing", 6), ("ed", 5), ("ly", 5)):
        if len(word) >= least and word.endswith(ending) and re.search("[aeiouy]", word[: -len(ending)]):
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    if len(word) > 3 and word.endswith("e") and word[:-1] not in STOP:  # a note is not "not"
        word = word[:-1]
    return word


_SYNONYMS = {
    _stem(IRREGULAR.get(word, word)): _stem(IRREGULAR.get(group[0], group[0]))
    for group in reversed(GROUPS)
    for word in group
}


@lru_cache(maxsize=16_384)
def alike(one: str, other: str) -> bool:
    """Whether two stems are one word misspelt, or one word's forms: an edit apart, or a long beginning in common."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    if len(short) < 4 or short[0] != long[0] or any(letter.isdigit() for letter in one + other):
        return False
    common = 0
    while common < len(short) and short[common] == long[common]:
        common += 1
    if common >= 4 and common >= 0.7 * len(long) and len(long) - common <= 4:
        return True
    return len(short) >= 5 and one_edit(short, long, common)


def one_edit(short: str, long: str, common: int) -> bool:
    """Whether one insertion, replacement or exchange of neighbours makes one the other; ``common`` letters begin
    both."""
    if len(long) - len(short) > 1:
        return False
    if len(long) == len(short):
        rest = short[common + 1 :] == long[common + 1 :]
        swapped = (
            short[common : common + 2] == long[common : common + 2][::-1] and short[common + 2 :] == long[common + 2 :]
        )
        return rest or swapped
    return short[common:] == long[common + 1 :]
