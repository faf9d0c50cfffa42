"""The usage of Bedrock's Converse, and the metrics of its InvokeModel streams, brought to disjoint buckets."""

from typing import Any, Final, NamedTuple

from fastgate._core.counts import anomalies, count, mapping
from fastgate._core.price import Usage
from fastgate.dialects.base import served_tier
from fastgate.wire.usage import Tier

TIERS: Final = {
    "default": Tier.STANDARD,
    "reserved": Tier.STANDARD,
    "priority": Tier.PRIORITY,
    "flex": Tier.FLEX,
}
"""``serviceTier.type`` of an answer."""


class Names(NamedTuple):
    """What an operation calls the counts, which leave each other out."""

    input: str
    output: str
    cache_read: str
    cache_write: str


CONVERSE: Final = Names("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
INVOCATION_METRICS: Final = Names(
    "inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount"
)
"""``amazon-bedrock-invocationMetrics`` of the last chunk, for models whose own usage is missing."""


def bedrock_usage(usage: object, service_tier: object = None, names: Names = CONVERSE) -> Usage | None:
    """A report under ``names``; ``None`` where it lacks the counts of input or output.

    ``service_tier`` is the answer's object of that name.
    """
    source = mapping(usage)
    fresh, output = count(source, names.input), count(source, names.output)
    if fresh is None or output is None:
        return None
    short, long = _written(source, count(source, names.cache_write) or 0)
    return Usage(
        tier=served_tier(TIERS, mapping(service_tier).get("type")),
        input=fresh,
        cache_read=count(source, names.cache_read) or 0,
        cache_write=short,
        cache_write_1h=long,
        output=output,
        request=1,
    )


def _written(source: dict[str, Any], whole: int) -> tuple[int, int]:
    """Tokens written for 5 minutes and for an hour; what no entry explains was written for the default time."""
    listed = source.get("cacheDetails")
    entries = [mapping(item) for item in listed] if isinstance(listed, list) else []
    long = sum(count(entry, "inputTokens") or 0 for entry in entries if entry.get("ttl") == "1h")
    short = sum(count(entry, "inputTokens") or 0 for entry in entries if entry.get("ttl") != "1h")
    if entries and short + long > whole:
        anomalies["part_exceeds_whole"] += 1
    return max(short, whole - long), long
