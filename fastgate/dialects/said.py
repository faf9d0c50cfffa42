"""The plain text of a whole answer, by which two answers can be compared.

None where an answer is more than a text (tool calls, refusals, thinking, audio, several choices) or did not come to its
own end: such an answer is not one to give to another question.
"""

from typing import Any, Literal

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


def _decoded(decoder: "msgspec.json.Decoder[Any]", answer: bytes) -> Any:
    try:
        return decoder.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
