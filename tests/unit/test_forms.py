"""A whole answer and a stream say the same, and what might not is not converted."""

import json
from typing import Any

import pytest

from fastgate._core.events import EventScanner
from fastgate.dialects import sse
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.forms import MOST_EVENTS, PIECE
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.simulator import anthropic, openai_chat
from fastgate.simulator.answer import Answer, Writer
from fastgate.simulator.ask import Ask
from fastgate.simulator.dialect import Stream
from fastgate.simulator.prices import Behaviour
from fastgate.simulator.script import read_script
from fastgate.simulator.tokens import TOKENIZERS
from tests.support.both_forms import (
    ANSWER,
    CHAT,
    DONE,
    FRAME,
    MESSAGES,
    START,
    USAGE,
    Pair,
    call,
    chunks,
    completion,
    events,
    fragment,
    message,
    said,
    streamed,
    token,
    written,
)

HELLO = (said({"role": "assistant", "content": "Hello"}), said({}, "stop"))
TEXT: Any = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hello"}])


def chat_answer(stream: bytes, usage: bytes | None = None) -> Any:
    answer = OPENAI_CHAT.answer_of(stream, usage=usage)
    return None if answer is None else json.loads(answer)


def chat_events(body: Any, include_usage: bool = True) -> Any:
    """The data of the events, ``[DONE]`` taken off."""
    told = OPENAI_CHAT.events_of(json.dumps(body).encode(), include_usage=include_usage)
    if told is None:
        return None
    assert told[-1] == DONE
    assert all(each.startswith(b"data: ") and each.endswith(b"\n\n") for each in told)
    return [json.loads(each.removeprefix(b"data: ")) for each in told[:-1]]


def message_answer(stream: bytes) -> Any:
    answer = ANTHROPIC.answer_of(stream)
    return None if answer is None else json.loads(answer)


def message_events(body: Any) -> Any:
    told = ANTHROPIC.events_of(json.dumps(body).encode(), include_usage=False)
    if told is None:
        return None
    found = [json.loads(data) for each in told for _, data in sse.split(each)]
    assert told == [f"event: {each['type']}\ndata: {text(each)}\n\n".encode() for each in found]
    return found


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("pair", CHAT.values(), ids=CHAT)
def test_a_chat_stream_is_the_body_that_it_would_have_been(pair: Pair) -> None:
    assert chat_answer(pair.stream) == pair.body
    told = OPENAI_CHAT.events_of(json.dumps(pair.body).encode(), include_usage=True)
    assert told is not None
    assert chat_answer(b"".join(told)) == pair.body


@pytest.mark.parametrize("pair", MESSAGES.values(), ids=MESSAGES)
def test_a_message_stream_is_the_body_that_it_would_have_been(pair: Pair) -> None:
    assert message_answer(pair.stream) == pair.body
    told = ANTHROPIC.events_of(json.dumps(pair.body).encode(), include_usage=False)
    assert told is not None
    assert message_answer(b"".join(told)) == pair.body


def test_a_chat_is_streamed_as_providers_do() -> None:
    first, *pieces, last, usage = chat_events(completion({"content": "x" * (2 * PIECE + 1), "refusal": None}))
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    assert first == {
        **FRAME, "usage": None,
        "choices": [{**choice, "delta": {"role": "assistant", "content": "", "refusal": None}}],
    }  # fmt: skip
    assert [each["choices"][0]["delta"] for each in pieces] == [{"content": "x" * n} for n in (PIECE, PIECE, 1)]
    assert last["choices"] == [{**choice, "delta": {}, "finish_reason": "stop"}]
    assert usage == {**FRAME, "choices": [], "usage": USAGE}


def test_a_chat_states_its_usage_only_where_it_was_asked_for() -> None:
    told = chat_events(completion({"content": "Hello"}), include_usage=False)
    assert len(told) == 3
    assert not [each for each in told if "usage" in each]


