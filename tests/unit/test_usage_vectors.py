"""From what providers report to disjoint buckets: worked examples of chat completions and messages, and the edges."""

import json
from typing import Any

import pytest

from fastgate._core.body import scan
from fastgate._core.counts import anomalies
from fastgate._core.events import EventScanner
from fastgate._core.price import Usage
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Dialect
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.dialects.openai_usage import speech_usage, transcription_usage
from fastgate.wire.usage import Geo, Tier


def answer(dialect: Dialect, document: dict[str, Any]) -> list[tuple[str | None, Usage]] | None:
    charges = dialect.charges_of_answer(scan(json.dumps(document).encode(), dialect.answer_fields))
    return None if charges is None else [(charge.model, charge.usage) for charge in charges]


def stream(dialect: Dialect, *events: dict[str, Any]) -> list[tuple[str | None, Usage]] | None:
    scanner = EventScanner(dialect.table)
    for event in events:
        scanner.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    charges = dialect.charges_of_stream(scanner.captures)
    return None if charges is None else [(charge.model, charge.usage) for charge in charges]


def chat(usage: Any, tier: Any = None) -> Usage | None:
    """The usage of a chat answer, which must be that of a stream too."""
    whole = answer(OPENAI_CHAT, {"model": "m", "choices": [], "usage": usage, "service_tier": tier})
    chunks = stream(
        OPENAI_CHAT,
        {"choices": [{"delta": {"content": "x"}}], "usage": None, "service_tier": tier},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None},
        {"choices": [], "usage": usage, "service_tier": tier},
    )
    assert whole == chunks
    return whole[0][1] if whole else None


def prompt(total: int, output: int, **details: int) -> dict[str, Any]:
    return {
        "prompt_tokens": total,
        "completion_tokens": output,
        "total_tokens": total + output,
        "prompt_tokens_details": {k: v for k, v in details.items() if k in {"cached_tokens", "cache_write_tokens"}},
    }


