"""Models that a message lets Anthropic run beside the one that it is for: its ``fallbacks``, and advisors."""

import json
from typing import Annotated, Any, Final, Literal

import msgspec

from fastgate._core.body import Scan
from fastgate.dialects.base import Edit
from fastgate.wire.failure import Failure, shown

DEFAULT: Final = "default"
"""In place of a list: models that the provider chooses. It stands for their name, too."""
MOST: Final = 16
"""Models that a member may name; each is held for."""
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Thinking(msgspec.Struct):
    """An attempt's own thinking, as far as it is bounded."""

    budget_tokens: _Count | None = None


class Fallback(msgspec.Struct):
    """An attempt where the one before it declined; what it leaves out is as the request has it."""

    model: str
    max_tokens: _Count | None = None
    thinking: Thinking | None = None
    speed: str | None = None

    @property
    def thinking_budget(self) -> int | None:
        """Tokens that this attempt sets aside for reasoning."""
        return self.thinking.budget_tokens if self.thinking is not None else None


_Fallbacks = Annotated[list[Fallback], msgspec.Meta(max_length=MOST)] | Literal["default"] | None


class _Tool(msgspec.Struct):
    model: str | None = None


def fallbacks(raw: bytes | None) -> list[Fallback]:
    """The attempts that the member ``fallbacks`` allows. Raises Failure."""
    found = _read(raw, "fallbacks", _Fallbacks)
    return [Fallback(DEFAULT)] if found == DEFAULT else found or []


def advisors(raw: bytes | None) -> list[str]:
    """The models that the member ``tools`` has the provider ask. Raises Failure."""
    models = [tool.model for tool in _read(raw, "tools", list[_Tool] | None) or [] if tool.model is not None]
    if len(models) > MOST:
        raise Failure.invalid(f"'tools' names {len(models)} models, and may name {MOST}.", "tools")
    return models


def _read(raw: bytes | None, name: str, type_: Any) -> Any:
    """A member, whose JSON is valid; Failure where it is of another type, or says different things to two readers."""
    try:
        return msgspec.convert(json.loads(raw or b"null", object_pairs_hook=_once), type_)
    except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
        raise Failure.invalid(f"'{name}' cannot be read: {shown(str(error))}.", name) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, none of whose names may come twice."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member's name comes twice")
    return members


def lowered(found: Scan, field: int, cap: int) -> list[Edit]:
    """The splice that lowers the attempts' own caps to ``cap``; none where no attempt has a higher one."""
    entries = json.loads(found.raw(field) or b"null")
    higher = [entry for entry in entries if (entry.get("max_tokens") or 0) > cap] if isinstance(entries, list) else []
    for entry in higher:
        entry["max_tokens"] = cap
    return [(*found.span(field), json.dumps(entries).encode())] if higher else []
