"""Budgets of templates: for each user, session, value of a tag, model, environment of a key, made when it first comes.

A template is a budget whose owner ends in ``*``: ``user:ide/*``, ``tag:ide/project=*``. A value takes the place of the
star: ``user:ide/alice``, so that the budget of Alice is ``user:ide/alice/day/default``. The cell of the template itself
counts the values that there are, and its first use is the first of any of them.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final
from urllib.parse import unquote

from msgspec.structs import replace

from fastgate.wire.snapshot import BudgetRecord

LEVELS: Final = ("session", "user", "tag", "model", "environment")
"""Narrowest first."""
CLAIMED: Final = frozenset({"session", "user", "tag"})
"""Those whose values come from clients."""
TAG: Final = "tag:"
EACH: Final = "each:"
"""Before a key: whose all its templates are."""
MOST_VALUES: Final = 1 << 20
"""Of one template: beyond it, requests with a new value are refused."""
NONE: Final = "-"
"""The value of requests that have none."""
LONGEST_OWNER: Final = 114
"""Bytes: with the longest window and name behind it, an id then fits into a cell's 160."""
HASHED: Final = 33
"""Bytes of what stands for a longer value."""
_STAR: Final = "*"
_ESCAPES: Final = {ord(c): f"%{ord(c):02X}" for c in "%/#?*"}
_WHOLE: Final = {text: text.replace(text[0], f"%{ord(text[0]):02X}") for text in ("-", ".", "..")}
"""Texts that would mean something else, or that an address cannot have between slashes."""


def template_owner(key: str, name: str) -> str:
    """Of what a key has for ``each`` user, ``tag:project`` and so on."""
    tag = name.removeprefix(TAG)
    return f"{name}:{key}/{_STAR}" if tag == name else f"tag:{key}/{tag}={_STAR}"


def budget_of(template: BudgetRecord, value: str) -> BudgetRecord:
    """The budget of one value; the empty one is that of all requests without a value."""
    owner = owner_of(template.owner, value)
    return replace(template, owner=owner, id=owner + template.id[len(template.owner) :])


def owner_of(template: str, value: str) -> str:
    """``user:ide/alice``. Signs that cut ids into parts are written as ``%2F``; what is too long is hashed."""
    begin = template[: -len(_STAR)]
    shown = _WHOLE.get(value) or value.translate(_ESCAPES) or NONE
    if len(begin.encode()) + len(shown.encode()) > LONGEST_OWNER:
        shown = f"#{blake2b(value.encode(), digest_size=16).hexdigest()}"
    return begin + shown


def owner_of_budget(id_: str) -> str:
    """Whose a budget is, by its id."""
    return id_.rsplit("/", 2)[0]


def budget_called(templates: Iterable[BudgetRecord], id_: str) -> BudgetRecord | None:
    """The budget with this id, if it is of one of ``templates``."""
    owner = owner_of_budget(id_)
    for template in templates:
        begin, end = template.owner[: -len(_STAR)], template.id[len(template.owner) :]
        if owner.startswith(begin) and id_ == owner + end != template.id:
            return replace(template, owner=owner, id=id_)
    return None


def said(owner: str) -> tuple[str, str, str | None]:
    """The key of an owner, the name of its template, and the value; None: only a hash of that is known.

    ``user:ide/alice`` is ``("ide", "user", "alice")``, ``tag:ide/project=a%2Fb`` is ``("ide", "tag:project", "a/b")``.
    """
    level, _, rest = owner.partition(":")
    key, _, shown = rest.partition("/")
    name = level
    if level == "tag":
        tag, _, shown = shown.partition("=")
        name = f"{TAG}{tag}"
    if shown.startswith("#"):
        return key, name, None
    return key, name, "" if shown == NONE else unquote(shown)