CHAT = {
    "15 flex": (prompt(50000, 6000, cached_tokens=32000), "flex",
                Usage(tier=Tier.FLEX, input=18000, cache_read=32000, output=6000, request=1)),
    "16 priority": (prompt(10000, 1200, cached_tokens=4096), "priority",
                    Usage(tier=Tier.PRIORITY, input=5904, cache_read=4096, output=1200, request=1)),
    "17 asked for priority, served default": (prompt(10000, 1200, cached_tokens=4096), "default",
                                              Usage(input=5904, cache_read=4096, output=1200, request=1)),
    "18 ultrafast": (prompt(10000, 1500, cached_tokens=8000), "ultrafast",
                     Usage(tier=Tier.ULTRAFAST, input=2000, cache_read=8000, output=1500, request=1)),
    "19 nothing cached": (prompt(4000, 1000, cached_tokens=0), "default", Usage(input=4000, output=1000, request=1)),
    "12 cache writes": (prompt(120000, 4000, cached_tokens=90000, cache_write_tokens=20000), None,
                        Usage(input=10000, cache_read=90000, cache_write=20000, output=4000, request=1)),
    "20 audio": ({"prompt_tokens": 1500, "completion_tokens": 2550, "total_tokens": 4050,
                  "prompt_tokens_details": {"audio_tokens": 1200, "text_tokens": 300},
                  "completion_tokens_details": {"audio_tokens": 2400, "text_tokens": 150}}, None,
                 Usage(input=300, audio_input=1200, output=150, audio_output=2400, request=1)),
    "21 three choices": (prompt(812, 939, cached_tokens=0), None, Usage(input=812, output=939, request=1)),
    "27 DeepSeek": ({"prompt_tokens": 9000, "prompt_cache_hit_tokens": 8000, "prompt_cache_miss_tokens": 1000,
                     "completion_tokens": 1000, "total_tokens": 10000}, None,
                    Usage(input=1000, cache_read=8000, output=1000, request=1)),
    "29 xAI, reasoning outside": ({"prompt_tokens": 5000, "completion_tokens": 400, "total_tokens": 7000,
                                   "prompt_tokens_details": {"cached_tokens": 3000},
                                   "completion_tokens_details": {"reasoning_tokens": 1600}}, None,
                                  Usage(input=2000, cache_read=3000, output=400, reasoning=1600, request=1)),
    "reasoning inside": ({"prompt_tokens": 10, "completion_tokens": 400, "total_tokens": 410,
                          "completion_tokens_details": {"reasoning_tokens": 300}}, None,
                         Usage(input=10, output=100, reasoning=300, request=1)),
    "images": ({"prompt_tokens": 1000, "completion_tokens": 1, "prompt_tokens_details": {"image_tokens": 900}}, None,
               Usage(input=100, image_input=900, output=1, request=1)),
    "Moonshot": ({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4}, None,
                 Usage(input=6, cache_read=4, output=1, request=1)),
    "details null": ({"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": None,
                      "completion_tokens_details": {"reasoning_tokens": None}}, None,
                     Usage(input=7, output=2, request=1)),
    "Mistral's tier is inside": ({"prompt_tokens": 7, "completion_tokens": 2, "service_tier": "priority"}, None,
                                 Usage(tier=Tier.PRIORITY, input=7, output=2, request=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAT)
def test_chat(name: str) -> None:
    usage, tier, expected = CHAT[name]
    before = anomalies.total()
    assert chat(usage, tier) == expected
    assert anomalies.total() == before


@pytest.mark.parametrize(
    ("usage", "expected", "what"),
    [
        (prompt(100, 5, cached_tokens=150), Usage(cache_read=100, output=5, request=1), "part_exceeds_whole"),
        (prompt(100, -5), Usage(input=100, request=1), "negative"),
        ({"prompt_tokens": 1, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 9}},
         Usage(input=1, reasoning=5, request=1), "part_exceeds_whole"),
        ({"prompt_tokens": "1", "completion_tokens": 5}, None, "unbelievable"),
        ({"prompt_tokens": 1, "completion_tokens": 10**15}, None, "unbelievable"),
        ({"prompt_tokens": True, "completion_tokens": 5}, None, "unbelievable"),
    ],
)  # fmt: skip
def test_reports_that_contradict_themselves_are_counted(usage: Any, expected: Usage | None, what: str) -> None:
    before = anomalies[what]
    assert chat(usage) == expected
    assert anomalies[what] > before


@pytest.mark.parametrize(
    ("seconds", "us"),
    [
        ("37.5", 37_500_000),
        ("37", 37_000_000),
        ("0", 0),
        ("0.1", 100_000),
        ("8.470000267028809", 8_470_001),  # a microsecond that has begun counts
        ("1e-7", 1),
        ("3.75e1", 37_500_000),
        ("999999999.999999", 999_999_999_999_999),
        ("1e-400", 1),
        ("-1.5", 0),
    ],
)
def test_the_length_of_audio_is_what_is_written(seconds: str, us: int) -> None:
    raw = f'{{"type": "duration", "seconds": {seconds}}}'.encode()
    assert transcription_usage(raw) == Usage(audio_time=us, request=1)


@pytest.mark.parametrize(
    "seconds", ["null", "true", '"37.5"', "[]", "1e10", "1000000000.5", "1e999", "9" * 400, "1e99999999999999999999"]
)
def test_a_length_that_cannot_be_believed_is_no_usage(seconds: str) -> None:
    assert transcription_usage(f'{{"type": "duration", "seconds": {seconds}}}'.encode()) is None


def test_a_transcription_without_a_length_is_no_usage() -> None:
    assert transcription_usage(b'{"type": "duration"}') is None
    assert transcription_usage(None) is None


def test_characters_are_code_points() -> None:
    assert speech_usage("Zoë 🎈") == Usage(character=5, request=1)


@pytest.mark.parametrize("usage", [None, {}, [], "x", {"total_tokens": 5}, {"completion_tokens": 5}])
def test_no_usage_is_none_and_never_zero(usage: Any) -> None:
    assert chat(usage) is None


def test_a_tier_that_is_not_known_is_counted() -> None:
    before = anomalies["unknown_tier"]
    assert chat(prompt(1, 1), "warp") == Usage(input=1, output=1, request=1)
    assert anomalies["unknown_tier"] > before


def test_usage_on_every_chunk_is_not_added_up() -> None:
    chunks = [{"choices": [{"delta": {}}], "usage": {"prompt_tokens": 9, "completion_tokens": i}} for i in range(4)]
    assert stream(OPENAI_CHAT, *chunks) == [(None, Usage(input=9, output=3, request=1))]


def test_usage_beside_choices_and_in_groqs_place_is_seen() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1}
    assert stream(OPENAI_CHAT, {"choices": [{"finish_reason": "stop"}], "x_groq": {"usage": usage}}) == [
        (None, Usage(input=9, output=1, request=1))
    ]


def written(short: int, long: int = 0) -> dict[str, Any]:
    return {
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
    }