def test_a_call_is_opened_before_its_arguments_come() -> None:
    body = CHAT["calls"].body
    deltas = [each["choices"][0]["delta"] for each in chat_events(body, include_usage=False)]
    assert deltas == [
        {"role": "assistant", "content": None},
        fragment(0, "", id="call_a", type="function", name="f"),
        fragment(0, '{"x":1}'),
        fragment(1, "", id="call_b", type="function", name="g"),
        fragment(1, "{}"),
        {},
    ]


def test_texts_are_cut_where_their_tokens_are() -> None:
    words = ["word"] * (PIECE // 2)
    tokens = [token(each) for each in words]
    told = chat_events(completion({"content": "".join(words)}, logprobs={"content": tokens, "refusal": None}))
    parts = [each["choices"][0] for each in told[1:-2]]
    assert [len(part["delta"]["content"]) for part in parts] == [PIECE, PIECE]
    for part in parts:
        assert "".join(each["token"] for each in part["logprobs"]["content"]) == part["delta"]["content"]


def test_tokens_that_do_not_spell_the_text_come_with_its_first_piece() -> None:
    body = completion({"content": "😀" * (PIECE + 1)}, logprobs={"content": [token("\\xf0\\x9f")]})
    told = chat_events(body)
    assert [bool(each["choices"][0]["logprobs"]) for each in told[:-1]] == [True, True, False, False]
    assert told[0]["choices"][0]["logprobs"] == {"content": []}


def test_choices_that_come_interleaved() -> None:
    def of(index: int, *args: Any) -> Any:
        return {**said(*args), "index": index}

    stream = chunks(
        of(0, {"role": "assistant", "content": ""}), of(1, {"role": "assistant", "content": ""}),
        of(1, {"content": "b"}), of(0, {"content": "a"}), of(1, {}, "length"), of(0, {}, "stop"),
    )  # fmt: skip
    body = chat_answer(stream)
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "b"]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]
    told = chat_events(body)
    assert [each["choices"][0]["index"] for each in told[:-1]] == [0, 1, 0, 0, 1, 1]
    assert chat_answer(b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in told) + DONE) == body


def test_what_a_first_chunk_says_of_the_prompt_is_kept_and_what_it_leaves_empty_is_not() -> None:
    """As Azure sends it."""
    empty = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"x": 1}]}
    stream = b"data: " + json.dumps(empty).encode() + b"\n\n" + chunks(*HELLO)
    assert chat_answer(stream) == {**completion({"content": "Hello"}), "prompt_filter_results": [{"x": 1}]}


def test_usage_where_groq_has_it() -> None:
    frame = {**FRAME, "x_groq": {"id": "req_1"}}
    last = json.dumps({**FRAME, "x_groq": {"id": "req_1", "usage": USAGE}, "choices": []}).encode()
    stream = chunks(*HELLO, frame=frame, usage=None).replace(DONE, b"data: " + last + b"\n\n" + DONE)
    assert chat_answer(stream) == {**completion({"content": "Hello"}), "x_groq": {"id": "req_1"}}


def test_usage_that_the_client_did_not_want() -> None:
    scanner = EventScanner(OPENAI_CHAT.table, strip_usage=True)
    got = scanner.feed(chunks(*HELLO)) + scanner.finish()
    assert b"usage" not in got
    assert chat_answer(got) is None
    stated = OPENAI_CHAT.stated_of_stream(scanner.captures)
    assert chat_answer(got, stated) == completion({"content": "Hello"})
    with_usage = OPENAI_CHAT.same_form(got, include_usage=True, usage=stated)
    assert with_usage is not None
    assert chat_answer(with_usage) == completion({"content": "Hello"})
    assert OPENAI_CHAT.same_form(with_usage, include_usage=True) == with_usage
    assert OPENAI_CHAT.same_form(with_usage, include_usage=False) == got
    assert OPENAI_CHAT.same_form(got, include_usage=True) is None


@pytest.mark.parametrize("end", [b"", b": comment\n\n", b"data: [DONE]"])
def test_usage_has_no_place_in_a_stream_without_end(end: bytes) -> None:
    stream = chunks(*HELLO, usage=None).removesuffix(DONE) + end
    assert OPENAI_CHAT.same_form(stream, include_usage=True, usage=b'{"prompt_tokens":1}') is None


