"""What the younger vetoes look up: words by whose place or presence alone a question is another. Written by hand."""

JOINTS = frozenset({"and", "or", "vs", "versus", "nor"})
"""Between items of a list, whose order tells nothing but where a word of ``SEQUENCE`` is said."""
SEQUENCE = frozenset(
    """
    respectively ratio divide divided dividing subtract subtracted subtracting concatenate append prepend sequence
    latter former then followed
    """.split()
)
CARRIED = frozenset(
    """
    in on at for with from to into by during since until about through if when while because although after before
    without what which who whom whose why where how
    """.split()
)
"""A phrase that begins with one of these may stand before or behind the rest."""
PARTLESS = frozenset("a an the some be been being please kindly so just really actually also".split())
"""Wherever these stand, other words keep their parts."""
SCOPED = frozenset("only all every each any some most many few even always both no never not".split())
"""What these are said of changes with their place."""


def _kinds(lines: str) -> dict[str, str]:
    """``name: word word`` in each line, by word."""
    rows = [line.partition(":") for line in lines.strip().splitlines()]
    return {word: name.strip() for name, _, words in rows for word in words.split()}


QUANTIFIERS = _kinds(
    """
    all: all every each everyone everybody everything whole entire
    any: any anyone anybody anything
    some: some few several someone somebody
    most: most
    half: half
    only: only
    both: both
    either: either
    neither: neither
    """
)
OWNERS = _kinds("i: my mine\nyou: your yours\nhe: his\nshe: her hers\nthey: their theirs\nwe: our ours\nit: its")
CONDITIONS = _kinds(
    """
    if: if when whenever while once
    unless: unless
    until: until till
    because: because since
    though: although though despite
    before: before
    after: after
    """
)
ENDS_OF = _kinds("to: to into onto toward towards\nfrom: from")
SIDES = _kinds("for: for\nagainst: against")
TIMES = _kinds("now: now currently\nlater: later soon\nalways: always constantly\nsometimes: sometimes occasionally")
MODALS = _kinds("must: must should ought shall\ncan: can could may might")
"""Small words by what they say."""

SHOUTED = frozenset({"us", "it", "who", "aids"})
"""In capitals these are names."""
AMOUNTS = {"half": "1/2", "quarter": "1/4", "double": "2", "triple": "3", "couple": "2", "once": "1"} | {
    word: str(value)
    for value, word in enumerate(
        """
        eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
        """.split(),
        11,
    )
}
"""Read as numbers where all else is the same."""
CHANGING = frozenset(
    """
    last final next previous root cube cubed squared ex vice former almost nearly except only reverse inverse pseudo
    fake mock
    """.split()
)
"""What one of these is said of is another thing, or another share of it."""

COURTESY = frozenset(
    """
    thank thanks please hi hello hey dear sir madam all you your in advance for help me my regards kindly cheers the
    a
    """.split()
)
"""A sentence of these alone asks nothing."""
INSTRUCTING = frozenset(
    """
    answer reply respond write say explain give use keep be do pretend ignore disregard act assume imagine output
    format return list translate make speak tell show think limit include avoid add rhyme skip stick start end
    describe summarise summarize repeat consider cite invent lie forget remember put provide state justify
    """.split()
)
"""A sentence that begins with one of these says what to do."""
ANSWERING = frozenset("answer reply respond output format ignore disregard pretend rhyme explain write say".split())
"""After a comma or ``and``, too."""
MANNERS = frozenset(
    """
    wrongly incorrectly falsely inaccurately sarcastically ironically jokingly briefly concisely succinctly tersely
    verbosely poetically rudely truthfully backwards json xml yaml csv markdown html bulleted poem haiku limerick
    rhyme rhymes emojis uppercase lowercase verbatim wrong detail detailed sentence sentences paragraph paragraphs
    """.split()
)
"""Said beside a question, these say how to answer."""
WORDINGS = (
    "step by step", "word for word", "in short", "in brief", "in simple", "in plain", "your own words", "as if",
    "one word", "yes or no",
)  # fmt: skip
"""So do these phrases, and ``in`` before a language."""
TONGUES = frozenset(
    """
    english french german spanish italian portuguese dutch russian polish turkish arabic hindi bengali urdu chinese
    japanese korean vietnamese latin greek swedish danish norwegian finnish czech hungarian romanian hebrew
    """.split()
)
ARTICLED = frozenset("if is and or to in else than then not of for from with by be are was equals".split())
"""No article stands before one of these."""
