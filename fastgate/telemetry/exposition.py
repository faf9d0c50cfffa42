"""The text that Prometheus scrapes. Amounts become floating point here, at the very edge, and nowhere before."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from fastgate.telemetry.families import counter, gauge
from fastgate.telemetry.hosts import HostsGauges, hosts_metrics
from fastgate.telemetry.tally import HISTOGRAMS, LABELS, SUMMED, Tally

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MOST_BUDGETS: Final = 1000
_NANO: Final = 1_000_000_000

TOKEN_TYPES: Final = {
    "input": ("input_tokens",),
    "output": ("output_tokens",),
    "cache_read": ("cache_read_tokens",),
    "cache_write": ("cache_write_tokens", "cache_write_1h_tokens"),
    "reasoning": ("reasoning_tokens",),
}
"""Values of the label ``type``; reasoning is a part of output."""

_HISTOGRAM_NAMES: Final = {
    "duration_us": ("fastgate_request_seconds", "From the first byte of a request to the last of its answer"),
    "upstream_us": ("fastgate_upstream_seconds", "Time that providers took"),
    "ttft_us": ("fastgate_ttft_seconds", "Until the provider's first byte"),
    "overhead_us": ("fastgate_overhead_seconds", "Time in the gateway, the provider's excluded"),
}


@dataclass(frozen=True)
class BudgetLine:
    """A budget as a scrape sees it; amounts in nano-USD."""

    labels: tuple[str, str, str]
    """level, owner, id"""
    limit: int
    spent: int
    held: int


@dataclass(frozen=True)
class Gauges:
    """What stands in the arena and the journals at the moment of a scrape."""

    budgets: Iterable[BudgetLine] = ()
    alerts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Thresholds told, by level and percent."""
    overruns: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Requests that cost more than was held for them, and by how much (nano-USD), by level."""
    budgets_left_out: int = 0
    open_holds: int = 0
    journal_lag_events: int = 0
    journal_dropped: int = 0
    journal_dropped_nano: int = 0
    strangers: int = 0
    usage_anomalies: int = 0
    shared_cache: Mapping[str, int] = field(default_factory=dict)
    """What the tier of the exact cache that hosts share did, by outcome; empty: there is none."""
    ledger_up: bool = True
    counted: bool = True
    semantic: Iterable[Metric] = ()
    """The semantic cache's own; none where there is no such cache."""
    workers: int = 0
    hosts: HostsGauges = field(default_factory=HostsGauges)
    """Of what hosts share."""


