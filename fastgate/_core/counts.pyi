"""Counts in what providers report, which is read of every answer: bounded, and never negative."""

from collections import Counter
from typing import Any

MAX_COUNT: int
"""A count beyond this is not believed: no model reads or writes as much in one request."""

anomalies: Counter[str]
"""Usage reports of this process that contradict themselves, by what was wrong; they were corrected, not dropped."""

def mapping(value: object) -> dict[str, Any]:
    """``value`` where it is an object, else nothing: providers send null, or leave details out."""

def count(source: dict[str, Any], name: str) -> int | None:
    """A token count, clamped at zero; ``None`` where it is absent, null, or not to be believed."""

def part(source: dict[str, Any], name: str, whole: int) -> int:
    """A sub-count, zero where absent, and never more than the ``whole`` that it is part of."""
