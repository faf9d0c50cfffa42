"""Counters and histograms over all requests since this process began, taken a batch at a time.

A batch has thousands of requests but few origins: columns are summed per origin first, and only those sums are given to
labels. The number of label sets is capped; what comes beyond the cap is counted under the label ``other`` and shown by
a counter of its own, so that sums stay right and memory bounded whatever clients send. Sums are integers.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

LABELS: Final = ("provider", "model", "key", "team", "status", "cache")
SUMMED: Final = (
    "cost_nano", "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens", "attempts", "saved_nano",
)  # fmt: skip
OTHER: Final = "other"
CACHE_EVENTS: Final = {
    "exact": ("exact", "hit"),
    "miss": ("exact", "miss"),
    "bypass": ("exact", "bypass"),
    "semantic": ("semantic", "hit"),
}
"""Tier and outcome, by what the label ``cache`` says; of a request without a cache it says nothing."""

_SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_FAST: Final = (0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0)
HISTOGRAMS: Final[Mapping[str, tuple[float, ...]]] = {
    "duration_us": _SLOW,
    "upstream_us": _SLOW,
    "ttft_us": _SLOW,
    "overhead_us": _FAST,
}
"""Upper bounds in seconds, inclusive, by column. Zeros of ``upstream_us`` and ``ttft_us`` mean: there was none."""
_BOUNDS: Final = {
    name: np.array([round(bound * 1e6) for bound in bounds], dtype=np.int64) for name, bounds in HISTOGRAMS.items()
}


@dataclass
class Series:
    """One label set of the counters; ``sums`` as in ``SUMMED``."""

    requests: int = 0
    sums: list[int] = field(default_factory=lambda: [0] * len(SUMMED))


@dataclass
class Histogram:
    """``counts`` per bucket (the last is beyond all bounds) and the sum of the values in microseconds."""

    counts: list[int]
    total_us: int = 0


@dataclass(frozen=True)
class Origin:
    """What the tally needs to know of an origin."""

    labels: tuple[str, ...]
    outcome: str
    error: str
    route: str
    unpriced: bool
    unlisted_tier: bool = False

    @property
    def cache(self) -> str:
        """What a cache did."""
        return self.labels[LABELS.index("cache")]


class Tally:
    """Thread-safe. ``most_sets`` caps the label sets of each family."""

    def __init__(self, most_sets: int = 1000) -> None:
        self.most_sets = most_sets
        self.collapsed = 0
        self.series: dict[tuple[str, ...], Series] = {}
        self.histograms: dict[str, dict[tuple[str, ...], Histogram]] = {name: {} for name in HISTOGRAMS}
        self.rejections: dict[tuple[str, ...], int] = {}
        self.attempts: dict[str, int] = {}
        self.cache_events: dict[tuple[str, str], int] = dict.fromkeys(CACHE_EVENTS.values(), 0)
        self.unpriced = 0
        self.unlisted_tiers = 0
        self.lock = threading.Lock()

    def add(self, columns: Mapping[str, Any], origins: Integers, describe: Callable[[int], Origin]) -> None:
        """Counts a batch: columns of the journal, the origin's number of each request, and what a number stands for."""
        numbers, inverse, counts = np.unique(origins, return_inverse=True, return_counts=True)
        found = [describe(int(number)) for number in numbers]
        order = np.argsort(inverse, kind="stable")
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        sums = [np.add.reduceat(_column(columns, name)[order], starts).tolist() for name in SUMMED]
        with self.lock:
            for position, origin in enumerate(found):
                self._count(origin, int(counts[position]), [column[position] for column in sums])
            self._observe(columns, inverse, found)

    def _count(self, origin: Origin, requests: int, sums: Sequence[int]) -> None:
        labels = origin.labels
        if labels not in self.series and len(self.series) >= self.most_sets:
            self.collapsed += requests
            labels = tuple(OTHER for _ in labels)
        series = self.series.setdefault(labels, Series())
        series.requests += requests
        series.sums = [a + b for a, b in zip(series.sums, sums, strict=True)]
        if origin.outcome == "rejected":
            self._bump(self.rejections, (origin.error, _level(origin.route)), requests)
        if attempts := sums[SUMMED.index("attempts")]:
            self.attempts[origin.outcome] = self.attempts.get(origin.outcome, 0) + attempts
        if event := CACHE_EVENTS.get(origin.cache):
            self.cache_events[event] += requests
        if origin.unpriced:
            self.unpriced += requests
        if origin.unlisted_tier:
            self.unlisted_tiers += requests

    def _bump(self, counters: dict[tuple[str, ...], int], labels: tuple[str, ...], by: int) -> None:
        if labels not in counters and len(counters) >= self.most_sets:
            labels = tuple(OTHER for _ in labels)
        counters[labels] = counters.get(labels, 0) + by

    def _observe(self, columns: Mapping[str, Any], inverse: Integers, found: Sequence[Origin]) -> None:
        pairs: dict[tuple[str, ...], int] = {}
        group_of = np.array([pairs.setdefault(origin.labels[:2], len(pairs)) for origin in found], dtype=np.int64)
        groups = group_of[inverse]
        for name, bounds in _BOUNDS.items():
            values = _column(columns, name)
            at, wide = groups, len(bounds) + 1
            if name in {"upstream_us", "ttft_us"} and not values.all():
                present = values > 0
                values, at = values[present], groups[present]
            cells = np.bincount(at * wide + np.searchsorted(bounds, values), minlength=len(pairs) * wide)
            totals = np.zeros(len(pairs), dtype=np.int64)
            np.add.at(totals, at, values)
            for labels, group in pairs.items():
                self._merge(name, labels, cells[group * wide : (group + 1) * wide].tolist(), int(totals[group]))

    def _merge(self, name: str, labels: tuple[str, ...], counts: Sequence[int], total_us: int) -> None:
        family = self.histograms[name]
        if labels not in family and len(family) >= self.most_sets:
            labels = tuple(OTHER for _ in labels)
        histogram = family.setdefault(labels, Histogram([0] * len(counts)))
        histogram.counts = [a + b for a, b in zip(histogram.counts, counts, strict=True)]
        histogram.total_us += total_us


def _column(columns: Mapping[str, Any], name: str) -> Integers:
    return np.frombuffer(columns[name], dtype=np.int64)


def _level(route: str) -> str:
    """The level of what refused a request, where its route says ``budget:<level>`` or ``limit:<level>``."""
    kind, _, level = route.partition(":")
    return level if kind in ("budget", "limit") else ""
