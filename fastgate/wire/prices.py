"""Prices on their way from the catalogue to the compiled table.

Every price is an integer of femto-USD (1e-15 USD) per unit, a unit being one token or, for fees, one request; an hour
of ``AUDIO_TIME``, one ``CHARACTER``. USD per million tokens times 1e9 is femto-USD per token.
"""

from typing import Final

import msgspec

from fastgate.wire.usage import Bucket, Tier

PRICED = len(Bucket)
"""How many buckets a band states a price for, in the order of ``Bucket``."""

UNSTATED: Final = -1
"""In place of a price: the model is not billed by this unit, and what is counted in it is unpriced."""


class PriceBand(msgspec.Struct, frozen=True, array_like=True):
    """What every bucket costs from one prompt size on; the whole request moves, output included.

    ``above`` is strict: the band is in force when the prompt total is greater. ``-1`` starts the base band; a threshold
    "at or above N" is written ``N - 1``.
    """

    above: int
    prices: tuple[int, ...]


class PriceRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of a price list: a served tier, when it holds, and its bands in ascending order.

    ``valid_from_ns`` is inclusive and ``valid_until_ns`` exclusive (unix nanoseconds). ``day_from_s`` and
    ``day_until_s`` limit it to a part of each UTC day, which may pass midnight. ``geo_permille`` multiplies token
    prices of requests that were pinned to a region (1000: no surcharge).
    """

    tier: Tier
    bands: tuple[PriceBand, ...]
    valid_from_ns: int | None = None
    valid_until_ns: int | None = None
    day_from_s: int | None = None
    day_until_s: int | None = None
    geo_permille: int = 1000


class ModelPrice(msgspec.Struct, frozen=True, array_like=True):
    """All rows of one model at one provider. Of several rows in force for a tier the last one wins."""

    provider: str
    model: str
    rows: tuple[PriceRow, ...]
    context_window: int | None = None
    max_output: int | None = None
    source: str = ""
    reasons: bool | None = None
    """Whether it reasons without being asked to, out of sight; None: not known."""

    @property
    def by_token(self) -> bool:
        """Whether tokens have a price; else the model is billed by the length of audio or text alone."""
        return all(band.prices[Bucket.INPUT] != UNSTATED for row in self.rows for band in row.bands)


class PriceOverride(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator states for one model (``providers.*.prices``): decimal strings in USD.

    It replaces the catalogue's prices of that model in all tiers; sizes that it leaves out are still the catalogue's.
    """

    input_usd_per_million: str
    output_usd_per_million: str
    cache_read_usd_per_million: str | None = None
    cache_read_audio_usd_per_million: str | None = None
    cache_read_image_usd_per_million: str | None = None
    cache_write_usd_per_million: str | None = None
    cache_write_1h_usd_per_million: str | None = None
    reasoning_usd_per_million: str | None = None
    audio_input_usd_per_million: str | None = None
    audio_output_usd_per_million: str | None = None
    image_input_usd_per_million: str | None = None
    web_search_usd_per_thousand: str | None = None
    file_search_usd_per_thousand: str | None = None
    audio_usd_per_hour: str | None = None
    character_usd_per_million: str | None = None
    request_usd: str | None = None
    context_window: int | None = None
    max_output: int | None = None
    source: str = "configuration"
