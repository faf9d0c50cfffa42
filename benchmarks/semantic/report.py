"""The table, and its intervals."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks.semantic.stream import Outcome

STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 19: 2.093}
"""Quantiles of Student's distribution, two-sided 95 %, by degrees of freedom."""
Z = 1.96


class Interval(NamedTuple):
    """An estimate with its 95 % bounds."""

    mean: float
    low: float
    high: float


def wilson(count: float, of: float) -> Interval:
    """A share with Wilson's 95 % bounds."""
    if of <= 0:
        return Interval(0.0, 0.0, 1.0)
    share = count / of
    middle = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of)) / (1 + Z * Z / of)
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0))


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of several orders with Student's 95 % bounds: what the order of the questions makes."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return Interval(mean, mean, mean)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    freedom = len(values) - 1
    quantile = STUDENT.get(freedom, STUDENT[max(key for key in STUDENT if key <= freedom)])
    half = quantile * math.sqrt(variance / len(values))
    return Interval(mean, mean - half, mean + half)


class Row(NamedTuple):
    """One cache over all seeds. ``sampled``: Wilson's bounds as if the mean were one stream's, so that of questions,
    not orders."""

    name: str
    hits: float
    errors: Interval
    sampled: Interval
    per_hit: Interval
    explored: float


def row(name: str, outcomes: Sequence[Outcome]) -> Row:
    """Means over the seeds. Seeds share their questions, so they are not counted together as more questions."""
    requests = outcomes[0].requests
    mean_errors = sum(outcome.errors for outcome in outcomes) / len(outcomes)
    mean_hits = sum(outcome.hits for outcome in outcomes) / len(outcomes)
    return Row(
        name,
        mean_hits / requests,
        over_seeds([outcome.errors / requests for outcome in outcomes]),
        wilson(mean_errors, requests),
        wilson(mean_errors, mean_hits),
        sum(outcome.explored for outcome in outcomes) / len(outcomes) / requests,
    )


def static_hits(rows: Sequence[Row], errors: float) -> float | None:
    """Hits of a static threshold with this measured error: between two thresholds in proportion. None beyond them
    all."""
    known = sorted((item.errors.mean, item.hits) for item in rows)
    for (low, fewer), (high, more) in pairwise(known):
        if low <= errors <= high:
            return fewer + (more - fewer) * ((errors - low) / (high - low) if high > low else 1.0)
    return None


def percent(value: float) -> str:
    """A share as people read it."""
    return f"{100 * value:.2f}"


def line(item: Row, ratio: str = "") -> str:
    """A row of the table, in Markdown."""
    bounds = f"{percent(item.errors.mean)} | {percent(item.errors.low)}-{percent(item.errors.high)}"
    sampled = f"{percent(item.sampled.low)}-{percent(item.sampled.high)}"
    per_hit = f"{percent(item.per_hit.mean)} ({percent(item.per_hit.low)}-{percent(item.per_hit.high)})"
    hits, explored = percent(item.hits), percent(item.explored)
    return f"| {item.name} | {hits} | {bounds} | {sampled} | {per_hit} | {explored} | {ratio} |"


HEAD = (
    "| cache | hits % | errors % | over seeds | of questions | errors % of hits | explored % | to static |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|"
)
