"""How a request's cost came about: a line per bucket of usage, which sum to the total exactly."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any, Final

from fastgate._core.price import Usage
from fastgate.control.configuration import Published
from fastgate.wire.money import nano_of, share_of, usd
from fastgate.wire.snapshot import NO_PRICE
from fastgate.wire.usage import Bucket, Geo, Tier

_TOKENS: Final = {
    "input_tokens": Bucket.INPUT,
    "cache_write_tokens": Bucket.CACHE_WRITE,
    "cache_write_1h_tokens": Bucket.CACHE_WRITE_1H,
    "reasoning_tokens": Bucket.REASONING,
    "audio_input_tokens": Bucket.AUDIO_INPUT,
    "audio_output_tokens": Bucket.AUDIO_OUTPUT,
    "image_input_tokens": Bucket.IMAGE_INPUT,
    "web_searches": Bucket.WEB_SEARCH,
    "cache_read_audio_tokens": Bucket.CACHE_READ_AUDIO,
    "cache_read_image_tokens": Bucket.CACHE_READ_IMAGE,
    "file_searches": Bucket.FILE_SEARCH,
    "audio_us": Bucket.AUDIO_TIME,
    "characters": Bucket.CHARACTER,
}
"""Output is what remains of ``output_tokens`` without reasoning and audio, what was read from the cache likewise."""

_FEMTO_PER_NANO: Final = 1_000_000
_PERMILLE: Final = 1000


def cost_lines(row: Mapping[str, Any], published: Published) -> list[dict[str, Any]] | None:
    """Lines at the prices in force, where they give the cost that was booked; None where they do not.

    ``audio_time`` is counted in microseconds and has a price by the hour; the prices of others are those of a million.
    They do not when prices changed since, and for amounts that were not counted (``unsettled``: the hold was charged).
    """
    price = published.price_of(row["provider"], row["upstream_model"])
    if price == NO_PRICE:
        return [] if row["cost_nano"] == 0 else None
    # Where a request was served, and whether it bore a fixed fee, is not logged by itself: the amount tells.
    for geo, fees in product(Geo, (0, 1)):
        usage = usage_of(row, geo)
        if usage is None:
            return None
        usage[Bucket.REQUEST] = fees
        try:
            lines = published.prices.lines(price, usage, row["started_us"] * 1000)
        except KeyError:  # the model is billed by another unit since
            return None
        amounts = shares([share_of(line) for line in lines], row["cost_nano"])
        if amounts is not None:
            return [_line(line, amount) for line, amount in zip(lines, amounts, strict=True)]
    return None


def usage_of(row: Mapping[str, Any], geo: int) -> Usage | None:
    """The usage that a row of the ledger counts; None for a tier of another version."""
    if row["tier"].upper() not in Tier.__members__:
        return None
    usage = Usage(tier=Tier[row["tier"].upper()], geo=geo)
    for name, bucket in _TOKENS.items():
        usage[bucket] = row[name]
    media = row["cache_read_audio_tokens"] + row["cache_read_image_tokens"]
    usage[Bucket.CACHE_READ] = max(0, row["cache_read_tokens"] - media)
    usage[Bucket.OUTPUT] = max(0, row["output_tokens"] - row["reasoning_tokens"] - row["audio_output_tokens"])
    return usage


def shares(parts: Sequence[int | Fraction], total_nano: int) -> list[int] | None:
    """Nano-USD of each part (femto-USD times 1000), such that they sum to the total; None where the parts are not it.

    The total is the sum rounded once, half to even. What rounding down each part leaves goes to the largest rests.
    """
    unit = _FEMTO_PER_NANO * _PERMILLE
    rounded = nano_of(sum(parts))
    if rounded != total_nano:
        return None
    amounts = [int(part // unit) for part in parts]
    by_rest = sorted(range(len(parts)), key=lambda i: (-(parts[i] % unit), i))
    for position in by_rest[: rounded - sum(amounts)]:
        amounts[position] += 1
    return amounts


def _line(line: tuple[int, int, int, int], amount: int) -> dict[str, Any]:
    bucket, count, femto, permille = line
    # Femto-USD per unit are nano-USD per million units.
    hours = bucket == Bucket.AUDIO_TIME
    price = {"usd_per_hour": usd(femto // _FEMTO_PER_NANO)} if hours else {"usd_per_million": usd(femto)}
    return {
        "bucket": Bucket(bucket).name.lower(),
        "count": count,
        **price,
        "multiplier": f"{permille // _PERMILLE}.{permille % _PERMILLE:03d}",
        "cost_usd": usd(amount),
    }
