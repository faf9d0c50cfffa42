"""The semantic cache's metrics, from what its process reports of itself."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from fastgate.wire.semantic import Reported

_OUTCOMES: Final = ("serve", "explore", "shadow", "miss", "busy", "late", "late embedded")
_JUDGED: Final = ("same", "different", "late", "failed", "unreadable", "full", "too long", "fault")
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
    judged = CounterMetricFamily(
        "fastgate_semantic_judged", "Pairs of answers that were a judge's; but for same, all count as different",
        labels=("outcome",),
    )  # fmt: skip
    for outcome in _JUDGED:
        judged.add_metric((outcome.replace(" ", "_"),), report.counts.get(f"judge {outcome}", 0))
    yield judged
    yield CounterMetricFamily(
        "fastgate_semantic_shadow_compared", "Answers that would have been given in shadow mode, and were compared",
        value=report.compared,
    )  # fmt: skip
    yield CounterMetricFamily("fastgate_semantic_shadow_wrong", "Those of them that were wrong", value=report.wrong)
    error = GaugeMetricFamily(
        "fastgate_semantic_shadow_error",
        "Share of would-be hits that is wrong, with its 95 % interval",
        labels=("bound",),
    )
    for bound, value in zip(("estimate", "lower", "upper"), report.error_per_hit, strict=True):
        error.add_metric((bound,), value)
    yield error
    yield CounterMetricFamily(
        "fastgate_semantic_saved_usd", "What was saved by it, or would have been in shadow mode",
        value=report.saved_nano / _NANO,
    )  # fmt: skip
