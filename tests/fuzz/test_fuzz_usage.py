"""Usage reports with anything anywhere: parsers give disjoint counts that add up to what was reported, or nothing.

An input is the seed of a mutation: the reports stay JSON, and any value in them becomes another one.
"""

import copy
import json
import random
from fractions import Fraction
from math import ceil
from typing import Any

from fastgate._core.body import scan
from fastgate._core.counts import MAX_COUNT
from fastgate._core.events import EventScanner
from fastgate._core.price import Usage
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.bedrock_usage import CONVERSE, INVOCATION_METRICS, bedrock_usage
from fastgate.dialects.gemini_usage import gemini_usage, searches_of
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.dialects.openai_responses_usage import charges
from fastgate.dialects.openai_usage import RESPONSES, embeddings_usage, transcription_usage, usage_of
from tests.fuzz.harness import TARGETS, main, run, target

CHAT = {
    "model": "m", "choices": [], "service_tier": "flex",
    "usage": {"prompt_tokens": 90, "completion_tokens": 50, "total_tokens": 160, "prompt_cache_hit_tokens": 7,
              "cached_tokens": 9,
              "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 8, "audio_tokens": 9,
                                        "image_tokens": 6, "cached_tokens_details": {"image_tokens": 3}},
              "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 5}},
}  # fmt: skip
RESPONSE = {
    "service_tier": "priority",
    "usage": {"input_tokens": 90, "output_tokens": 50,
              "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 9,
                                       "cache_write_tokens_details": {"ttl_12h_tokens": 4}},
              "output_tokens_details": {"reasoning_tokens": 20}},
    "tool_usage": {"web_search": {"num_requests": 2}, "image_gen": {"input_tokens": 5, "output_tokens": 900}},
    "tools": [{"type": "image_generation", "model": "gpt-image-2"}],
    "output": [{"type": "web_search_call"}, {"type": "file_search_call"}],
}  # fmt: skip
MESSAGE = {
    "type": "message", "model": "c", "content": [{"type": "fallback", "trigger": {"category": "bio"}}],
    "stop_reason": "refusal", "stop_details": {"category": "cyber"},
    "usage": {"input_tokens": 9, "output_tokens": 8, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 6,
              "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 2}, "speed": "fast",
              "inference_geo": "us", "service_tier": "batch", "server_tool_use": {"web_search_requests": 1},
              "output_tokens_details": {"thinking_tokens": 3},
              "iterations": [{"type": "message", "model": "a", "input_tokens": 1, "output_tokens": 0},
                             {"type": "fallback_message", "model": "b", "input_tokens": 1, "output_tokens": 2},
                             {"type": "compaction", "input_tokens": 5, "output_tokens": 6}]},
}  # fmt: skip
GEMINI = {
    "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}],
    "usageMetadata": {"promptTokenCount": 90, "cachedContentTokenCount": 40, "candidatesTokenCount": 20,
                      "thoughtsTokenCount": 10, "toolUsePromptTokenCount": 9, "trafficType": "ON_DEMAND_FLEX",
                      "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 30},
                                              {"modality": "IMAGE", "tokenCount": 20}],
                      "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
                      "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 4}],
                      "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}]},
}  # fmt: skip
LENGTH = {"type": "duration", "seconds": 37.5}
BEDROCK = {
    "serviceTier": {"type": "flex"},
    "usage": {"inputTokens": 9, "outputTokens": 8, "cacheReadInputTokens": 7, "cacheWriteInputTokens": 6,
              "inputTokenCount": 5, "outputTokenCount": 4, "cacheReadInputTokenCount": 3,
              "cacheDetails": [{"ttl": "1h", "inputTokens": 2}, {"ttl": "5m", "inputTokens": 4}]},
}  # fmt: skip

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 5.0, 0.5, 50, 10**9, 10**9 + 1, 10**30, -(10**30), 1e300, "", "7", "flex", [], {},
    [[]], [{}], [None, {"type": []}], {"type": {}}, {"tokenCount": 3}, {"modality": []},
)  # fmt: skip


