"""Charts of an open loop, as SVG: outputs like the figures, never committed."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import pygal  # type: ignore[import-untyped]
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from pygal.style import CleanStyle  # type: ignore[import-untyped]

from loadtest.offered import REQUESTS, STREAMS, Found, Offered
from loadtest.openloop import DIGITS, LONGEST_NS
from loadtest.profiles import Profile

NINES: Final = (0, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999)
"""Percentiles that have a label; between them lines are straight."""


def draw(found: Found, profile: Profile, folder: Path, name: str) -> list[Path]:
    """One file for each chart that the profile is worth; their paths."""
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for what, chart in _charts(found, profile):
        paths.append(folder / f"load-{name}-{stamp}-{what}.svg")
        chart.render_to_file(str(paths[-1]))
        print(f"chart: {paths[-1]}", file=sys.stderr)
    return paths


def _charts(found: Found, profile: Profile) -> Iterable[tuple[str, Any]]:
    if profile.climbs:
        yield "p99-by-rate", _by_rate(found)
    elif found.subjects(REQUESTS):
        yield "latency", _by_percentile(found, REQUESTS, "latency", "latency of a request")
    if profile.shows_time:
        yield "time", _by_time(found, profile)
    if found.subjects(STREAMS):
        yield "first", _by_percentile(found, STREAMS, "first", "from due to the first chunk of a stream")
        yield "delay", _by_percentile(found, STREAMS, "delay", "delay of a chunk")


def _style(title: str, x: str) -> dict[str, Any]:
    """Times in microseconds, by powers of ten. There is no script, which a viewer would load from elsewhere."""
    return {
        "title": title, "x_title": x, "y_title": "µs", "logarithmic": True, "style": CleanStyle, "js": [],
        "width": 1000, "height": 560, "legend_at_bottom": True, "value_formatter": lambda value: f"{value:,.0f}",
    }  # fmt: skip


def _by_percentile(found: Found, kind: str, of: str, title: str) -> Any:
    """The rarer, the further to the right: each nine is as wide."""
    labels = [{"label": f"{share:g}", "value": _one_in(share)} for share in NINES]
    chart = pygal.XY(x_labels=labels, show_dots=False, **_style(title, "percentile"))
    for subject in found.subjects(kind):
        chart.add(subject, _curve(found.of(subject, kind), of))
    return chart


def _curve(runs: list[Offered], of: str) -> list[tuple[float, float]]:
    """All rounds together."""
    together = HdrHistogram(1, LONGEST_NS, DIGITS)
    for run in runs:
        together.decode_and_add(run.encoded[of])
    shares = [100 * (1 - 10 ** -(step / 20)) for step in range(20 * 5 + 1)]
    return [(_one_in(share), together.get_value_at_percentile(share) / 1000) for share in shares]


def _one_in(share: float) -> float:
    """How many requests there are for one that takes longer."""
    return 100 / (100 - share)


def _by_rate(found: Found) -> Any:
    rates = sorted({run.rate for run in found.runs})
    labels = [{"label": f"{rate:,.0f}", "value": rate} for rate in rates]
    chart = pygal.XY(x_labels=labels, **_style("p99 of a request", "requests a second"))
    for subject in found.subjects(REQUESTS):
        by_rate = [(rate, [run for run in found.of(subject, REQUESTS) if run.rate == rate]) for rate in rates]
        chart.add(subject, [(rate, median(run.times["latency"].p99 for run in runs)) for rate, runs in by_rate if runs])
    return chart


def _by_time(found: Found, profile: Profile) -> Any:
    title = f"p90 of each {profile.row_seconds:g} s, the first round"
    chart = pygal.Line(show_dots=False, show_minor_x_labels=False, **_style(title, "seconds"))
    for subject in found.subjects(REQUESTS):
        rows = found.of(subject, REQUESTS)[0].rows
        chart.x_labels = [f"{number * profile.row_seconds:g}" for number in range(len(rows))]
        chart.x_labels_major_every = max(1, len(rows) // 20)
        chart.add(subject, [row.p90 for row in rows])
    return chart
