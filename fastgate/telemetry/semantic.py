"""The semantic cache's metrics, from what its process reports of itself."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from fastgate.wire.semantic import Reported
from fastgate.wire.semantic_entries import TenantReport

MOST_SCOPES: Final = 100
"""With metrics of their own: those that asked most."""
_DECIDED: Final = ("serve", "explore", "audit", "shadow", "miss")
_OUTCOMES: Final = (*_DECIDED, "busy", "late", "late embedded")
_JUDGED: Final = ("same", "different", "late", "failed", "unreadable", "full", "too long", "fault")
_BOUNDS: Final = ("estimate", "lower", "upper")
_NANO: Final = 1_000_000_000


def semantic_metrics(report: Reported | None) -> Iterator[Metric]:
    """All of them; of a process that does not report, that alone."""
    yield GaugeMetricFamily(
        "fastgate_semantic_up", "Whether the semantic process answers", value=int(report is not None)
    )
    if report is None:
        return
    questions = CounterMetricFamily(
        "fastgate_semantic_questions", "Questions that the semantic process was asked", labels=("outcome",)
    )
    for outcome in _OUTCOMES:
        questions.add_metric((outcome.replace(" ", "_"),), report.counts.get(outcome, 0))
    yield questions
    yield GaugeMetricFamily("fastgate_semantic_entries", "Answers that are kept by their meaning", value=report.entries)
    yield CounterMetricFamily(
        "fastgate_semantic_compared", "Answers of providers that were compared with kept ones",
        value=report.counts.get("compared", 0),
    )  # fmt: skip
    yield from _judged(report)
    yield from _errors(report)
    yield from _savings(report)
    yield from _scopes(report.tenants)


def _judged(report: Reported) -> Iterator[Metric]:
    judged = CounterMetricFamily(
        "fastgate_semantic_judged", "Pairs of answers that were a judge's; but for same, all count as different",
        labels=("outcome",),
    )  # fmt: skip
    for outcome in _JUDGED:
        judged.add_metric((outcome.replace(" ", "_"),), report.counts.get(f"judge {outcome}", 0))
    yield judged


def _errors(report: Reported) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "fastgate_semantic_hits_compared", "Answers that would have been given, and were compared",
        value=report.compared,
    )  # fmt: skip
    yield CounterMetricFamily("fastgate_semantic_hits_wrong", "Those of them that were wrong", value=report.wrong)
    error = GaugeMetricFamily(
        "fastgate_semantic_error",
        "Share of hits, and of all questions, that was or would have been answered wrongly, with its 95 % interval",
        labels=("of", "bound"),
    )
    for of, shares in (("hits", report.error_per_hit), ("questions", report.error_per_request)):
        for bound, value in zip(_BOUNDS, shares, strict=True):
            error.add_metric((of, bound), value)
    yield error
    yield GaugeMetricFamily(
        "fastgate_semantic_max_error", "Share of all questions that may be answered wrongly", value=report.max_error
    )


def _savings(report: Reported) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "fastgate_semantic_saved_usd", "What was saved by it", value=report.saved_nano / _NANO
    )  # fmt: skip
    yield CounterMetricFamily(
        "fastgate_semantic_shadow_saved_usd", "What it would have saved in shadow mode",
        value=report.would_save_nano / _NANO,
    )  # fmt: skip


def _scopes(reports: Iterable[TenantReport]) -> Iterator[Metric]:
    """Of who shares answers. Of several of one name, one after the other, it is who asked most."""
    by_name: dict[str, TenantReport] = {}
    for each in reports:
        if each.sharers:
            by_name.setdefault(each.sharers, each)
    asked = CounterMetricFamily(
        "fastgate_semantic_scope_questions", "Questions of who shares answers", labels=("scope", "outcome")
    )
    error = GaugeMetricFamily(
        "fastgate_semantic_scope_error",
        "Share of their questions that was or would have been answered wrongly, with its 95 % interval",
        labels=("scope", "bound"),
    )
    for name, each in by_name.items():
        for outcome in _DECIDED:
            asked.add_metric((name, outcome), each.counts.get(outcome, 0))
        for bound, value in zip(_BOUNDS, each.error_per_request, strict=True):
            error.add_metric((name, bound), value)
    yield asked
    yield error