def changed(document: Any, rng: random.Random) -> Any:
    """A copy with one to four values replaced or left out, anywhere."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 4)):
        at: Any = document
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8:
                at = at[key]
                continue
            if isinstance(at, dict) and rng.random() < 0.2:
                del at[key]
            else:
                at[key] = copy.deepcopy(rng.choice(ODD))
            break
    return document


def believed(source: Any, name: str) -> int:
    """What a count comes to: whole, not negative, and not beyond belief."""
    value = source.get(name) if isinstance(source, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value > MAX_COUNT:
        return 0
    return max(0, value)


def written_out(usage: Usage) -> int:
    counts = usage.as_dict()
    assert all(number > 0 for number in counts.values())
    return sum(counts.get(name, 0) for name in ("output", "reasoning", "audio_output"))


@target("OpenAI usage", seeds=[b"1"])
def check_openai(data: bytes) -> None:
    rng = random.Random(data)
    document = changed(CHAT, rng)
    found = scan(json.dumps(document).encode(), OPENAI_CHAT.answer_fields)
    usage, reported = OPENAI_CHAT.usage_of_answer(found), document.get("usage")
    if usage is not None:
        assert usage.prompt_total() == believed(reported, "prompt_tokens")
        assert written_out(usage) >= believed(reported, "completion_tokens")
    embeddings_usage(reported)
    document = changed(RESPONSE, rng)
    found_charges = charges(document)
    reported = document.get("usage")
    as_written = json.dumps(reported).encode()
    for usage in (usage_of(reported, document.get("service_tier"), RESPONSES), transcription_usage(as_written)):
        if usage is not None:
            assert usage.prompt_total() == believed(reported, "input_tokens")
            assert written_out(usage) == believed(reported, "output_tokens")
            assert found_charges is not None
    document = changed(LENGTH, rng)
    usage = transcription_usage(json.dumps(document).encode())
    if usage is not None and document.get("type") == "duration":
        length = Fraction(json.dumps(document["seconds"])) * 10**6
        assert usage == Usage(audio_time=max(0, ceil(length)), request=1)


@target("Anthropic usage", seeds=[b"1"])
def check_anthropic(data: bytes) -> None:
    document = changed(MESSAGE, random.Random(data))
    found = scan(json.dumps(document).encode(), ANTHROPIC.answer_fields)
    for charge in ANTHROPIC.charges_of_answer(found) or ():
        written_out(charge.usage)
    ANTHROPIC.output_bytes_of_answer(found)
    scanner = EventScanner(ANTHROPIC.table)
    delta = {"stop_reason": document.get("stop_reason"), "stop_details": document.get("stop_details")}
    for event in (
        {"type": "message_start", "message": document},
        {"type": "message_delta", "delta": delta, "usage": document.get("usage")},
    ):
        scanner.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    ANTHROPIC.charges_of_stream(scanner.captures)


@target("Gemini usage", seeds=[b"1"])
def check_gemini(data: bytes) -> None:
    document = changed(GEMINI, random.Random(data))
    reported = document.get("usageMetadata")
    searches = searches_of(document.get("candidates"), "gemini-3.8-flash")
    assert searches_of(document.get("candidates"), "gemini-2.5-flash") == min(1, searches)
    usage = gemini_usage(reported, "standard", searches)
    if usage is not None:
        names = ("promptTokenCount", "toolUsePromptTokenCount")
        assert usage.prompt_total() == sum(believed(reported, name) for name in names)
        names = ("candidatesTokenCount", "thoughtsTokenCount")
        assert written_out(usage) == sum(believed(reported, name) for name in names)


@target("Bedrock usage", seeds=[b"1"])
def check_bedrock(data: bytes) -> None:
    document = changed(BEDROCK, random.Random(data))
    reported = document.get("usage")
    for names in (CONVERSE, INVOCATION_METRICS):
        usage = bedrock_usage(reported, document.get("serviceTier"), names)
        if usage is not None:
            assert written_out(usage) == believed(reported, names.output)
            assert usage.prompt_total() >= sum(
                believed(reported, name) for name in (names.input, names.cache_read, names.cache_write)
            )


def test_usage_for_a_short_while() -> None:
    for name in ("OpenAI usage", "Anthropic usage", "Gemini usage", "Bedrock usage"):
        assert run(TARGETS[name], seed=1, rounds=4000) == 4000


if __name__ == "__main__":
    main(["OpenAI usage", "Anthropic usage", "Gemini usage", "Bedrock usage"])
