"""How a stream is ended in the middle: every part that is open is closed, and the rest is as at any end."""

import json
from typing import Any

from fastgate._core.events import EventScanner
from fastgate._core.price import Usage
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.wire.request import ChatRequest

USED = Usage(input=7, output=3, reasoning=2)


def chat(*choices: dict[str, Any]) -> bytes:
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "m-1", "choices": choices}
    return b"data: " + json.dumps(frame).encode() + b"\n\n"


def events(raw: bytes) -> list[Any]:
    data = [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(each) if each != b"[DONE]" else "[DONE]" for each in data]


def test_chat_ends_each_open_choice() -> None:
    scanner = EventScanner(OPENAI_CHAT.table, whole=True)
    scanner.feed(chat({"index": 0, "delta": {"content": "a"}}) + chat({"index": 1, "delta": {"content": "b"}}))
    scanner.feed(chat({"index": 1, "delta": {}, "finish_reason": "stop"}) + b'data: {"id":')
    request = ChatRequest(model="m", stream=True, n=3, include_usage=True)
    assert not OPENAI_CHAT.is_over(scanner, request)
    *chunks, usage, done = events(OPENAI_CHAT.ending(scanner, request, USED))
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in (*chunks, usage)} == {
        ("chatcmpl-1", 17, "m-1")
    }
    assert [(each["index"], each["finish_reason"]) for chunk in chunks for each in chunk["choices"]] == [
        (0, "length"),
        (2, "length"),
    ]
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    assert done == "[DONE]"


def test_chat_states_usage_only_where_it_was_asked_for() -> None:
    scanner = EventScanner(OPENAI_CHAT.table, True, whole=True)
    scanner.feed(chat({"index": 0, "delta": {"content": "a"}}))
    chunk, done = events(OPENAI_CHAT.ending(scanner, ChatRequest(model="m", stream=True), USED))
    assert (chunk["choices"][0]["finish_reason"], done) == ("length", "[DONE]")


def test_chat_is_over_when_every_choice_is() -> None:
    scanner = EventScanner(OPENAI_CHAT.table)
    scanner.feed(chat({"index": 0, "delta": {}, "finish_reason": "stop"}))
    assert OPENAI_CHAT.is_over(scanner, ChatRequest(model="m", stream=True))
    assert not OPENAI_CHAT.is_over(scanner, ChatRequest(model="m", stream=True, n=2))


def test_messages_end_the_open_block_and_the_message() -> None:
    scanner = EventScanner(ANTHROPIC.table, whole=True)
    for event in (
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a'}},
    ):
        scanner.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    request = ChatRequest(model="m", stream=True)
    assert not ANTHROPIC.is_over(scanner, request)
    raw = ANTHROPIC.ending(scanner, request, USED)
    assert [line.removeprefix(b"event: ").decode() for line in raw.split(b"\n") if line.startswith(b"event: ")] == [
        event["type"] for event in events(raw)
    ]
    stop, delta, end = events(raw)
    assert stop == {"type": "content_block_stop", "index": 1}
    assert delta["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert delta["usage"] == {"output_tokens": 5}
    assert end == {"type": "message_stop"}
