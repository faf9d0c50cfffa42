"""Numbers as they are written: which of two ways to write one surely mean the same."""

import re
from decimal import Decimal, InvalidOperation

GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?")
"""``1,000,000``, and ``10,00,000`` as in India."""
LONGEST = 20
"""Digits of a number that a word of scale is multiplied into."""


def canonical(digits: str) -> str:
    """``1,000`` and ``1000`` are one number, ``.5`` and ``0.5``, too. All else stays as it is written: ``3.10`` may be
    a version, ``1,5`` may be one and a half, ``007`` a name."""
    if digits.startswith("-"):
        return f"-{canonical(digits[1:])}"
    plain = digits.rstrip(".,")
    if GROUPED.fullmatch(plain):
        plain = plain.replace(",", "")
    return f"0{plain}" if plain.startswith(".") else plain


def scaled(value: str, factor: int) -> str:
    """``1.5`` million is ``1500000``; what is no plain number keeps its factor beside it."""
    try:
        product = Decimal(value) * factor if len(value) <= LONGEST else None
    except InvalidOperation:
        product = None
    if product is None:
        return f"{value}*{factor}"
    written = format(product, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written
