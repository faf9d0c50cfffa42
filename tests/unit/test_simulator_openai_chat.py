"""The simulator's OpenAI chat API: reading, answering, charging."""

import json
from typing import Any

import pytest

from fastgate.simulator import openai_chat
from fastgate.simulator.answer import Answer, Writer
from fastgate.simulator.ask import Refusal
from fastgate.simulator.bill import Charge
from fastgate.simulator.prices import PRICES, Behaviour
from fastgate.simulator.script import read_script
from fastgate.simulator.tokens import TOKENIZERS


def answer(script: str = "", *, tokenizer: str = "quarter", behaves: Behaviour = "plain", **fields: Any) -> Answer:
    """The answer to a request with these fields."""
    body = {"model": "sim-large", "messages": [{"role": "user", "content": script or "x" * 40}], **fields}
    ask = openai_chat.read(json.dumps(body).encode(), {})
    return Writer(TOKENIZERS[tokenizer], (16, 16)).write(ask, read_script(script), 12345, 1_700_000_000, behaves)


def usage(given: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(openai_chat.whole(given))
    found: dict[str, Any] = body["usage"]
    return found


def events(given: Answer) -> list[Any]:
    stream = openai_chat.stream(given)
    lines = b"".join([stream.prologue, *stream.pieces, stream.epilogue]).decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def test_an_answer_has_its_tokens_and_says_so() -> None:
    body = json.loads(openai_chat.whole(answer()))
    assert body["object"] == "chat.completion"
    assert len(body["choices"][0]["message"]["content"]) == 64
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["prompt_tokens"] == 10
    assert body["usage"]["completion_tokens"] == 16
    assert body["usage"]["total_tokens"] == 26


@pytest.mark.parametrize(
    "cap", [{"max_tokens": 3}, {"max_completion_tokens": 3}, {"max_completion_tokens": 3, "max_tokens": 9}]
)
def test_a_cap_is_kept(cap: Any) -> None:
    given = answer(n=2, **cap)
    body = json.loads(openai_chat.whole(given))
    assert body["usage"]["completion_tokens"] == 6
    assert [choice["finish_reason"] for choice in body["choices"]] == ["length", "length"]
    assert [len(choice["message"]["content"]) for choice in body["choices"]] == [12, 12]


def test_choices_differ_and_the_prompt_is_charged_once() -> None:
    given = answer(n=3)
    texts = [choice["message"]["content"] for choice in json.loads(openai_chat.whole(given))["choices"]]
    assert len(set(texts)) == 3
    assert openai_chat.charges(given, PRICES) == [Charge("sim-large", (10, 0, 0, 0, 48, 0, 0, 0, 0))]


def test_reasoning_lies_inside_the_completion_and_inside_the_cap() -> None:
    free = usage(answer(behaves="reasoning"))
    assert (free["completion_tokens"], free["completion_tokens_details"]["reasoning_tokens"]) == (48, 32)
    capped = usage(answer(behaves="reasoning", max_completion_tokens=40))
    assert (capped["completion_tokens"], capped["completion_tokens_details"]["reasoning_tokens"]) == (40, 32)
    none = usage(answer(behaves="reasoning", reasoning_effort="none"))
    assert (none["completion_tokens"], none["completion_tokens_details"]["reasoning_tokens"]) == (16, 0)


def test_cached_tokens_lie_inside_the_prompt() -> None:
    given = answer(behaves="cached")
    assert usage(given)["prompt_tokens"] == 10
    assert usage(given)["prompt_tokens_details"] == {"cached_tokens": 5, "cache_write_tokens": 2, "audio_tokens": 0}
    assert openai_chat.charges(given, PRICES)[0].counts == (3, 5, 2, 0, 16, 0, 0, 0, 0)


def test_the_hostile_tokenizer_uses_the_whole_cap() -> None:
    capped = usage(answer(tokenizer="hostile", max_tokens=1000, n=2))
    assert capped["completion_tokens"] == 2000
    assert usage(answer(tokenizer="hostile"))["completion_tokens"] == 131_072


@pytest.mark.parametrize("behaves", ["plain", "reasoning", "cached"])
@pytest.mark.parametrize("tokenizer", list(TOKENIZERS))
def test_what_is_stated_is_what_is_charged(behaves: Behaviour, tokenizer: str) -> None:
    given = answer(tokenizer=tokenizer, behaves=behaves, n=2, max_tokens=50)
    assert openai_chat.counts_of(usage(given)) == openai_chat.charges(given, PRICES)[0].counts


@pytest.mark.parametrize(
    ("stated", "counts"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7}, (5, 0, 0, 0, 7, 0, 0, 0, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": None}, (5, 0, 0, 0, 0, 0, 0, 0, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, (0, 9, 0, 0, 0, 0, 0, 0, 0)),
        ({"prompt_tokens": -5, "completion_tokens": None}, (0, 0, 0, 0, 0, 0, 0, 0, 0)),
        (
            {
                "prompt_tokens": 1500,
                "completion_tokens": 2550,
                "prompt_tokens_details": {"audio_tokens": 1200, "cached_tokens": 100, "cache_write_tokens": 50},
                "completion_tokens_details": {"audio_tokens": 2400, "reasoning_tokens": 30},
            },
            (150, 100, 50, 0, 120, 30, 1200, 2400, 0),
        ),
    ],
)
def test_a_scripted_usage_is_reported_as_it_is_and_charged_in_disjoint_buckets(stated: Any, counts: Any) -> None:
    given = answer("sim: " + json.dumps({"usage": stated}))
    assert usage(given) == stated
    assert openai_chat.charges(given, PRICES)[0].counts == counts


def test_no_usage_is_reported_where_the_script_says_so_and_what_was_produced_is_charged() -> None:
    given = answer('sim: {"usage": null, "tokens": 9}')
    assert "usage" not in json.loads(openai_chat.whole(given))
    assert openai_chat.charges(given, PRICES)[0].counts[4] == 9


@pytest.mark.parametrize(
    ("asked", "stated", "charged"),
    [
        (None, "default", "standard"),
        ("auto", "default", "standard"),
        ("default", "default", "standard"),
        ("flex", "flex", "flex"),
        ("priority", "priority", "priority"),
        ("fast", "priority", "priority"),
    ],
)
def test_the_tier_asked_for_is_served(asked: str | None, stated: str, charged: str) -> None:
    given = answer(service_tier=asked)
    assert json.loads(openai_chat.whole(given))["service_tier"] == stated
    assert openai_chat.charges(given, PRICES)[0].tier == charged


def test_the_tier_that_the_script_serves_is_charged() -> None:
    given = answer('sim: {"tier": "default"}', service_tier="priority")
    assert openai_chat.charges(given, PRICES)[0].tier == "standard"


def test_another_model_is_charged_where_it_has_a_price() -> None:
    named = answer('sim: {"model": "sim-small"}')
    dated = answer('sim: {"model": "sim-large-2026-01-01"}')
    assert json.loads(openai_chat.whole(dated))["model"] == "sim-large-2026-01-01"
    assert [openai_chat.charges(each, PRICES)[0].model for each in (named, dated)] == ["sim-small", "sim-large"]


def test_a_stream_says_what_the_whole_answer_says() -> None:
    given = answer(n=2, stream=True, stream_options={"include_usage": True})
    whole = json.loads(openai_chat.whole(given))
    chunks = events(given)
    for index in (0, 1):
        deltas = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
        assert deltas[0]["delta"] == {"role": "assistant", "content": ""}
        text = "".join(choice["delta"].get("content", "") for choice in deltas)
        assert text == whole["choices"][index]["message"]["content"]
        assert [choice["finish_reason"] for choice in deltas if choice["finish_reason"]] == ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_a_stream_has_no_usage_unless_asked() -> None:
    assert all("usage" not in chunk and chunk["choices"] for chunk in events(answer(stream=True)))


@pytest.mark.parametrize(("where", "with_usage"), [("finish", 1), ("every", 18)])
def test_usage_comes_where_the_script_wants_it(where: str, with_usage: int) -> None:
    given = answer(
        "sim: " + json.dumps({"usage_on": where, "tokens": 16}), stream=True, stream_options={"include_usage": True}
    )
    chunks = events(given)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 16
    assert sum(chunk["usage"] is not None for chunk in chunks) == with_usage


@pytest.mark.parametrize(
    ("chunks", "texts"), [(2, ["abc", "de"]), (["a", "", "bcde"], ["a", "", "bcde"]), (99, list("abcde"))]
)
def test_a_stream_is_split_as_the_script_says(chunks: object, texts: list[str]) -> None:
    given = answer("sim: " + json.dumps({"text": "abcde", "chunks": chunks}), stream=True)
    contents = [event["choices"][0]["delta"].get("content") for event in events(given)]
    assert contents[1:-1] == texts


def test_tool_calls_come_whole_and_in_fragments() -> None:
    script = 'sim: {"tools": [{"name": "f", "arguments": {"city": "Paris"}}, {"name": "g", "id": "call_x"}]}'
    given = answer(script, tools=[{"type": "function", "function": {"name": "f"}}], stream=True)
    choice = json.loads(openai_chat.whole(given))["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    calls = choice["message"]["tool_calls"]
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in calls] == [
        ("f", '{"city":"Paris"}'),
        ("g", "{}"),
    ]
    assert calls[1]["id"] == "call_x"
    joined: dict[int, str] = {}
    for event in events(given):
        for fragment in event["choices"][0]["delta"].get("tool_calls", []):
            joined[fragment["index"]] = joined.get(fragment["index"], "") + fragment["function"]["arguments"]
    assert joined == {0: '{"city":"Paris"}', 1: "{}"}
    assert openai_chat.charges(given, PRICES)[0].counts[4] == 5 + 1  # "f{"city":"Paris"}" and "g{}", 4 characters each


def test_parts_tools_images_and_calls_count_as_prompt() -> None:
    messages = [
        {"role": "system", "content": "abcd"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "tool", "content": "efgh", "tool_call_id": "c"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "ijkl"}, {"type": "image_url", "image_url": {"url": "u"}}],
        },
    ]
    given = answer(messages=messages, tools=[])
    text = 3 * 4 + len('[{"id": "c", "type": "function"}]') + len("[]")
    assert given.counts[0] == -(-text // 4) + 85


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"model":"sim-small"}',
        b'{"model":1,"messages":[]}',
        b'{"model":"sim-small","messages":[]}',
        b'{"model":"sim-small","messages":[{"role":"user","content":5}]}',
        b'{"model":"sim-small","messages":[{"role":"user","content":"x"}],"n":0}',
        b'{"model":"sim-small","messages":[{"role":"user","content":"x"}],"max_tokens":0}',
        b'{"model":"sim-small","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"sim-small","messages":[{"role":"user","content":"x"}],"tools":["\xff"]}',
        b"[" * 100_000,
    ],
)
def test_a_request_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        openai_chat.read(body, {})
    assert caught.value.status == 400