def test_messages_always_state_their_usage() -> None:
    stream = MESSAGES["text"].stream
    assert ANTHROPIC.same_form(stream, include_usage=True) == stream
    assert ANTHROPIC.same_form(stream, include_usage=False) == stream
    scanner = EventScanner(ANTHROPIC.table)
    scanner.feed(stream)
    assert ANTHROPIC.stated_of_stream(scanner.captures) is None


def test_a_message_is_streamed_as_providers_do() -> None:
    body = message(
        {"type": "text", "text": "x" * (PIECE + 1)}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    )
    first, *blocks, delta, last = message_events(body)
    assert first["message"] == {**ANSWER, "usage": {**START, "output_tokens": 0}}
    assert [each["type"].removeprefix("content_block_") for each in blocks] == [
        "start", "delta", "delta", "stop", "start", "delta", "delta", "stop",
    ]  # fmt: skip
    assert [each["index"] for each in blocks] == [0] * 4 + [1] * 4
    assert [each["delta"] for each in blocks if "delta" in each] == [
        {"type": "text_delta", "text": "x" * PIECE}, {"type": "text_delta", "text": "x"}, *written("", "{}"),
    ]  # fmt: skip
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"] == {
        "input_tokens": 9, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 12,
    }  # fmt: skip
    assert last == {"type": "message_stop"}


def test_numbers_stay_as_they_are_written() -> None:
    numbers = ("1.50", "1E+2", "0.1000000000000000055511151231257827", "123456789012345678901234567890")
    body = json.dumps(message({"type": "tool_use", "id": "t", "name": "f", "input": "?"}))
    told = ANTHROPIC.events_of(body.replace('"?"', f'{{"a":[{",".join(numbers)}]}}').encode(), include_usage=False)
    assert told is not None
    found = [json.loads(data).get("delta", {}).get("partial_json", "") for each in told for _, data in sse.split(each)]
    assert "".join(found) == f'{{"a":[{",".join(numbers)}]}}'
    whole = ANTHROPIC.answer_of(b"".join(told))
    assert whole is not None
    assert "".join(found).encode() in whole


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        DONE,
        chunks(usage=None),
        chunks(*HELLO).removesuffix(DONE),
        chunks(*HELLO).removesuffix(b"\n"),
        chunks(*HELLO) + chunks(*HELLO),
        chunks(HELLO[0]),
        chunks({**HELLO[0], "index": 1}, {**HELLO[1], "index": 1}),
        chunks(*HELLO, frame={**FRAME, "error": {"message": "no"}}),
        chunks(*HELLO, frame={**FRAME, "object": "other"}),
        b'data: {"error":{"message":"no"}}\n\n' + chunks(*HELLO),
        b"event: error\n" + chunks(*HELLO),
        b"data: {\n\n" + chunks(*HELLO),
        b"data: []\n\n" + chunks(*HELLO),
        chunks(*HELLO).replace(b"chatcmpl-1", b"chatcmpl-2", 1),
        chunks(said({"role": "assistant", "content": [{"type": "text", "text": "x"}]}), HELLO[1]),
        chunks(said({"audio": {"id": "a", "data": "QQ=="}}), HELLO[1]),
        chunks(said({"reasoning_details": [{"text": "x"}]}), HELLO[1]),
        chunks(*HELLO, said({}, "length")),
        chunks(said({"content": "ha"}, text="ha"), said({"content": "ha"}, text="ha"), HELLO[1]),
        chunks(said({}, message={"content": "Hello"}), *HELLO),
        chunks(said({}, logprobs={"tokens": []}), *HELLO),
        chunks(said({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]}), HELLO[1]),
        chunks(said(fragment(1, "", id="c", type="function", name="f")), HELLO[1]),
        chunks(said(fragment(0, "{}", id="c", type="function")), HELLO[1]),
        chunks(said(fragment(0, "{}", id="c", type="custom", name="f")), HELLO[1]),
        chunks(said(fragment(0, "", id="c", name="f")), said(fragment(0, "", id="d")), HELLO[1]),
        chunks(said(fragment(0, "", id="c", name="f")), said(fragment(0, "", name="f")), HELLO[1]),
        chunks(said({"tool_calls": [{"index": True, "function": {"name": "f", "arguments": ""}}]}), HELLO[1]),
    ],
)
def test_chat_streams_that_have_no_other_form(stream: bytes) -> None:
    assert chat_answer(stream, b'{"prompt_tokens":1,"completion_tokens":1}') is None


