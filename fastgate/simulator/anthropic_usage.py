"""The usage of the messages API: what an answer states, and what that is billed."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fastgate.simulator.answer import Answer
from fastgate.simulator.bill import NO_COUNTS, Charge
from fastgate.simulator.dialect import billed_model, count
from fastgate.simulator.prices import Counts, Price

# A refusal without any output is free, but in these categories.
BILLED_REFUSALS: Final = frozenset({"bio", "frontier_llm", "reasoning_extraction"})

_TIERS: Final = ("fast", "priority", "batch", "flex")

Usage = dict[str, Any]


def stated(answer: Answer) -> Usage | None:
    """The usage of a whole message; None for none."""
    if answer.script.usage is not msgspec.UNSET:
        return _scripted(answer)
    fresh, read, write, write_1h, output, reasoning, _, _, _ = answer.counts
    usage: Usage = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": write + write_1h,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": write_1h},
        "output_tokens": output + reasoning,
        "service_tier": _tier(answer),
        "inference_geo": _geo(answer),
    }
    if reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": reasoning}
    speed = _speed(answer)
    if speed is not None:
        usage["speed"] = speed
    return usage


def _scripted(answer: Answer) -> Usage | None:
    """The script's usage, and its tier, speed and geography where the usage does not state them itself."""
    script = answer.script
    if not isinstance(script.usage, dict):
        return None
    beside = {"service_tier": script.tier, "speed": script.speed, "inference_geo": script.geo}
    return {**{name: value for name, value in beside.items() if value is not None}, **script.usage}


def _tier(answer: Answer) -> str:
    """``auto`` and ``standard_only`` are served by the standard tier."""
    return answer.script.tier or "standard"


def _speed(answer: Answer) -> str | None:
    return answer.script.speed or answer.ask.speed


def _geo(answer: Answer) -> str:
    return answer.script.geo or answer.ask.geo or "global"


def at_start(answer: Answer) -> Usage | None:
    """The usage of ``message_start``: all of the input, and a provisional count of output."""
    if answer.script.usage_start is not msgspec.UNSET:
        return answer.script.usage_start
    usage = stated(answer)
    if usage is None:
        return None
    start = {name: value for name, value in usage.items() if name not in {"output_tokens_details", "iterations"}}
    return {**start, "output_tokens": min(count(usage, "output_tokens"), 1)}


def at_end(answer: Answer) -> Usage | None:
    """The usage of ``message_delta``: cumulative, without the split of what was written to the cache."""
    usage = stated(answer)
    if usage is None:
        return None
    left_out = {"cache_creation", "service_tier", "inference_geo", "speed"}
    return {name: value for name, value in usage.items() if name not in left_out}


def charges(answer: Answer, prices: Mapping[str, Price]) -> list[Charge]:
    """What the complete answer is billed: by its iterations where it states some, else by its top level."""
    asked = answer.ask.model
    model = billed_model(answer.model, asked, prices)
    usage = _scripted(answer) if answer.script.usage is not msgspec.UNSET else None
    refused = answer.script.finish == "refusal" and not any(answer.texts) and not answer.script.tools
    free = refused and _is_free_refusal(answer, usage or {})
    if usage is None:
        tier, geo = _class(_tier(answer), _speed(answer), _geo(answer))
        return [Charge(model, NO_COUNTS if free else answer.counts, tier, geo)]
    iterations = [each for each in usage.get("iterations") or [] if isinstance(each, dict)]
    if any(each.get("type") == "fallback_message" for each in iterations):
        billed = [each for each in iterations if not (_is_empty_attempt(each) and _is_free_refusal(answer, each))]
        parts = [(billed_model(each.get("model"), asked, prices), counts_of(each)) for each in billed]
    else:
        parts = [(model, NO_COUNTS if free else counts_of(usage))]
        for each in iterations:
            if each.get("type") == "compaction":
                parts.append((asked, counts_of(each)))
            elif each.get("type") == "advisor_message":
                parts.append((billed_model(each.get("model"), asked, prices), counts_of(each)))
    tier, geo = _class(usage.get("service_tier"), usage.get("speed"), usage.get("inference_geo"))
    return [Charge(name, counts, tier, geo) for name, counts in parts]


def _class(tier: object, speed: object, geo: object) -> tuple[str, str]:
    """The tier and the geography of the price that applies."""
    if speed == "fast":
        tier = "fast"
    return str(tier) if tier in _TIERS else "standard", "us" if geo == "us" else "global"


def _is_empty_attempt(iteration: Mapping[str, Any]) -> bool:
    return iteration.get("type") == "message" and not count(iteration, "output_tokens")


def _is_free_refusal(answer: Answer, part: Mapping[str, Any]) -> bool:
    details = part.get("stop_details") or answer.script.stop_details or {}
    return details.get("category") not in BILLED_REFUSALS


def counts_of(usage: Mapping[str, Any]) -> Counts:
    """Disjoint buckets of a usage object, in which the cache counts lie outside the input."""
    split = usage.get("cache_creation")
    hour = count(split, "ephemeral_1h_input_tokens") if isinstance(split, Mapping) else 0
    minutes = count(split, "ephemeral_5m_input_tokens") if isinstance(split, Mapping) else 0
    # What the split does not explain was written for the shorter time.
    minutes += max(count(usage, "cache_creation_input_tokens") - hour - minutes, 0)
    thinking = count(usage, "output_tokens_details", "thinking_tokens")
    output = max(count(usage, "output_tokens") - thinking, 0)
    searches = count(usage, "server_tool_use", "web_search_requests")
    read = count(usage, "cache_read_input_tokens")
    return (count(usage, "input_tokens"), read, minutes, hour, output, thinking, 0, 0, searches)
