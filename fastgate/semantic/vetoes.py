"""What no similarity outweighs: signs in the words of two questions that they ask for different things.

A veto has a name and looks at a pair of questions. It says yes only where each question has something of which the
other has another: ``5 mg`` against ``50 mg``, ``buy`` against ``sell``; of order and of signs that nothing else reads,
where they differ at all. Where one question merely says more than the other, the learnt decision
(``fastgate.semantic.policy``) weighs it, but where that is a whole sentence, or a number and nothing else. What each
costs and gains is measured in docs/semantic-cache.md.
"""

from collections.abc import Callable
from functools import lru_cache

from fastgate.semantic.pairs import Pair, pair
from fastgate.semantic.vetoes_added import added
from fastgate.semantic.vetoes_moved import moved
from fastgate.semantic.vetoes_order import order
from fastgate.semantic.vetoes_signs import code, date, number, quotation, unit, unread
from fastgate.semantic.vetoes_small import amount, small
from fastgate.semantic.vetoes_words import antonym, entity, language, negation, replaced

VETOES: tuple[tuple[str, Callable[[Pair], bool]], ...] = (
    ("language", language),
    ("negation", negation),
    ("antonym", antonym),
    ("number", number),
    ("unit", unit),
    ("date", date),
    ("quotation", quotation),
    ("code", code),
    ("entity", entity),
    ("order", order),
    ("replaced", replaced),
    ("unread", unread),
    ("moved", moved),
    ("small", small),
    ("amount", amount),
    ("added", added),
)
"""Names and checks, in the order in which they are asked. All are symmetric: which question came first makes no
difference."""


@lru_cache(maxsize=2_048)
def veto(one: str, other: str) -> str:
    """The name of the first veto against giving the answer of one question to the other; empty where there is none."""
    both = pair(one, other)
    return next((name for name, against in VETOES if against(both)), "")


def vetoes(one: str, other: str) -> tuple[str, ...]:
    """The names of all vetoes against a pair, for reports."""
    both = pair(one, other)
    return tuple(name for name, against in VETOES if against(both))
