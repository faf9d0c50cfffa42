"""Money: the most that is counted, and how people read it."""

from fractions import Fraction
from typing import Final

from fastgate.wire.usage import US_PER_HOUR, Bucket

MOST_NANO: Final = 2**63 - 1
"""nano-USD that a counter holds and one request is booked at most: 9.2 billion USD; more is as good as that."""


_FEMTO_PERMILLE: Final = 10**9


def share_of(line: tuple[int, int, int, int]) -> int | Fraction:
    """What a line of ``PriceTable.lines`` comes to, exactly: femto-USD times 1000 (a factor of 1.1 is 1100)."""
    bucket, count, femto, permille = line
    amount = count * femto * permille
    return Fraction(amount, US_PER_HOUR) if bucket == Bucket.AUDIO_TIME else amount


def nano_of(femto_permille: int | Fraction) -> int:
    """Nano-USD of an exact sum in femto-USD times 1000, rounded once, half to even."""
    nano, rest = divmod(femto_permille, _FEMTO_PERMILLE)
    return nano + (2 * rest > _FEMTO_PERMILLE or (2 * rest == _FEMTO_PERMILLE and nano % 2 == 1))


def usd(nano: int) -> str:
    """Nano-USD as a decimal string of 9 places: ``1500000000`` is ``"1.500000000"``."""
    digits = str(nano).zfill(10) if nano >= 0 else f"-{-nano:010}"
    return f"{digits[:-9]}.{digits[-9:]}"


def nano(text: str) -> int:
    """The inverse of :func:`usd`. Raises ValueError for a text that it does not write."""
    whole, _, places = text.partition(".")
    amount = int(whole + places)
    if usd(amount) != text:
        raise ValueError(f"{text!r} is not an amount with 9 places")
    return amount