def message(usage: dict[str, Any], **more: Any) -> list[tuple[str | None, Usage]] | None:
    """The charges of a message, which must be those of a stream too."""
    document = {"type": "message", "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn", **more}
    whole = answer(ANTHROPIC, {**document, "usage": usage})
    # A stream reports the split only at its start and all else at its end.
    first = {"input_tokens": 1, "output_tokens": 1, "cache_creation": usage.get("cache_creation")}
    last = {k: v for k, v in usage.items() if k != "cache_creation"}
    blocks = [{"type": "content_block_start", "content_block": block} for block in document["content"]]
    delta = {"stop_reason": document["stop_reason"], "stop_details": document.get("stop_details")}
    streamed = stream(
        ANTHROPIC,
        {"type": "message_start", "message": {"model": "claude", "usage": first}},
        *blocks,
        {"type": "message_delta", "delta": delta, "usage": last},
        {"type": "message_stop"},
    )
    assert whole == streamed
    return whole


MESSAGES = {
    "1": ({"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": 1000, **written(60, 40)},
          Usage(input=10, cache_read=1000, cache_write=60, cache_write_1h=40, output=3, request=1)),
    "2": ({"input_tokens": 25, "output_tokens": 812, "cache_read_input_tokens": 180000, **written(4000)},
          Usage(input=25, cache_read=180000, cache_write=4000, output=812, request=1)),
    "3": ({"input_tokens": 20000, "output_tokens": 500, "cache_read_input_tokens": 70000, **written(10000)},
          Usage(input=20000, cache_read=70000, cache_write=10000, output=500, request=1)),
    "4": ({"input_tokens": 20001, "output_tokens": 500, "cache_read_input_tokens": 70000, **written(10000)},
          Usage(input=20001, cache_read=70000, cache_write=10000, output=500, request=1)),
    "5": ({"input_tokens": 1500, "output_tokens": 900, "cache_read_input_tokens": 30000, "speed": "fast",
           "inference_geo": "us", "service_tier": "standard", **written(2000)},
          Usage(tier=Tier.FAST, geo=Geo.US, input=1500, cache_read=30000, cache_write=2000, output=900, request=1)),
    "6": ({"input_tokens": 150000, "output_tokens": 2000, "cache_read_input_tokens": 40000, **written(20000)},
          Usage(input=150000, cache_read=40000, cache_write=20000, output=2000, request=1)),
    "7": ({"input_tokens": 12000, "output_tokens": 3000, "cache_read_input_tokens": 100000, "service_tier": "batch",
           **written(0, 5000)},
          Usage(tier=Tier.BATCH, input=12000, cache_read=100000, cache_write_1h=5000, output=3000, request=1)),
    "8": ({"input_tokens": 105, "output_tokens": 6039, "cache_read_input_tokens": 7123,
           "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1}, **written(7345)},
          Usage(input=105, cache_read=7123, cache_write=7345, output=6039, web_search=3, request=1)),
    "thinking": ({"input_tokens": 1, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}},
                 Usage(input=1, output=10, reasoning=40, request=1)),
    "written without a split": ({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9},
                                Usage(input=1, cache_write=9, output=1, request=1)),
    "written above the split": ({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9,
                                 "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}},
                                Usage(input=1, cache_write=6, cache_write_1h=3, output=1, request=1)),
    "written for an hour only": ({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9,
                                  "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 3}},
                                 Usage(input=1, cache_write_1h=9, output=1, request=1)),
    "nulls": ({"input_tokens": 1, "output_tokens": 2, "cache_creation": None, "cache_read_input_tokens": None,
               "server_tool_use": None, "service_tier": None, "iterations": None},
              Usage(input=1, output=2, request=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name: str) -> None:
    usage, expected = MESSAGES[name]
    assert message(usage) == [(None, expected)]


def test_compaction_is_charged_beside_the_message() -> None:
    steps = [
        {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500},
        {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
    ]
    assert message({"input_tokens": 23000, "output_tokens": 1000, "iterations": steps}) == [
        (None, Usage(input=23000, output=1000, request=1)),
        (None, Usage(input=180000, output=3500)),
    ]


def test_compaction_is_the_work_of_the_model_that_was_called_whatever_it_names() -> None:
    steps = [{"type": "compaction", "model": "claude-opus", "input_tokens": 180000, "output_tokens": 3500}]
    charges = message({"input_tokens": 23000, "output_tokens": 1000, "iterations": steps})
    assert charges is not None
    assert charges[1] == (None, Usage(input=180000, output=3500))


def test_what_ran_before_a_free_refusal_is_charged() -> None:
    steps = [
        {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500},
        {"type": "message", "input_tokens": 23000, "output_tokens": 1},
        {"type": "advisor_message", "model": "claude-opus", "input_tokens": 7, "output_tokens": 2},
    ]
    usage = {"input_tokens": 23000, "output_tokens": 1, "iterations": steps}
    assert message(usage, content=[], stop_reason="refusal", stop_details={"category": "cyber"}) == [
        (None, Usage()),
        (None, Usage(input=180000, output=3500)),
        ("claude-opus", Usage(input=7, output=2)),
    ]


def test_an_advisor_is_charged_at_its_own_model() -> None:
    steps = [{"type": "advisor_message", "model": "claude-opus", "input_tokens": 7, "output_tokens": 2}]
    assert message({"input_tokens": 1, "output_tokens": 1, "iterations": steps}) == [
        (None, Usage(input=1, output=1, request=1)),
        ("claude-opus", Usage(input=7, output=2)),
    ]


@pytest.mark.parametrize(("category", "billed"), [("cyber", 0), ("bio", 535), (None, 0), ("frontier_llm", 535)])
def test_a_fallback_is_charged_by_attempt(category: str | None, billed: int) -> None:
    steps = [
        {"type": "message", "model": "claude-fable-5", "input_tokens": 535, "output_tokens": 0},
        {"type": "fallback_message", "model": "claude-opus-4-8", "input_tokens": 412, "output_tokens": 264},
    ]
    content = [
        {"type": "fallback", "trigger": {"type": "refusal", "category": category}},
        {"type": "text", "text": "x"},
    ]
    assert message({"input_tokens": 412, "output_tokens": 264, "iterations": steps}, content=content) == [
        ("claude-fable-5", Usage(input=billed, request=1)),
        ("claude-opus-4-8", Usage(input=412, output=264)),
    ]


def test_the_steps_of_a_tool_loop_are_not_added_again() -> None:
    before = anomalies["iterations_differ"]
    steps = [{"type": "message", "input_tokens": 5, "output_tokens": 2}] * 2
    assert message({"input_tokens": 10, "output_tokens": 4, "iterations": steps}) == [
        (None, Usage(input=10, output=4, request=1))
    ]
    assert anomalies["iterations_differ"] == before
    message({"input_tokens": 10, "output_tokens": 5, "iterations": steps})
    assert anomalies["iterations_differ"] > before


@pytest.mark.parametrize(
    ("category", "free"), [(None, True), ("cyber", True), ("bio", False), ("reasoning_extraction", False)]
)
def test_a_refusal_before_output_is_free_but_for_some_categories(category: str | None, free: bool) -> None:
    charges = message(
        {"input_tokens": 9, "output_tokens": 1}, content=[], stop_reason="refusal", stop_details={"category": category}
    )
    assert charges == [(None, Usage() if free else Usage(input=9, output=1, request=1))]


def test_a_refusal_after_output_is_billed() -> None:
    charges = message({"input_tokens": 9, "output_tokens": 4}, stop_reason="refusal", stop_details={"category": None})
    assert charges == [(None, Usage(input=9, output=4, request=1))]


def test_later_deltas_replace_and_do_not_add() -> None:
    charges = stream(
        ANTHROPIC,
        {
            "type": "message_start",
            "message": {"usage": {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 5}},
        },
        {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 12, "output_tokens": 20}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 30, "input_tokens": None},
        },
    )
    assert charges == [(None, Usage(input=12, cache_read=5, output=30, request=1))]


def test_a_stream_cut_before_its_last_count_is_an_estimate() -> None:
    charges = stream(
        ANTHROPIC, {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    )
    assert charges is not None
    assert charges[0][1].estimated
    assert charges[0][1].as_dict()["input"] == 9


@pytest.mark.parametrize("usage", [None, {}, [], {"input_tokens": 4}, {"output_tokens": "3", "input_tokens": 4}])
def test_a_message_without_usage_is_none(usage: Any) -> None:
    assert answer(ANTHROPIC, {"content": [], "usage": usage}) is None
    assert stream(ANTHROPIC, {"type": "ping"}) is None


def test_all_charges_in_one() -> None:
    document = {"usage": {"input_tokens": 1, "output_tokens": 2, "speed": "fast", "iterations": [
        {"type": "compaction", "input_tokens": 10, "output_tokens": 20}]}}  # fmt: skip
    total = ANTHROPIC.usage_of_answer(scan(json.dumps(document).encode(), ANTHROPIC.answer_fields))
    assert total == Usage(tier=Tier.FAST, input=11, output=22, request=1)
