"""OpenAI's usage objects, and those of its many likenesses, brought to disjoint buckets."""

from typing import Any, Final, NamedTuple

from fastgate._core.counts import count, mapping, part
from fastgate._core.price import Usage
from fastgate.dialects.base import decoded, microseconds, output_tokens, served_tier
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


class Names(NamedTuple):
    """What an API calls the counts and their parts."""

    prompt: str
    prompt_parts: str
    output: str
    output_parts: str


CHAT: Final = Names("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details")
RESPONSES: Final = Names("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details")
"""Responses, their compaction, decisions, and images."""
_TRANSCRIPTIONS: Final = Names("input_tokens", "input_token_details", "output_tokens", "output_token_details")


def chat_usage(usage: object, service_tier: object) -> Usage | None:
    """Chat completions' ``usage``; ``None`` where it does not even say how long prompt and answer were."""
    source = mapping(usage)
    prompt = count(source, "prompt_tokens")
    completion = count(source, "completion_tokens")
    if prompt is None or completion is None:
        return None
    tier = served_tier(TIERS, service_tier if service_tier is not None else source.get("service_tier"))
    if source.keys() <= _UNDIVIDED:
        return Usage(tier=tier, input=prompt, output=completion, request=1)
    return _divided(source, CHAT, prompt, completion + _outside(source, prompt, completion), tier)


def usage_of(usage: object, service_tier: object, names: Names) -> Usage | None:
    """A report under ``names``; ``None`` where it lacks the counts of input or output."""
    source = mapping(usage)
    prompt = count(source, names.prompt)
    output = count(source, names.output)
    if prompt is None or output is None:
        return None
    return _divided(source, names, prompt, output, served_tier(TIERS, service_tier))


def embeddings_usage(usage: object) -> Usage | None:
    """Embeddings' ``usage``, which has a prompt only; of some servers (Jina, Voyage) just the total, which is that."""
    source = mapping(usage)
    prompt = count(source, "prompt_tokens")
    if prompt is None and source.get("prompt_tokens") is None:
        prompt = count(source, "total_tokens")
    return None if prompt is None else Usage(input=prompt, request=1)


def transcription_usage(raw: bytes | None) -> Usage | None:
    """A transcription's ``usage`` as it is written: in tokens, or in seconds of audio, which may have a fraction."""
    source = mapping(decoded(raw))
    if source.get("type") != "duration":
        return usage_of(source, None, _TRANSCRIPTIONS)
    length = microseconds(mapping(decoded(raw, exactly=True)), "seconds")
    return None if length is None else Usage(audio_time=length, request=1)


def speech_usage(text: str) -> Usage:
    """What a text to be spoken is billed for where it goes by characters: the answer is audio and says nothing."""
    return Usage(character=len(text), request=1)


def _divided(source: dict[str, Any], names: Names, prompt: int, output: int, tier: Tier) -> Usage:
    details = mapping(source.get(names.prompt_parts))
    cached, cached_images = _cached(source, details, prompt)
    rest = prompt - cached - cached_images
    written = part(details, "cache_write_tokens", rest)
    rest -= written
    long = part(mapping(details.get("cache_write_tokens_details")), "ttl_12h_tokens", written)
    # How much of the cached part is audio is never said, and seldom how much is images: it may overlap.
    audio = min(part(details, "audio_tokens", prompt), rest)
    rest -= audio
    images = min(max(0, part(details, "image_tokens", prompt) - cached_images), rest)
    details = mapping(source.get(names.output_parts))
    reasoning = part(details, "reasoning_tokens", output)
    spoken = part(details, "audio_tokens", output - reasoning)
    return Usage(
        tier=tier,
        input=rest - images,
        cache_read=cached,
        cache_write=written - long,
        cache_write_1h=long,
        output=output - reasoning - spoken,
        reasoning=reasoning,
        audio_input=audio,
        audio_output=spoken,
        image_input=images,
        cache_read_image=cached_images,
        request=1,
    )


def stated_usage(usage: Usage) -> dict[str, int]:
    """The totals of a ``usage`` object that says so."""
    prompt, completion = usage.prompt_total(), output_tokens(usage)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _cached(source: dict[str, Any], details: dict[str, Any], prompt: int) -> tuple[int, int]:
    """Cached tokens but images, and images: in the details, or where DeepSeek and Moonshot have the sum."""
    if details.get("cached_tokens") is not None:
        cached = part(details, "cached_tokens", prompt)
    elif source.get("prompt_cache_hit_tokens") is not None:
        cached = part(source, "prompt_cache_hit_tokens", prompt)
    else:
        cached = part(source, "cached_tokens", prompt)
    split = details.get("cached_tokens_details")
    images = part(split, "image_tokens", cached) if isinstance(split, dict) else 0
    return cached - images, images


def _outside(source: dict[str, Any], prompt: int, completion: int) -> int:
    """Reasoning that is no part of the completion: xAI's, whose total says that it comes on top."""
    reasoning = count(mapping(source.get("completion_tokens_details")), "reasoning_tokens") or 0
    return reasoning if count(source, "total_tokens") == prompt + completion + reasoning else 0
