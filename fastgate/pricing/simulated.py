"""Prices of the simulator's models, as any provider's price page would state them.

The simulator prices its own bill from tables of its own; that both agree is what the tests of money are about.
"""

from decimal import Decimal
from typing import Final

from fastgate.pricing.amounts import complete, femto, scaled
from fastgate.wire.prices import ModelPrice, PriceBand, PriceRow
from fastgate.wire.usage import Bucket, Tier

_COLUMNS: Final = (
    Bucket.INPUT,
    Bucket.CACHE_READ,
    Bucket.CACHE_WRITE,
    Bucket.CACHE_WRITE_1H,
    Bucket.OUTPUT,
    Bucket.REASONING,
    Bucket.AUDIO_INPUT,
    Bucket.AUDIO_OUTPUT,
)

# USD per million tokens from a prompt total above the first number on.
_BANDS: Final = {
    "sim-small": ((-1, "0.15 0.075 0.1875 0.30 0.60 0.60 0.15 0.60"),),
    "sim-large": (
        (-1, "2.50 0.25 3.125 5.00 10.00 10.00 40.00 80.00"),
        (200_000, "5.00 0.50 6.25 10.00 15.00 15.00 40.00 80.00"),
    ),
    "sim-reasoning": ((-1, "1.10 0.275 1.375 2.20 4.40 3.30 1.10 4.40"),),
    "sim-cached": ((-1, "1.00 0.10 1.25 2.00 5.00 5.00 1.00 5.00"),),
    "sim-embedding": ((-1, "0.02 0.02 0.02 0.02 0 0 0.02 0"),),
}
MODELS: Final = tuple(_BANDS)
_WEB_SEARCH_USD: Final = "0.01"
_CONTEXT_WINDOW: Final = 1_000_000
_MAX_OUTPUT: Final = 131_072

# Only the large one has tiers and a region.
_TIERS: Final = {
    "sim-large": {Tier.FLEX: (1, 2), Tier.PRIORITY: (2, 1), Tier.BATCH: (1, 2), Tier.FAST: (2, 1)},
}
_REASONS: Final = frozenset({"sim-reasoning"})
_GEO_PERMILLE: Final = {"sim-large": 1100}


def find(model: str) -> ModelPrice | None:
    """A simulated model by its exact name."""
    if model not in _BANDS:
        return None
    bands = tuple(PriceBand(above, _prices(columns)) for above, columns in _BANDS[model])
    standard = PriceRow(Tier.STANDARD, bands, geo_permille=_GEO_PERMILLE.get(model, 1000))
    tiers = _TIERS.get(model, {})
    rows = (standard, *(scaled(standard, tier, *fraction) for tier, fraction in tiers.items()))
    return ModelPrice("sim", model, rows, _CONTEXT_WINDOW, _MAX_OUTPUT, "simulator", model in _REASONS or None)


def _prices(columns: str) -> tuple[int, ...]:
    known = {Bucket.WEB_SEARCH: femto(Decimal(_WEB_SEARCH_USD), 1, "web search")}
    for bucket, usd in zip(_COLUMNS, columns.split(), strict=True):
        known[bucket] = femto(Decimal(usd), 10**6, bucket.name.lower())
    return complete(known)