class Exposition(Collector):
    """Renders a tally and the gauges that ``look`` returns."""

    def __init__(self, tally: Tally, look: Callable[[], Gauges]) -> None:
        self._tally = tally
        self._look = look
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Everything, in the text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All families at this moment."""
        gauges = self._look()
        with self._tally.lock:
            families = [*self._counters(gauges), *self._histograms()]
        return [*families, *_gauges(gauges), *gauges.semantic]

    def _counters(self, gauges: Gauges) -> Iterator[Metric]:
        tally = self._tally
        requests = CounterMetricFamily("fastgate_requests", "Requests", labels=LABELS)
        tokens = CounterMetricFamily("fastgate_tokens", "Tokens", labels=(*LABELS, "type"))
        cost = CounterMetricFamily("fastgate_cost_usd", "Cost", labels=LABELS)
        saved = CounterMetricFamily("fastgate_saved_usd", "What answers out of a cache would have cost", labels=LABELS)
        for labels, series in tally.series.items():
            sums = dict(zip(SUMMED, series.sums, strict=True))
            requests.add_metric(labels, series.requests)
            cost.add_metric(labels, sums["cost_nano"] / _NANO)
            if sums["saved_nano"]:  # few label sets ever save anything
                saved.add_metric(labels, sums["saved_nano"] / _NANO)
            for kind, columns in TOKEN_TYPES.items():
                tokens.add_metric((*labels, kind), sum(sums[column] for column in columns))
        yield from (requests, tokens, cost, saved, _cache_events(tally.cache_events, gauges.shared_cache))
        rejections = CounterMetricFamily("fastgate_rejections", "Requests refused", labels=("reason", "level"))
        for reason, count in tally.rejections.items():
            rejections.add_metric(reason, count)
        rejections.add_metric(("invalid_api_key", ""), gauges.strangers)
        yield rejections
        attempts = CounterMetricFamily("fastgate_upstream_attempts", "Attempts at providers", labels=("outcome",))
        for outcome, count in tally.attempts.items():
            attempts.add_metric((outcome,), count)
        yield attempts
        alerts = CounterMetricFamily(
            "fastgate_budget_alerts", "Thresholds of budgets that were reached", labels=("level", "percent")
        )
        for reached, count in gauges.alerts.items():
            alerts.add_metric(reached, count)
        yield alerts
        yield from _overruns(gauges.overruns)
        yield counter(
            "fastgate_unpriced",
            "Requests for models without a price, refused for that or answered; what the provider refused is free",
            tally.unpriced,
        )
        yield counter(
            "fastgate_unlisted_tiers",
            "Requests served in a tier whose price is not listed; charged as standard",
            tally.unlisted_tiers,
        )
        yield counter(
            "fastgate_usage_anomalies", "Reports of usage that contradict themselves; corrected", gauges.usage_anomalies
        )
        yield counter("fastgate_metrics_collapsed", "Requests counted under the label other", tally.collapsed)
        yield gauge("fastgate_metrics_label_sets", "Label sets in use", len(tally.series))
        yield gauge("fastgate_metrics_label_sets_limit", "Label sets that there may be", tally.most_sets)

    def _histograms(self) -> Iterator[Metric]:
        for column, (name, text) in _HISTOGRAM_NAMES.items():
            family = HistogramMetricFamily(name, text, labels=LABELS[:2])
            bounds = [*(repr(bound) for bound in HISTOGRAMS[column]), "+Inf"]
            for labels, histogram in self._tally.histograms[column].items():
                running, buckets = 0, []
                for bound, count in zip(bounds, histogram.counts, strict=True):
                    running += count
                    buckets.append((bound, running))
                family.add_metric(labels, buckets, histogram.total_us / 1e6)
            yield family


def _cache_events(counts: Mapping[tuple[str, str], int], shared: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        "fastgate_cache_events",
        "Requests that a cache answered, could not answer, or was not asked for; look-ups and writes of what is shared",
        labels=("tier", "outcome"),
    )
    for event, count in counts.items():
        family.add_metric(event, count)
    for outcome, count in shared.items():
        family.add_metric(("shared", outcome), count)
    return family


def _overruns(by_level: Mapping[str, tuple[int, int]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "fastgate_overruns",
        "Requests that cost more than was held for them, at each level with a budget",
        labels=("level",),
    )
    usd = CounterMetricFamily("fastgate_overrun_usd", "By how much, likewise", labels=("level",))
    for level, (count, nano) in by_level.items():
        requests.add_metric((level,), count)
        usd.add_metric((level,), nano / _NANO)
    yield from (requests, usd)


def _gauges(gauges: Gauges) -> Iterator[Metric]:
    labels = ("level", "owner", "budget")
    limit = GaugeMetricFamily("fastgate_budget_limit_usd", "Limit of a budget", labels=labels)
    spent = GaugeMetricFamily("fastgate_budget_spent_usd", "Spent in the window", labels=labels)
    held = GaugeMetricFamily("fastgate_budget_held_usd", "Held by open requests", labels=labels)
    for budget in gauges.budgets:
        limit.add_metric(budget.labels, budget.limit / _NANO)
        spent.add_metric(budget.labels, budget.spent / _NANO)
        held.add_metric(budget.labels, budget.held / _NANO)
    yield from (limit, spent, held)
    yield gauge("fastgate_budgets_left_out", "Budgets beyond those shown here", gauges.budgets_left_out)
    yield gauge("fastgate_open_holds", "Requests that hold money", gauges.open_holds)
    yield gauge("fastgate_journal_lag_events", "Events not in the ledger yet, estimated", gauges.journal_lag_events)
    yield counter(
        "fastgate_journal_dropped",
        "Requests without a row of their own in the ledger: summed for want of space, or damaged",
        gauges.journal_dropped,
    )
    yield counter(
        "fastgate_journal_dropped_usd",
        "What those that were summed cost; it is in the sums",
        gauges.journal_dropped_nano / _NANO,
    )
    yield gauge("fastgate_ledger_up", "Whether the ledger can be written", int(gauges.ledger_up))
    yield gauge("fastgate_counters_known", "Whether what was spent is known", int(gauges.counted))
    yield gauge("fastgate_workers", "Workers that live", gauges.workers)
    yield from hosts_metrics(gauges.hosts)
