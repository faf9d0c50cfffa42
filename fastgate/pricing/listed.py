"""Rows from the offline data of the package ``genai-prices``.

A model there has dated or time-of-day prices, of which the last active one holds, and variants (a service tier, batch,
fast mode), dated as well, that override some of its prices. Each becomes rows of absolute prices here. Nothing of the
package is called once the table is compiled.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import zip_longest
from typing import Final

from genai_prices import data
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import ModelPrice as ListedPrice
from msgspec.structs import replace

from fastgate.pricing.amounts import PriceError, complete, femto
from fastgate.wire.prices import PriceBand, PriceRow
from fastgate.wire.usage import LENGTHS, Bucket, Tier

SOURCE: Final = f"genai-prices {version('genai-prices')}"

PROVIDER_IDS: Final = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gemini": "google",
    "groq": "groq",
    "meta": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "vertex": "google",
    "xai": "x-ai",
    "zai": "zai",
}
"""Provider types of the configuration, and what the package calls them."""

# Price key -> bucket, units that the price is for.
_KEYS: Final = {
    "input_mtok": (Bucket.INPUT, 10**6),
    "cache_read_mtok": (Bucket.CACHE_READ, 10**6),
    "cache_write_mtok": (Bucket.CACHE_WRITE, 10**6),
    "cache_write_1h_mtok": (Bucket.CACHE_WRITE_1H, 10**6),
    "output_mtok": (Bucket.OUTPUT, 10**6),
    "output_reasoning_mtok": (Bucket.REASONING, 10**6),
    "input_audio_mtok": (Bucket.AUDIO_INPUT, 10**6),
    "output_audio_mtok": (Bucket.AUDIO_OUTPUT, 10**6),
    "input_image_mtok": (Bucket.IMAGE_INPUT, 10**6),
    "cache_audio_read_mtok": (Bucket.CACHE_READ_AUDIO, 10**6),
    "cache_image_read_mtok": (Bucket.CACHE_READ_IMAGE, 10**6),
    "web_searches_kcount": (Bucket.WEB_SEARCH, 10**3),
    "requests_kcount": (Bucket.REQUEST, 10**3),
    "storage_searches_kcount": (Bucket.FILE_SEARCH, 10**3),
    "audio_hours": (Bucket.AUDIO_TIME, 1),
    "input_mchars": (Bucket.CHARACTER, 10**6),
}
_TIERS: Final = {
    ("service_tier", "flex"): Tier.FLEX,
    ("service_tier", "priority"): Tier.PRIORITY,  # "fast" there is a synonym and is served as priority
    ("processing", "batch"): Tier.BATCH,
    ("speed", "fast"): Tier.FAST,
}

Prices = Mapping[str, Decimal | TieredPrices]
Fill = Callable[[dict[Bucket, int]], None]


@cache
def providers() -> dict[str, Provider]:
    """The package's providers by its own ids."""
    return {provider.id: provider for provider in data.providers}


@lru_cache(256)
def provider_id(provider_type: str, base_url: str | None) -> str | None:
    """The package's id for a configured provider; a compatible one is known by its address."""
    if provider_type == "openai-compatible" and base_url:
        return next((p.id for p in data.providers if re.match(p.api_pattern, base_url)), None)
    return PROVIDER_IDS.get(provider_type)


def find(listed_provider: str, model: str) -> ModelInfo | None:
    """The package's entry for a model name as requests spell it."""
    return providers()[listed_provider].find_model(model, all_providers=list(data.providers))


def rows(model: ModelInfo, fill: Fill) -> tuple[PriceRow, ...]:
    """All rows of a model, standard tier first; () where our buckets cannot express its prices.

    ``fill`` may add prices (femto-USD per unit) that the package lacks before fallbacks apply.
    """
    standard = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    if not standard or not all(_expressible(_prices(condition.prices)) for condition in standard):
        return ()
    found = [
        _constrained(PriceRow(Tier.STANDARD, _bands(_prices(condition.prices), fill)), condition.constraint)
        for condition in standard
    ]
    for tier in (Tier.FLEX, Tier.PRIORITY, Tier.BATCH, Tier.FAST):
        variants = [v for v in model.price_variants or () if _tier_of(v) is tier]
        found += _variant_rows(tier, standard, variants, fill)
    return tuple(row for row in found if row is not None)


