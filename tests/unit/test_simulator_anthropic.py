"""The simulator's Anthropic messages API: reading, answering, charging."""

import json
from typing import Any

import pytest

from fastgate.simulator import anthropic, anthropic_usage
from fastgate.simulator.answer import Answer, Writer
from fastgate.simulator.ask import Refusal
from fastgate.simulator.bill import Charge
from fastgate.simulator.prices import PRICES, Behaviour
from fastgate.simulator.script import read_script
from fastgate.simulator.tokens import TOKENIZERS

VERSION = {b"anthropic-version": b"2023-06-01"}


def answer(script: str = "", *, tokenizer: str = "quarter", behaves: Behaviour = "plain", **fields: Any) -> Answer:
    """The answer to a request with these fields."""
    body = {"model": "sim-large", "max_tokens": 1000, "messages": [{"role": "user", "content": script or "x" * 40}]}
    ask = anthropic.read(json.dumps({**body, **fields}).encode(), VERSION)
    return Writer(TOKENIZERS[tokenizer], (16, 16)).write(ask, read_script(script), 12345, 1_700_000_000, behaves)


def events(given: Answer) -> list[tuple[str, Any]]:
    stream = anthropic.stream(given)
    text = b"".join([stream.prologue, *stream.pieces, stream.epilogue]).decode()
    found = []
    for block in text.split("\n\n")[:-1]:
        kind, data = block.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert all(kind == data["type"] for kind, data in found)
    return found


def charge(given: Answer) -> Charge:
    (only,) = anthropic.charges(given, PRICES)
    return only


def test_a_message_has_its_tokens_and_says_so() -> None:
    body = json.loads(anthropic.whole(answer()))
    assert body["type"] == "message"
    assert body["stop_reason"] == "end_turn"
    assert len(body["content"][0]["text"]) == 64
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"]) == (10, 16)


def test_a_cap_is_kept() -> None:
    body = json.loads(anthropic.whole(answer(max_tokens=3)))
    assert body["stop_reason"] == "max_tokens"
    assert body["usage"]["output_tokens"] == 3


def test_a_cap_of_nought_prewarms() -> None:
    body = json.loads(anthropic.whole(answer(max_tokens=0)))
    assert body["content"] == []
    assert body["usage"]["output_tokens"] == 0


def test_cache_counts_lie_outside_the_input_and_are_split_by_life() -> None:
    given = answer(behaves="cached", messages=[{"role": "user", "content": "x" * 160}])
    usage = json.loads(anthropic.whole(given))["usage"]
    assert usage["input_tokens"] == 10
    assert usage["cache_read_input_tokens"] == 20
    assert usage["cache_creation_input_tokens"] == 10
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 5}
    assert charge(given).counts == (10, 20, 5, 5, 16, 0, 0, 0, 0)


def test_thinking_is_shown_within_its_budget_and_charged_as_reasoning() -> None:
    given = answer(behaves="reasoning", thinking={"type": "enabled", "budget_tokens": 20})
    body = json.loads(anthropic.whole(given))
    assert [block["type"] for block in body["content"]] == ["thinking", "text"]
    assert body["usage"]["output_tokens"] == 36
    assert body["usage"]["output_tokens_details"] == {"thinking_tokens": 20}
    assert charge(given).counts == (10, 0, 0, 0, 16, 20, 0, 0, 0)


@pytest.mark.parametrize("thinking", [None, {"type": "disabled"}])
def test_without_thinking_there_is_no_reasoning(thinking: object) -> None:
    assert charge(answer(behaves="reasoning", thinking=thinking)).counts[5] == 0


