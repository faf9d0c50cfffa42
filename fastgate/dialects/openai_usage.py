"""OpenAI's usage objects, and those of its many likenesses, brought to disjoint buckets."""

from collections.abc import Mapping
from typing import Any, Final

from fastgate._core.price import Usage
from fastgate.dialects.base import anomalies, count, mapping, part
from fastgate.wire.usage import Tier

TIERS: Final = {
    "default": Tier.STANDARD,
    "standard": Tier.STANDARD,
    "on_demand": Tier.STANDARD,
    "scale": Tier.STANDARD,
    "auto": Tier.STANDARD,
    "flex": Tier.FLEX,
    "priority": Tier.PRIORITY,
    "performance": Tier.PRIORITY,
    "fast": Tier.PRIORITY,
    "ultrafast": Tier.ULTRAFAST,
    "batch": Tier.BATCH,
}

_UNDIVIDED: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
"""Members of a report that divides neither prompt nor answer into parts."""


def tier_of(name: object) -> Tier:
    """The tier that an answer names; a name that is not known is counted and taken for the standard tier."""
    if not isinstance(name, str):
        return Tier.STANDARD
    tier = TIERS.get(name)
    if tier is None:
        anomalies["unknown_tier"] += 1
        return Tier.STANDARD
    return tier


def chat_usage(usage: object, service_tier: object) -> Usage | None:
    """Chat completions' ``usage``; ``None`` where it does not even say how long prompt and answer were."""
    source = mapping(usage)
    prompt = count(source, "prompt_tokens")
    completion = count(source, "completion_tokens")
    if prompt is None or completion is None:
        return None
    tier = tier_of(service_tier if service_tier is not None else source.get("service_tier"))
    if source.keys() <= _UNDIVIDED:
        return Usage(tier=tier, input=prompt, output=completion, request=1)
    details = mapping(source.get("prompt_tokens_details"))
    rest = prompt
    cached = part(*_cached(source, details), rest)
    rest -= cached
    written = part(details, "cache_write_tokens", rest)
    rest -= written
    audio = part(details, "audio_tokens", rest)
    rest -= audio
    images = part(details, "image_tokens", rest)
    output, reasoning, spoken = _output(source, prompt, completion)
    return Usage(
        tier=tier,
        input=rest - images,
        cache_read=cached,
        cache_write=written,
        audio_input=audio,
        image_input=images,
        output=output,
        reasoning=reasoning,
        audio_output=spoken,
        request=1,
    )


def _cached(source: Mapping[str, Any], details: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Where the cached tokens are: in the details, or where DeepSeek and Moonshot put them."""
    if details.get("cached_tokens") is not None:
        return details, "cached_tokens"
    if source.get("prompt_cache_hit_tokens") is not None:
        return source, "prompt_cache_hit_tokens"
    return source, "cached_tokens"


def _output(source: Mapping[str, Any], prompt: int, completion: int) -> tuple[int, int, int]:
    """Tokens of text, of reasoning, and of audio.

    Reasoning is part of the completion, but for xAI, where the total says that it comes on top.
    """
    details = mapping(source.get("completion_tokens_details"))
    reasoning = count(details, "reasoning_tokens") or 0
    if reasoning and count(source, "total_tokens") == prompt + completion + reasoning:
        completion += reasoning
    reasoning = part(details, "reasoning_tokens", completion)
    spoken = part(details, "audio_tokens", completion - reasoning)
    return completion - reasoning - spoken, reasoning, spoken