def _prices(listed: ListedPrice) -> Prices:
    prices = {key: value for key, value in listed.__dict__.items() if value is not None}
    if prices.get("input_audio_hours") == prices.get("audio_hours"):  # who only listens is listed under both
        prices.pop("input_audio_hours", None)
    return prices


def _expressible(prices: Prices) -> bool:
    """Tokens, or length alone: an answer that is billed by both reports what no parser of ours reads."""
    if not prices.keys() <= _KEYS.keys():
        return False
    lengths = sum(_KEYS[key][0] in LENGTHS for key in prices)
    return lengths == len(prices) if lengths else "input_mtok" in prices


def _tier_of(variant: PriceVariant) -> Tier | None:
    conditions = tuple(variant.when.items())
    return _TIERS.get(conditions[0]) if len(conditions) == 1 else None


def _variant_rows(
    tier: Tier, standard: Iterable[ConditionalPrice], variants: list[PriceVariant], fill: Fill
) -> Iterator[PriceRow | None]:
    """A tier's rows: each standard price with the overrides in force, from one date of change to the next."""
    starts: list[int] = sorted({_start_ns(variant) for variant in variants})
    for start, end in zip_longest(starts, starts[1:]):
        overrides: dict[str, Decimal | TieredPrices] = {}
        for variant in variants:
            if _start_ns(variant) <= start:
                for key, value in _prices(variant.prices).items():
                    overrides.setdefault(key, value)
        for condition in standard:
            prices = {**_prices(condition.prices), **overrides}
            if not _expressible(prices):
                raise PriceError(f"a {tier.name.lower()} variant with {sorted(overrides)}")
            row = PriceRow(tier, _bands(prices, fill), start or None, end)
            yield _constrained(row, condition.constraint)


def _start_ns(variant: PriceVariant) -> int:
    """0 for a variant that always held: nothing was requested before 1970."""
    if variant.constraint is None:
        return 0
    if isinstance(variant.constraint, StartDateConstraint):
        return _midnight_ns(variant.constraint.start_date)
    raise PriceError("a variant that depends on the time of day")


def _constrained(row: PriceRow, constraint: StartDateConstraint | TimeOfDateConstraint | None) -> PriceRow | None:
    """The row within a condition's dates or times of day, or None where the dates exclude each other."""
    if isinstance(constraint, TimeOfDateConstraint):
        start, end = _second_of_day(constraint.start_time), _second_of_day(constraint.end_time)
        return replace(row, day_from_s=start, day_until_s=end)
    if constraint is None:
        return row
    valid_from = max(row.valid_from_ns or 0, _midnight_ns(constraint.start_date))
    if row.valid_until_ns is not None and valid_from >= row.valid_until_ns:
        return None
    return replace(row, valid_from_ns=valid_from)


def _bands(prices: Prices, fill: Fill) -> tuple[PriceBand, ...]:
    """The base band, and one for each threshold that any of the prices has."""
    thresholds = {tier.start for value in prices.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    return tuple(_band(prices, above, fill) for above in (-1, *sorted(thresholds)))


def _band(prices: Prices, above: int, fill: Fill) -> PriceBand:
    known: dict[Bucket, int] = {}
    for key, value in prices.items():
        bucket, per = _KEYS[key]
        known[bucket] = femto(_price_above(value, above), per, key)
    fill(known)
    return PriceBand(above, complete(known))


def _price_above(value: Decimal | TieredPrices, above: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return next((tier.price for tier in reversed(value.tiers) if tier.start <= above), value.base)


def _midnight_ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9


def _second_of_day(moment: time) -> int:
    """UTC second of the day; the package takes times without a zone as UTC."""
    moment = datetime.combine(date(1970, 1, 2), moment, tzinfo=moment.tzinfo or UTC).astimezone(UTC).timetz()
    if moment.microsecond:
        raise PriceError(f"a time of day between two seconds: {moment}")
    return moment.hour * 3600 + moment.minute * 60 + moment.second
