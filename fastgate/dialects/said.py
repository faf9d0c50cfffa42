"""What a whole answer is, for who keeps it; and its plain text, by which two answers can be compared.

None where an answer is more than a text (tool calls, refusals, thinking, audio, several choices) or did not come to its
own end: such an answer is not one to give to another question.
"""

from typing import Any, Final, Literal

import msgspec


class _Message(msgspec.Struct, frozen=True):
    content: str
    refusal: None = None
    tool_calls: tuple[()] | None = None
    function_call: None = None
    audio: None = None
    reasoning: None = None
    reasoning_content: None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: Literal["stop"]


class _Completion(msgspec.Struct, frozen=True):
    choices: tuple[_Choice]


class _Text(msgspec.Struct, frozen=True, tag="text"):
    text: str
    citations: tuple[()] | None = None


class _Response(msgspec.Struct, frozen=True):
    content: tuple[_Text, ...]
    stop_reason: Literal["end_turn", "stop_sequence"]


class _Ended(msgspec.Struct, frozen=True):
    finish_reason: str


class _Choices(msgspec.Struct, frozen=True):
    choices: list[_Ended]
    error: Any = None


class _Stopped(msgspec.Struct, frozen=True, tag="message"):
    stop_reason: str


WITHHELD: Final = frozenset({"error", "content_filter"})
"""Reasons to finish by which a server says that this is not what the model had to say."""

_choices = msgspec.json.Decoder(_Choices)
_stopped = msgspec.json.Decoder(_Stopped)
_completion = msgspec.json.Decoder(_Completion)
_response = msgspec.json.Decoder(_Response)


def said_by_chat(answer: bytes) -> str | None:
    """Of a ``chat.completion``."""
    found: Any = _decoded(_completion, answer)
    return None if found is None else found.choices[0].message.content or None


def said_by_message(answer: bytes) -> str | None:
    """Of Anthropic's ``message``."""
    found: Any = _decoded(_response, answer)
    return None if found is None else "".join(block.text for block in found.content) or None


def is_completion(answer: bytes) -> bool:
    """Whether it is all of a ``chat.completion``: some servers tell of errors with status 200."""
    found: Any = _decoded(_choices, answer)
    if found is None or found.error or not found.choices:
        return False
    return all(each.finish_reason not in WITHHELD for each in found.choices)


def is_message(answer: bytes) -> bool:
    """Whether it is all of Anthropic's ``message``."""
    return _decoded(_stopped, answer) is not None


def _decoded(decoder: "msgspec.json.Decoder[Any]", answer: bytes) -> Any:
    try:
        return decoder.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