def test_a_stream_follows_the_grammar_and_says_what_the_whole_message_says() -> None:
    script = 'sim: {"text": "hello you", "tools": [{"name": "f", "arguments": {"a": 1}}]}'
    thinking = {"type": "adaptive"}
    given = answer(
        script, behaves="reasoning", thinking=thinking, tools=[{"name": "f", "input_schema": {}}], stream=True
    )
    whole = json.loads(anthropic.whole(given))
    kinds = [kind for kind, _ in events(given)]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == len(whole["content"]) == 3
    blocks: dict[int, dict[str, Any]] = {}
    for kind, data in events(given):
        if kind == "content_block_start":
            blocks[data["index"]] = {**data["content_block"], "json": ""}
        if kind == "content_block_delta":
            block, delta = blocks[data["index"]], data["delta"]
            for name, into in {
                "text": "text",
                "thinking": "thinking",
                "signature": "signature",
                "partial_json": "json",
            }.items():
                if name in delta:
                    block[into] += delta[name]
    assert [blocks[0]["thinking"], blocks[1]["text"]] == [whole["content"][0]["thinking"], "hello you"]
    assert json.loads(blocks[2]["json"]) == whole["content"][2]["input"] == {"a": 1}
    assert whole["stop_reason"] == "tool_use"


def test_a_streams_usage_starts_with_the_input_and_ends_cumulative_without_the_split() -> None:
    given = answer(behaves="cached", stream=True)
    found = dict(events(given))
    start, end = found["message_start"]["message"]["usage"], found["message_delta"]["usage"]
    assert start["output_tokens"] == 1
    assert "ephemeral_1h_input_tokens" in start["cache_creation"]
    assert end["output_tokens"] == 16
    assert "cache_creation" not in end
    assert end["cache_read_input_tokens"] == start["cache_read_input_tokens"] > 0


@pytest.mark.parametrize("behaves", ["plain", "reasoning", "cached"])
@pytest.mark.parametrize("tokenizer", list(TOKENIZERS))
def test_what_is_stated_is_what_is_charged(behaves: Behaviour, tokenizer: str) -> None:
    given = answer(tokenizer=tokenizer, behaves=behaves, thinking={"type": "adaptive"})
    assert given.counts == charge(given).counts == anthropic_usage.counts_of(anthropic_usage.stated(given) or {})


@pytest.mark.parametrize(
    ("fields", "script", "tier", "geo"),
    [
        ({}, "sim: {}", "standard", "global"),
        ({"service_tier": "auto"}, "sim: {}", "standard", "global"),
        ({"speed": "fast"}, "sim: {}", "fast", "global"),
        ({"inference_geo": "us"}, "sim: {}", "standard", "us"),
        ({"speed": "fast"}, 'sim: {"speed": "standard"}', "standard", "global"),
        ({}, 'sim: {"tier": "priority", "geo": "us"}', "priority", "us"),
        ({}, 'sim: {"tier": "batch", "usage": {"input_tokens": 1}}', "batch", "global"),
        ({}, 'sim: {"usage": {"service_tier": "batch", "speed": "fast"}}', "fast", "global"),
    ],
)
def test_the_class_that_is_stated_is_charged(fields: Any, script: str, tier: str, geo: str) -> None:
    charged = charge(answer(script, **fields))
    assert (charged.tier, charged.geo) == (tier, geo)


