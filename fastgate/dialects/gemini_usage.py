"""Gemini's ``usageMetadata``, brought to disjoint buckets."""

from typing import Any, Final

from fastgate._core.counts import count, mapping, part
from fastgate._core.price import Usage
from fastgate.dialects.base import served_tier
from fastgate.wire.usage import Tier

TIERS: Final = {
    "ON_DEMAND": Tier.STANDARD,
    "ON_DEMAND_PRIORITY": Tier.PRIORITY,
    "ON_DEMAND_FLEX": Tier.FLEX,
    "PROVISIONED_THROUGHPUT": Tier.STANDARD,
    "standard": Tier.STANDARD,
    "priority": Tier.PRIORITY,
    "flex": Tier.FLEX,
    "batch": Tier.BATCH,
}
"""Vertex's ``trafficType``, and what the Gemini API says in the header ``x-gemini-service-tier``."""

_PREPAID: Final = "PROVISIONED_THROUGHPUT"
_PER_PROMPT: Final = ("gemini-1.", "gemini-2.")
"""Models that bill a grounded prompt once, however many queries it took."""


def gemini_usage(usage: object, header: object = None, searches: int = 0) -> Usage | None:
    """The last ``usageMetadata`` of an answer; ``None`` where it does not say how long the prompt was.

    ``header`` is ``x-gemini-service-tier``, which stands in for ``trafficType``; ``searches`` is what
    :func:`searches_of` counted.
    """
    source = mapping(usage)
    prompt = count(source, "promptTokenCount")
    if prompt is None:
        return None
    traffic = source.get("trafficType")
    tier = served_tier(TIERS, header if traffic is None else traffic)
    if traffic == _PREPAID:  # tokens of bought capacity are not billed
        return Usage(tier=tier, web_search=searches, request=1)
    cached = part(source, "cachedContentTokenCount", prompt)
    cached_audio, cached_images = _media(source, "cacheTokensDetails", cached)
    audio, images = _media(source, "promptTokensDetails", prompt)
    fresh = prompt - cached
    audio = min(max(0, audio - cached_audio), fresh)
    images = min(max(0, images - cached_images), fresh - audio)
    # What a server's tools fed back stands beside the prompt.
    tools = count(source, "toolUsePromptTokenCount") or 0
    tool_audio, tool_images = _media(source, "toolUsePromptTokensDetails", tools)
    output = count(source, "candidatesTokenCount") or 0
    spoken, _ = _media(source, "candidatesTokensDetails", output)
    return Usage(
        tier=tier,
        input=fresh - audio - images + tools - tool_audio - tool_images,
        cache_read=cached - cached_audio - cached_images,
        output=output - spoken,
        reasoning=count(source, "thoughtsTokenCount") or 0,
        audio_input=audio + tool_audio,
        audio_output=spoken,
        image_input=images + tool_images,
        cache_read_audio=cached_audio,
        cache_read_image=cached_images,
        web_search=searches,
        request=1,
    )


def searches_of(candidates: object, model: str) -> int:
    """Searches billed for grounding: each query, or one for the prompt at the models before Gemini 3."""
    queries = 0
    for candidate in candidates if isinstance(candidates, list) else ():
        listed = mapping(mapping(candidate).get("groundingMetadata")).get("webSearchQueries")
        queries += sum(bool(query) for query in listed) if isinstance(listed, list) else 0
    return min(queries, 1) if model.startswith(_PER_PROMPT) else queries


def _media(source: dict[str, Any], name: str, whole: int) -> tuple[int, int]:
    """Tokens of audio and of images by modality; video and documents are billed as text."""
    found = {"AUDIO": 0, "IMAGE": 0}
    listed = source.get(name)
    for item in listed if isinstance(listed, list) else ():
        entry = mapping(item)
        modality = entry.get("modality")
        if isinstance(modality, str) and modality in found:
            taken = part(entry, "tokenCount", whole)
            found[modality] += taken
            whole -= taken
    return found["AUDIO"], found["IMAGE"]