@pytest.mark.parametrize(
    "change",
    [
        {"object": "chat.completion.chunk"},
        {"choices": []},
        {"choices": None},
        {"error": {"message": "no"}},
        {"obfuscation": "x"},
    ],
)
def test_chat_bodies_that_have_no_other_form(change: Any) -> None:
    assert chat_events({**completion({"content": "Hello"}), **change}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"index": 1},
        {"finish_reason": None},
        {"message": None},
        {"delta": {}},
        {"logprobs": {"tokens": []}},
        {"logprobs": {"content": [1]}},
        {"message": {"role": "assistant", "content": ["x"]}},
        {"message": {"role": "assistant", "content": None, "audio": {"id": "a", "data": "QQ=="}}},
        {"message": {"role": "assistant", "content": None, "tool_calls": 0}},
        {"message": {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "other"}]}},
        {"message": {"role": "assistant", "content": None, "tool_calls": [{**call("c", "f", "{}"), "index": 1}]}},
    ],
)
def test_choices_that_have_no_other_form(change: Any) -> None:
    body = completion({"content": "Hello"})
    assert chat_events({**body, "choices": [{**body["choices"][0], **change}]}) is None


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        events({"type": "message_stop"}),
        streamed(TEXT).replace(b"event: ping", b"event: pong"),
        streamed(TEXT).replace(b"event: message_stop\n", b""),
        streamed(TEXT) + streamed(TEXT),
        streamed(TEXT).removesuffix(events({"type": "message_stop"})),
        streamed(TEXT).replace(b'"content_block_stop", "index": 0', b'"content_block_stop", "index": 1'),
        streamed(TEXT).replace(b'"content_block_start", "index": 0', b'"content_block_start", "index": 1'),
        streamed(TEXT).replace(events({"type": "content_block_stop", "index": 0}), b""),
        streamed(TEXT).replace(b"text_delta", b"thinking_delta"),
        streamed(TEXT).replace(b'"text": "Hello"', b'"text": "Hello", "more": 1'),
        streamed(TEXT).replace(b'"end_turn"', b"null"),
        streamed(TEXT, total={"input_tokens": 1}),
        streamed(TEXT, more=1),
        streamed(({"type": "novelty"}, [])),
        streamed(({"type": "tool_use", "id": "t", "name": "f", "input": {}}, written('{"a":'))),
        streamed(({"type": "tool_use", "id": "t", "name": "f", "input": {}}, written("[]"))),
        streamed(({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}, written('{"b":1}'))),
        streamed(({"type": "thinking", "thinking": ""}, [{"type": "signature_delta", "signature": "a"}] * 2)),
        streamed(TEXT) + events({"type": "ping"}),
        events({"type": "ping"}, {"type": "error", "error": {"message": "no"}}) + streamed(TEXT),
        streamed(TEXT).replace(b'"content": []', b'"content": [{"type": "text", "text": "x"}]'),
    ],
)
def test_message_streams_that_have_no_other_form(stream: bytes) -> None:
    assert message_answer(stream) is None


@pytest.mark.parametrize(
    "change",
    [
        {"type": "error"},
        {"content": None},
        {"content": ["x"]},
        {"content": [{"type": "novelty"}]},
        {"content": [{"type": "text", "text": None}]},
        {"content": [{"type": "tool_use", "id": "t", "name": "f"}]},
        {"content": [{"type": "tool_use", "id": "t", "name": "f", "input": "{}"}]},
        {"content": [{"type": "fallback", "to": {"model": "another"}}]},
        {"stop_reason": None},
        {"usage": None},
        {"usage": {"input_tokens": 1}},
    ],
)
def test_message_bodies_that_have_no_other_form(change: Any) -> None:
    assert message_events({**message({"type": "text", "text": "Hello"}), **change}) is None