@pytest.mark.parametrize(
    ("stated", "counts"),
    [
        (
            {
                "input_tokens": 10,
                "output_tokens": 3,
                "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 100,
                "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            },
            (10, 1000, 60, 40, 3, 0, 0, 0, 0),
        ),
        ({"input_tokens": 1, "cache_creation_input_tokens": 7}, (1, 0, 7, 0, 0, 0, 0, 0, 0)),
        (
            {"cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 4}},
            (0, 0, 5, 4, 0, 0, 0, 0, 0),
        ),
        ({"cache_creation": None, "server_tool_use": {"web_search_requests": 3}}, (0, 0, 0, 0, 0, 0, 0, 0, 3)),
        ({"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 9}}, (0, 0, 0, 0, 0, 9, 0, 0, 0)),
        ({"input_tokens": -1, "output_tokens": True}, (0, 0, 0, 0, 0, 0, 0, 0, 0)),
    ],
)
def test_a_scripted_usage_is_reported_as_it_is_and_charged_in_disjoint_buckets(stated: Any, counts: Any) -> None:
    given = answer("sim: " + json.dumps({"usage": stated}))
    assert json.loads(anthropic.whole(given))["usage"] == stated
    assert charge(given).counts == counts


def test_compaction_and_advice_are_charged_beside_the_top_level() -> None:
    iterations = [
        {"type": "message", "input_tokens": 23, "output_tokens": 1},
        {"type": "compaction", "input_tokens": 180, "output_tokens": 35},
        {"type": "advisor_message", "model": "sim-small", "input_tokens": 7, "output_tokens": 2},
    ]
    usage = {"input_tokens": 23, "output_tokens": 1, "iterations": iterations}
    given = answer("sim: " + json.dumps({"usage": usage}))
    assert [(each.model, each.counts[0], each.counts[4]) for each in anthropic.charges(given, PRICES)] == [
        ("sim-large", 23, 1),
        ("sim-large", 180, 35),
        ("sim-small", 7, 2),
    ]


@pytest.mark.parametrize(("category", "attempts"), [("cyber", ["sim-small"]), ("bio", ["sim-large", "sim-small"])])
def test_a_fallback_is_charged_by_attempt_and_a_free_refusal_is_not(category: str, attempts: list[str]) -> None:
    iterations = [
        {"type": "message", "model": "sim-large", "input_tokens": 535, "output_tokens": 0},
        {"type": "fallback_message", "model": "sim-small", "input_tokens": 412, "output_tokens": 264},
    ]
    usage = {"input_tokens": 412, "output_tokens": 264, "iterations": iterations}
    given = answer("sim: " + json.dumps({"usage": usage, "stop_details": {"category": category}}))
    assert [each.model for each in anthropic.charges(given, PRICES)] == attempts


@pytest.mark.parametrize(
    ("category", "text", "free"), [("cyber", "", True), (None, "", True), ("bio", "", False), ("cyber", "I mu", False)]
)
def test_a_refusal_before_any_output_is_free_in_most_categories(category: str | None, text: str, free: bool) -> None:
    script = {"finish": "refusal", "stop_details": {"category": category}, "text": text, "usage": {"input_tokens": 9}}
    given = answer("sim: " + json.dumps(script))
    assert charge(given).counts[0] == (0 if free else 9)


def test_system_tools_and_results_count_as_prompt() -> None:
    messages = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "abcd"}]}],
        },
        {"role": "user", "content": [{"type": "image", "source": {}}, {"type": "text", "text": "efgh"}]},
    ]
    given = answer(messages=messages, system=[{"type": "text", "text": "ijkl"}], tools=[])
    text = len('{"a": 1}') + 3 * 4 + len("[]")
    assert given.counts[0] == -(-text // 4) + 85


def test_counting_tokens_agrees_with_what_is_charged() -> None:
    body = {"model": "sim-large", "messages": [{"role": "user", "content": "x" * 40}], "system": "y" * 8}
    ask = anthropic.count_tokens(json.dumps(body).encode(), VERSION)
    assert TOKENIZERS["quarter"].prompt(ask.prompt) == charge(answer(system="y" * 8)).counts[0] == 12


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"max_tokens": None}, VERSION),
        ({"max_tokens": -1}, VERSION),
        ({"messages": []}, VERSION),
        ({"messages": [{"role": "user", "content": None}]}, VERSION),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": 5}]}]}, VERSION),
        ({"temperature": 1}, {b"anthropic-version": b"2026-10-21"}),
    ],
)
def test_a_request_that_is_none_is_refused(fields: dict[str, Any], headers: dict[bytes, bytes]) -> None:
    body = {"model": "sim-small", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], **fields}
    with pytest.raises(Refusal) as caught:
        anthropic.read(json.dumps(body).encode(), headers)
    assert caught.value.status == 400
