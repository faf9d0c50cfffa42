"""From USD as price lists and operators write them to integers of femto-USD, exactly or not at all."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from fastgate.wire.prices import UNSTATED, PriceBand, PriceRow
from fastgate.wire.usage import FEES, LENGTHS, Bucket, Tier

FEMTO_PER_USD: Final = 10**15
MAX_FEMTO: Final = 2**63 - 1
_DECIMAL: Final = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)


class PriceError(ValueError):
    """A price that cannot be stored exactly, or a row that contradicts itself."""


def parse_usd(text: str, what: str) -> Decimal:
    """A plain decimal such as ``"0.15"``: no sign, no exponent. ``what`` names it in the error."""
    if not _DECIMAL.fullmatch(text):
        raise PriceError(f"{what}: {text!r} is not a plain decimal amount of USD such as '0.15'")
    return Decimal(text)


def femto(usd: Decimal, per: int, what: str) -> int:
    """``usd`` per ``per`` units as femto-USD per unit. Raises PriceError where that is not an integer within int64."""
    numerator, denominator = usd.as_integer_ratio()
    value, rest = divmod(numerator * FEMTO_PER_USD, denominator * per)
    if rest:
        raise PriceError(f"{what}: {usd} USD per {per} is not a whole number of femto-USD each")
    if not 0 <= value <= MAX_FEMTO:
        raise PriceError(f"{what}: {usd} USD per {per} is out of range")
    return value


def complete(known: Mapping[Bucket, int]) -> tuple[int, ...]:
    """Prices of all buckets, in their order, from those that a price list states (femto-USD per unit).

    What a list leaves out is billed as what it is a kind of: prompt tokens that were read from or written to a cache,
    or are images or audio, at the input price; one-hour writes at the price of default writes; audio and images from a
    cache as text from it, else as fresh ones; reasoning and audio output at the output price. Output without a price
    (embeddings) costs the audio output price, else the input price. Fees are zero. Nothing stands in for hours of audio
    and characters, nor for tokens where a list prices only those: they are ``UNSTATED``. Raises PriceError without an
    input price for other tokens.
    """
    if Bucket.INPUT not in known and (known.keys() - FEES - LENGTHS or not known.keys() & LENGTHS):
        raise PriceError("no price for input tokens")
    fresh = known.get(Bucket.INPUT, UNSTATED)
    write = known.get(Bucket.CACHE_WRITE, fresh)
    output = known.get(Bucket.OUTPUT, known.get(Bucket.AUDIO_OUTPUT, fresh))
    fallback = {
        Bucket.INPUT: fresh,
        Bucket.CACHE_READ: fresh,
        Bucket.CACHE_WRITE: write,
        Bucket.CACHE_WRITE_1H: write,
        Bucket.OUTPUT: output,
        Bucket.REASONING: output,
        Bucket.AUDIO_INPUT: fresh,
        Bucket.AUDIO_OUTPUT: output,
        Bucket.IMAGE_INPUT: fresh,
        Bucket.WEB_SEARCH: 0,
        Bucket.REQUEST: 0,
        Bucket.CACHE_READ_AUDIO: known.get(Bucket.CACHE_READ, known.get(Bucket.AUDIO_INPUT, fresh)),
        Bucket.CACHE_READ_IMAGE: known.get(Bucket.CACHE_READ, known.get(Bucket.IMAGE_INPUT, fresh)),
        Bucket.FILE_SEARCH: 0,
        Bucket.AUDIO_TIME: UNSTATED,
        Bucket.CHARACTER: UNSTATED,
    }
    return tuple(known.get(bucket, fallback[bucket]) for bucket in Bucket)


def scaled(row: PriceRow, tier: Tier, numerator: int, denominator: int = 1) -> PriceRow:
    """A row as that of another tier: token prices times a fraction (PriceError if not whole), fees as they are."""
    bands = tuple(PriceBand(band.above, _scaled(band.prices, numerator, denominator)) for band in row.bands)
    return replace(row, tier=tier, bands=bands)


def _scaled(prices: tuple[int, ...], numerator: int, denominator: int) -> tuple[int, ...]:
    kept = {bucket for bucket in Bucket if bucket in FEES or prices[bucket] == UNSTATED}
    if any(prices[bucket] * numerator % denominator for bucket in Bucket if bucket not in kept):
        raise PriceError(f"{numerator}/{denominator} of a price is not a whole number of femto-USD")
    return tuple(
        price if bucket in kept else price * numerator // denominator
        for bucket, price in zip(Bucket, prices, strict=True)
    )
