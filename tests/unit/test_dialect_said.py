"""What an answer says: its text, where it is nothing but a text that came to its own end."""

import copy
import json
from typing import Any

import pytest

from fastgate.dialects.said import said_by_chat, said_by_message

CHAT: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris.", "refusal": None, "tool_calls": [], "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1},
}
MESSAGE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Par"}, {"type": "text", "text": "is.", "citations": None}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
}


def test_a_text_is_what_is_said() -> None:
    assert said_by_chat(json.dumps(CHAT).encode()) == "Paris."
    assert said_by_message(json.dumps(MESSAGE).encode()) == "Paris."


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("choices", 0, "finish_reason"), "length"),
        (("choices", 0, "finish_reason"), "content_filter"),
        (("choices", 0, "finish_reason"), None),
        (("choices", 0, "message", "content"), None),
        (("choices", 0, "message", "content"), ""),
        (("choices", 0, "message", "refusal"), "I cannot."),
        (("choices", 0, "message", "tool_calls"), [{"id": "x"}]),
        (("choices", 0, "message", "audio"), {"id": "x"}),
        (("choices", 0, "message", "reasoning_content"), "Hm."),
        (("choices",), []),
        (("choices",), [CHAT["choices"][0], CHAT["choices"][0]]),
        (("choices",), None),
    ],
)
def test_what_is_more_than_a_text_or_was_cut_says_nothing(place: tuple[str | int, ...], value: Any) -> None:
    assert said_by_chat(changed(CHAT, place, value)) is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("stop_reason",), "max_tokens"),
        (("stop_reason",), "tool_use"),
        (("stop_reason",), None),
        (("content",), []),
        (("content", 0), {"type": "tool_use", "id": "x", "name": "f", "input": {}}),
        (("content", 0), {"type": "thinking", "thinking": "Hm."}),
        (("content", 1, "citations"), [{"type": "char_location"}]),
    ],
)
def test_so_it_is_with_messages(place: tuple[str | int, ...], value: Any) -> None:
    assert said_by_message(changed(MESSAGE, place, value)) is None


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"choices": 1}', b"\xff"])
def test_what_is_no_answer_says_nothing(answer: bytes) -> None:
    assert said_by_chat(answer) is None
    assert said_by_message(answer) is None


def changed(document: dict[str, Any], place: tuple[str | int, ...], value: Any) -> bytes:
    copied: Any = copy.deepcopy(document)
    inner = copied
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return json.dumps(copied).encode()
