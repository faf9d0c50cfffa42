"""Templates: what each user, session, value of a tag, model, environment of a key gets, made when it first comes.

A template is a budget or a limit whose owner ends in ``*``: ``user:ide/*``, ``tag:ide/project=*``. A value takes the
place of the star: ``user:ide/alice``, so that a budget of Alice is ``user:ide/alice/day/default``, and a limit of hers
``user:ide/alice/limit/requests/minute``. The cell of the template itself counts the values that there are; the first
use of a budget's is the first of any of them.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, TypeVar
from urllib.parse import unquote

from msgspec.structs import replace

from fastgate.wire.snapshot import BudgetRecord, LimitRecord

Record = TypeVar("Record", bound=BudgetRecord | LimitRecord)

LEVELS: Final = ("session", "user", "tag", "model", "environment")
"""Narrowest first."""
CLAIMED: Final = frozenset({"session", "user", "tag"})
"""Those whose values come from clients."""
TAG: Final = "tag:"
EACH: Final = "each:"
"""Before a key: whose all its templates of budgets are."""
BUDGETS: Final = 1
LIMITS: Final = 2
"""Kinds of members in the arena: what templates made, which a list of budgets or of limits looks for."""
MOST_VALUES: Final = 1 << 20
"""Of one template: beyond it, requests with a new value are refused."""
NONE: Final = "-"
"""The value of requests that have none."""
LONGEST_OWNER: Final = 114
"""Bytes: with the longest window and name behind it, or the longest limit, an id then fits into a cell's 160."""
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


def made_of(template: Record, value: str) -> Record:
    """The budget or limit of one value; the empty one is that of all requests without a value."""
    owner = owner_of(template.owner, value)
    return replace(template, owner=owner, id=owner + template.id[len(template.owner) :])


def owner_of(template: str, value: str) -> str:
    """``user:ide/alice``. Signs that cut ids into parts are written as ``%2F``; what is too long is hashed."""
    begin = template[: -len(_STAR)]
    shown = _WHOLE.get(value) or value.translate(_ESCAPES) or NONE
    if len(begin.encode()) + len(shown.encode()) > LONGEST_OWNER:
        shown = f"#{blake2b(value.encode(), digest_size=16).hexdigest()}"
    return begin + shown


def owner_in(id_: str) -> str:
    """Whose a budget or limit of a template is, by its id: between a key and a value there is the only slash."""
    return "/".join(id_.split("/", 2)[:2])


def called(templates: Iterable[Record], id_: str) -> Record | None:
    """The budget or limit with this id, if it is of one of ``templates``."""
    owner = owner_in(id_)
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
