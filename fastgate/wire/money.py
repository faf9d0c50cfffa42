"""Money: the most that is counted, and how people read it."""

from typing import Final

MOST_NANO: Final = 2**63 - 1
"""nano-USD that a counter holds and one request is booked at most: 9.2 billion USD; more is as good as that."""


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
