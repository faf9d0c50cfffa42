"""A bill as it is compared, whatever form it came in, and what all forms have in common.

::

    BadBill     the file cannot be taken for what a provider bills; the message says where in it, and why
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

MOST_USD: Final = 9_000_000_000
MOST_PLACES: Final = 100
"""Decimal places of an amount: far more than those of any number that was ever a double."""
EXACT: Final = Context(prec=200, traps=[Inexact])
"""Room for sums of any number of such amounts; what would be rounded raises instead."""
KINDS: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens")
"""Of tokens, disjoint: what a usage report is compared in."""

T = TypeVar("T")


class BadBill(ValueError):
    """Not a bill that can be compared. The message is for whoever has the file, and names the place in it."""


class Unit(StrEnum):
    """What a bill counts."""

    USD = "usd"
    TOKENS = "tokens"


@dataclass(frozen=True)
class Charge:
    """An exact amount for a UTC day. ``model``: the bill's name for it; None where it does not say.

    ``kind``: of tokens, under the ledger's names (``KINDS``).
    """

    day: date
    model: str | None
    value: Decimal
    kind: str = ""


@dataclass(frozen=True)
class Bill:
    """``span``: the UTC days that it covers, from the first on and before the second; None: as many as there are.

    ``source``: what it is, for people. ``provider_type``: of the providers that it may be of. ``split``: how to have it
    name models, where it does not.
    """

    source: str
    provider_type: str
    split: str
    charges: Sequence[Charge]
    span: tuple[date, date] | None = None
    unit: Unit = Unit.USD

    def between(self, since: date | None, until: date | None) -> "Bill":
        """What it has for the days from ``since`` on and before ``until``. Raises BadBill where it is of other days."""
        kept = [each for each in self.charges if (since or each.day) <= each.day and (not until or each.day < until)]
        if self.span is None:
            return replace(self, charges=kept)
        first, end = self.span
        span = max(first, since or first), min(end, until or end)
        if span[0] >= span[1]:
            raise BadBill(f"it covers {first} until {end}, and none of the days that are asked for")
        return replace(self, charges=kept, span=span)


def shaped(document: Any, form: type[T], place: str) -> T:
    """A JSON value as a struct; fields that the struct does not name are let through. Raises BadBill with the path."""
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise BadBill(f"{place}{error}") from None


def amount(value: Decimal, place: str) -> Decimal:
    """An amount that can be summed and rounded exactly. Raises BadBill for any other."""
    if not value.is_finite():
        raise BadBill(f"{place}: {value} is no amount")
    if not value:  # whatever its exponent: OpenAI writes zero as 0E-6176
        return Decimal(0)
    places = len(value.as_tuple().digits) - 1 - value.adjusted()
    if abs(value) > MOST_USD or places > MOST_PLACES:
        raise BadBill(f"{place}: {str(value)[:60]} is beyond what fastgate counts")
    return value


def in_usd(currency: str, place: str) -> None:
    """Raises BadBill where an amount is in another currency."""
    if currency.upper() != "USD":
        raise BadBill(f"{place}: an amount in {currency[:20]!r}: the ledger is in USD")
