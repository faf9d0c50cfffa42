"""Anthropic's usage, its refusals and its iterations, brought to charges in disjoint buckets."""

from collections.abc import Sequence
from typing import Any, Final

from fastgate._core.counts import anomalies, count, mapping, part
from fastgate._core.price import Usage
from fastgate.dialects.base import Charge, served_tier
from fastgate.wire.usage import Geo, Tier

TIERS: Final = {"standard": Tier.STANDARD, "priority": Tier.PRIORITY, "batch": Tier.BATCH}
GEOS: Final = {"us": Geo.US, "global": Geo.GLOBAL, "not_available": Geo.GLOBAL}
"""``inference_geo`` of an answer; older models have none."""
BILLED_REFUSALS: Final = ("bio", "frontier_llm", "reasoning_extraction")
"""Categories whose refusal is billed although nothing was put out."""

# Tuples, since what a provider sends need not be hashable.
_ATTEMPTS: Final = ("message", "fallback_message")
_ADVISOR: Final = "advisor_message"
_SEPARATE: Final = ("compaction", _ADVISOR)
_WEB_SEARCH: Final = 9
_REQUEST: Final = 10


def charges(
    usage: object, *, refused: bool = False, category: object = None, declined: Sequence[object] = ()
) -> list[Charge] | None:
    """What an answer costs, by model; ``None`` where ``usage`` has no token counts.

    ``refused``: it ended in a refusal before any output, for ``category``. ``declined``: the categories for which
    models handed over to a fallback, in order.
    """
    source = mapping(usage)
    if count(source, "output_tokens") is None or count(source, "input_tokens") is None:
        return None
    tier, geo = _tier(source), _geo(source)
    listed = source.get("iterations")
    iterations = [mapping(item) for item in listed] if isinstance(listed, list) else []
    free, top = refused and category not in BILLED_REFUSALS, _bucketed(source, tier, geo)
    if any(item.get("type") == "fallback_message" for item in iterations):
        found = _attempts(iterations, declined, tier, geo)
    else:
        found = [Charge(None, Usage(tier=tier, geo=geo) if free else top)]
        _check_sum(iterations, source)
    if not free:  # fees are per answer, and only the top level has them
        found[0].usage[_WEB_SEARCH] = top[_WEB_SEARCH]
        found[0].usage[_REQUEST] = 1
    # A compaction is the work of the model that was called, whatever it names; an advisor is a model of its own.
    found += [
        Charge(_model(item) if item.get("type") == _ADVISOR else None, _bucketed(item, tier, geo))
        for item in iterations
        if item.get("type") in _SEPARATE
    ]
    return found


def _attempts(iterations: list[dict[str, Any]], declined: Sequence[object], tier: Tier, geo: Geo) -> list[Charge]:
    """Each attempt at its own model. One that declined before any output is free, but for the billed categories."""
    found: list[Charge] = []
    hops = iter(declined)
    for item in iterations:
        if item.get("type") not in _ATTEMPTS:
            continue
        usage = _bucketed(item, tier, geo)
        handed_over = item.get("type") == "message" and not count(item, "output_tokens")
        if handed_over and next(hops, None) not in BILLED_REFUSALS:
            usage = Usage(tier=tier, geo=geo)
        found.append(Charge(_model(item), usage))
    return found


def _check_sum(iterations: list[dict[str, Any]], top: dict[str, Any]) -> None:
    """The steps of a loop over server tools break down the top level: never added, but counted where they differ."""
    steps = [item for item in iterations if item.get("type") == "message"]
    if steps and sum(count(item, "output_tokens") or 0 for item in steps) != count(top, "output_tokens"):
        anomalies["iterations_differ"] += 1


def _bucketed(source: dict[str, Any], tier: Tier, geo: Geo) -> Usage:
    short, long = _written(source)
    output = count(source, "output_tokens") or 0
    thinking = part(mapping(source.get("output_tokens_details")), "thinking_tokens", output)
    return Usage(
        tier=tier,
        geo=geo,
        input=count(source, "input_tokens") or 0,
        cache_read=count(source, "cache_read_input_tokens") or 0,
        cache_write=short,
        cache_write_1h=long,
        output=output - thinking,
        reasoning=thinking,
        web_search=count(mapping(source.get("server_tool_use")), "web_search_requests") or 0,
    )


def _written(source: dict[str, Any]) -> tuple[int, int]:
    """Tokens written to the cache for 5 minutes and for an hour.

    The total may have grown after the split was reported (a stream reports the split only at its start). The split
    inside the iterations is taken where it explains the total, else what is above the split was written for the
    shortest lifetime seen.
    """
    split = mapping(source.get("cache_creation"))
    short = count(split, "ephemeral_5m_input_tokens") or 0
    long = count(split, "ephemeral_1h_input_tokens") or 0
    whole = count(source, "cache_creation_input_tokens")
    if whole is None or whole == short + long:
        return short, long
    if whole < short + long:
        anomalies["part_exceeds_whole"] += 1
        return short, long
    inner = _written_by_steps(source)
    if sum(inner) == whole:
        return inner
    excess = whole - short - long
    return (short, long + excess) if long and not short else (short + excess, long)


def _written_by_steps(source: dict[str, Any]) -> tuple[int, int]:
    listed = source.get("iterations")
    steps = [mapping(item) for item in listed] if isinstance(listed, list) else []
    splits = [mapping(item.get("cache_creation")) for item in steps if item.get("type") not in _SEPARATE]
    return (
        sum(count(split, "ephemeral_5m_input_tokens") or 0 for split in splits),
        sum(count(split, "ephemeral_1h_input_tokens") or 0 for split in splits),
    )


def _model(item: dict[str, Any]) -> str | None:
    model = item.get("model")
    return model if isinstance(model, str) else None


def _tier(source: dict[str, Any]) -> Tier:
    if source.get("speed") == "fast":
        return Tier.FAST
    return served_tier(TIERS, source.get("service_tier"))


def _geo(source: dict[str, Any]) -> Geo:
    name = source.get("inference_geo")
    geo = GEOS.get(name) if isinstance(name, str) else Geo.GLOBAL
    if geo is None:
        anomalies["unknown_geo"] += 1
        return Geo.GLOBAL
    return geo