def written_by(asked: Ask, script: str, behaves: Behaviour) -> Answer:
    """What the simulator answers."""
    return Writer(TOKENIZERS["quarter"], (16, 16)).write(asked, read_script(script), 12345, 1_700_000_000, behaves)


def whole_stream(stream: Stream) -> bytes:
    return b"".join([stream.prologue, *stream.pieces, stream.epilogue])


TOOLS = 'sim: {"text": "so", "tools": [{"name": "f", "arguments": {"a": [1, 2.5]}}, {"name": "g"}]}'


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        ("", {}),
        ("", {"n": 3}),
        ('sim: {"text": "", "finish": "content_filter"}', {}),
        ('sim: {"text": "Hé😀", "chunks": ["H", "é", "😀"]}', {}),
        ('sim: {"text": "one", "usage_on": "finish"}', {}),
        ('sim: {"text": "one", "usage_on": "every", "tier": "flex"}', {}),
        (TOOLS, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    ],
)
def test_the_simulators_chats_are_the_same_in_both_forms(script: str, fields: Any) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": script or "x" * 40}], **fields}
    asked["stream_options"] = {"include_usage": True}
    given = written_by(openai_chat.read(json.dumps(asked).encode(), {}), script, "plain")
    body = json.loads(openai_chat.whole(given))
    for choice in body["choices"]:
        assert choice["message"].pop("refusal") is None  # of which its streams say nothing
    assert chat_answer(whole_stream(openai_chat.stream(given))) == body


THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}


@pytest.mark.parametrize(
    ("script", "behaves", "fields"),
    [
        ("", "plain", {}),
        ("", "reasoning", THINKS),
        ("", "cached", {}),
        ('sim: {"text": "Hé😀", "chunks": ["H", "é", "😀"]}', "plain", {}),
        ('sim: {"text": "", "finish": "refusal", "stop_details": {"type": "refusal", "category": "bio"}}', "plain", {}),
        ('sim: {"text": "one", "usage_on": "every", "speed": "fast"}', "plain", {}),
        (TOOLS, "plain", {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
    ],
)
def test_the_simulators_messages_are_the_same_in_both_forms(script: str, behaves: Behaviour, fields: Any) -> None:
    asked = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": script or "x" * 40}], **fields}
    version = {b"anthropic-version": b"2023-06-01"}
    given = written_by(anthropic.read(json.dumps(asked).encode(), version), script, behaves)
    assert message_answer(whole_stream(anthropic.stream(given))) == json.loads(anthropic.whole(given))


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r"])
def test_a_stream_is_cut_behind_its_blank_lines(line: bytes) -> None:
    blocks = [b": said\nevent: \xff\ndata: 1\n\n", b"data: 2\n\n\n", b"data: 3\n\n", b"data: torn"]
    written = [block.replace(b"\n", line) for block in blocks]
    assert list(sse.blocks(b"".join(written))) == written


def test_what_frames_each_piece_does_not_make_a_stream_many_times_as_long() -> None:
    """An answer as long as what is kept has a form, with frames as providers have them."""
    long = completion({"content": "x" * (200 << 10)})
    fits = OPENAI_CHAT.events_of(json.dumps({**long, "id": "i" * 100}).encode(), include_usage=True)
    assert fits is not None
    assert sum(map(len, fits)) < MOST_EVENTS
    assert chat_events({**long, "id": "i" * 2_000}) is None
    assert chat_events({**completion({"content": "x" * 100_000}), "system_fingerprint": "i" * 100_000}) is None


def test_many_small_blocks_do_not_make_a_stream_many_times_as_long() -> None:
    block = {"type": "text", "text": "a"}
    assert message_events(message(*[block] * 1_000)) is not None
    assert message_events(message(*[block] * 10_000)) is None
