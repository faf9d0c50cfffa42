"""What the conversions between an answer's two forms share: streamed as events, or whole as one JSON body.

A conversion is stricter than the rest of a dialect, which makes the best of what servers send. What it gives is kept
and given to others as if the provider had said it, so whatever it does not know for certain is :class:`Unfit`.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

Object = dict[str, Any]
"""A JSON object, decoded."""

PIECE: Final = 48
"""Characters of a text in one event, at most: about ten tokens, half a line."""

MOST_EVENTS: Final = 2 << 20
"""Bytes of the events of one body, at most: eight times the longest that is kept. Chunks repeat what frames them, and
how long that is the provider chooses."""

_Arguments = ParamSpec("_Arguments")
_Form = TypeVar("_Form")

# Numbers with a fraction stay what is written: no float is between the two forms.
_DECODER: Final = msgspec.json.Decoder(Object, float_hook=Decimal)
encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Unfit(ValueError):
    """An answer that has no other form, or none that surely says the same."""


def or_none(convert: Callable[_Arguments, _Form]) -> Callable[_Arguments, _Form | None]:
    """A conversion that gives ``None`` for what is unfit, or is no JSON, whatever its bytes."""

    @wraps(convert)
    def careful(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Form | None:
        try:
            return convert(*args, **kwargs)
        except (ValueError, msgspec.MsgspecError, ArithmeticError, RecursionError):
            return None

    return careful


def decode(raw: bytes) -> Object:
    """A JSON object."""
    return _DECODER.decode(raw)


def mapping(value: Any) -> Object:
    """``value``, which must be an object; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unfit("no object")
    return value


def listed(value: Any) -> list[Any]:
    """``value``, which must be a list; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unfit("no list")
    return value


def text(value: Any) -> str:
    """``value``, which must be a string."""
    if not isinstance(value, str):
        raise Unfit("no string")
    return value


def index(value: Any) -> int:
    """``value``, which must be an integer from 0."""
    if type(value) is not int or value < 0:
        raise Unfit("no index")
    return value


def picked(source: Object, names: Sequence[str]) -> Object:
    """Those of the members that are there."""
    return {name: source[name] for name in names if name in source}


def says(value: Any) -> bool:
    """Whether a member is more than there: null, empty texts, lists and objects say nothing."""
    return value is not None and value not in ("", [], {})


def only(source: Object, *known: str) -> None:
    """Refuses members that are not known, unless they say nothing."""
    for name, value in source.items():
        if name not in known and says(value):
            raise Unfit(f"unknown: {name}")


def once(target: Object, name: str, value: Any) -> None:
    """Sets a member that may come once: two equal ones may be a repetition, or pieces of one text."""
    if target.get(name) is None:
        target[name] = value
    elif says(value):
        if says(target[name]):
            raise Unfit(f"twice: {name}")
        target[name] = value


def same(target: Object, name: str, value: Any) -> None:
    """Sets a member that events may repeat, but not change."""
    if not says(value) or target.get(name) != value:
        once(target, name, value)


def cut(whole: str) -> list[str]:
    """A text in pieces of :data:`PIECE` characters."""
    return [whole[at : at + PIECE] for at in range(0, len(whole), PIECE)]


def within_bounds(events: Iterable[bytes]) -> list[bytes]:
    """The events, which are made no further than to :data:`MOST_EVENTS` bytes."""
    made: list[bytes] = []
    room = MOST_EVENTS
    for event in events:
        room -= len(event)
        if room < 0:
            raise Unfit("many times its length")
        made.append(event)
    return made


class Grown:
    """An object of which some texts come in pieces; of the rest, each member comes once."""

    def __init__(self, texts: frozenset[str], start: Object | None = None) -> None:
        self.members: Object = {}
        self._texts = texts
        self._pieces: dict[str, list[str]] = {}
        self.add(start or {})

    def add(self, more: Object) -> None:
        """Takes the next members, or pieces of them; null is no piece."""
        for name, value in more.items():
            if name not in self._texts:
                once(self.members, name, value)
            else:
                self.members.setdefault(name)
                if value is not None:
                    self._pieces.setdefault(name, []).append(text(value))

    def whole(self) -> Object:
        """The object with its texts joined."""
        return {**self.members, **{name: "".join(pieces) for name, pieces in self._pieces.items()}}
