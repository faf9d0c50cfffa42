"""The last turn of a conversation, where it is the user's and nothing but text."""

from typing import Final

import msgspec

from fastgate._core.body import BodyError, Fields, Scan, scan
from fastgate.dialects.base import STRING, Turn, optional_text

_ARRAY: Final = 6
_CONVERSATION: Final = Fields(("messages",))
_MESSAGE: Final = Fields(("role", "content"))
_PART: Final = Fields(("type", "text"))
_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw])


def last_turn(body: bytes) -> Turn | None:
    """Of a body whose ``messages`` are as OpenAI's and Anthropic's; None: the last is another's, or more than a text.

    A text is the message's content itself, or that of its only part.
    """
    try:
        conversation = scan(body, _CONVERSATION)
        place = _last(conversation, 0)
        if place is None:
            return None
        message = scan(body[place[0] : place[1]], _MESSAGE)
        if optional_text(message, 0) != "user":
            return None
        if message.kind(1) == STRING:
            return _turn(message, 1, place[0])
        part_place = _last(message, 1, alone=True)
        if part_place is None:
            return None
        start = place[0] + part_place[0]
        part = scan(body[start : place[0] + part_place[1]], _PART)
        return _turn(part, 1, start) if optional_text(part, 0) == "text" and part.kind(1) == STRING else None
    except (BodyError, msgspec.DecodeError):  # half a surrogate pair, say, which providers take
        return None


def _last(found: Scan, field: int, *, alone: bool = False) -> tuple[int, int] | None:
    """Where the last element of an array is; None: there is none, or others where it is to be ``alone``."""
    if found.kind(field) != _ARRAY:
        return None
    start, end = found.span(field)
    array = found.data[start:end]
    elements = _RAW.decode(array)
    if not elements or (alone and len(elements) > 1):
        return None
    last = bytes(elements[-1])
    # Behind an array's last element are only spaces and a bracket, in which nothing of it can be found again.
    at = start + array.rindex(last)
    return at, at + len(last)


def _turn(found: Scan, field: int, offset: int) -> Turn | None:
    text = found.text(field)
    start, end = found.span(field)
    return Turn(text, offset + start, offset + end) if text else None
