"""What operators read of the semantic cache's decisions: the report, its lines for people, the metrics."""

import re
import time
from collections import Counter

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from fastgate.cli.cache_report import lines, scope_rows
from fastgate.control.semantic_answers import semantic_report
from fastgate.semantic.counts import Counts, load, wilson
from fastgate.telemetry.semantic import semantic_metrics
from fastgate.wire.semantic import Reported
from fastgate.wire.semantic_entries import Range, TenantReport

HOUR_MS = 3_600_000
TENANT = bytes(range(16))


def reported(
    *, shadow: bool = True, max_error: float = 0.02, compared: int = 0, wrong: int = 0, ago_ms: int = 24 * HOUR_MS
) -> Reported:
    """Of 1,000 questions, of which 200 would be, or were, hits."""
    verdict = "shadow" if shadow else "serve"
    counts = {"find": 1_000, verdict: 200, "audit": 10, "explore": 90, "miss": 700}
    counts |= {"miss unlike": 600, "miss number": 100}
    per_hit = wilson(wrong, compared)
    per_request: Range = (per_hit[0] / 5, per_hit[1] / 5, per_hit[2] / 5)
    since_ms = time.time_ns() // 1_000_000 - ago_ms
    saved = {"saved_nano": 0 if shadow else 4 * 10**9, "would_save_nano": 4 * 10**9 if shadow else 0}
    of_tenant = TenantReport(
        TENANT, "key:k", since_ms, counts, compared, wrong, per_hit, per_request, expected_error=0.01, **saved
    )
    unnamed = TenantReport(bytes(16), "", since_ms, {"find": 1, "miss": 1}, 0, 0, wilson(0, 0), (0, 0, 0), 0, 0, 0)
    return Reported(
        1, shadow, max_error, 50, 3, counts, compared, wrong, per_hit, per_request, expected_error=0.01,
        since_ms=since_ms, tenants=(of_tenant, unnamed), more_tenants=True, **saved,
    )  # fmt: skip


def text(report: Reported | None) -> str:
    class One(Collector):
        def collect(self):  # type: ignore[no-untyped-def]
            return semantic_metrics(report)

    registry = CollectorRegistry()
    registry.register(One())
    return generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("compared", "wrong", "standing"), [(0, 0, "unknown"), (100, 0, "within"), (100, 50, "above"), (100, 5, "unknown")]
)
def test_what_switching_on_would_save_at_which_error(compared: int, wrong: int, standing: str) -> None:
    found = semantic_report(reported(compared=compared, wrong=wrong))
    on = found.switching_on
    assert (found.mode, found.max_error) == ("shadow", 0.02)
    assert on is not None
    assert (on.hit_rate, on.saved_usd, on.standing, on.max_error) == (0.2, "4.000000000", standing, 0.02)
    assert on.saved_usd_per_day is not None
    assert float(on.saved_usd_per_day) == pytest.approx(4, rel=1e-3)
    lower, upper = (round(each, 6) for each in wilson(wrong, compared)[1:])
    assert (on.error_per_hit.lower, on.error_per_hit.upper) == (lower, upper)
    assert on.error_per_hit.estimate == (wrong / compared if compared else None)
    assert on.error_per_request.estimate == (pytest.approx(wrong / compared / 5) if compared else None)


def test_what_was_just_begun_with_has_no_rate() -> None:
    found = semantic_report(reported(ago_ms=59_000))
    assert found.switching_on is not None
    assert found.switching_on.saved_usd_per_day is None


def test_one_that_serves_says_what_it_did() -> None:
    found = semantic_report(reported(shadow=False, compared=10, wrong=1))
    assert (found.mode, found.switching_on, found.truncated) == ("serve", None, True)
    total = found.total
    assert total is not None
    assert (total.questions, total.hits, total.shadow_hits, total.audited, total.explored) == (1_000, 200, 0, 10, 90)
    assert (total.misses, total.compared, total.wrong, total.saved_usd) == (700, 10, 1, "4.000000000")
    assert found.misses_by_reason == {"number": 100, "unlike": 600}
    scope, unnamed = found.scopes
    assert (scope.scope, scope.tenant, scope.questions, scope.error_per_hit) == (
        "key:k", TENANT.hex(), 1_000, total.error_per_hit,
    )  # fmt: skip
    assert (unnamed.scope, unnamed.error_per_hit.estimate) == ("", None)


def test_where_there_is_none_that_is_said() -> None:
    found = semantic_report(None)
    assert (found.mode, found.total, found.scopes, found.switching_on, found.max_error) == ("off", None, [], None, None)


def test_people_read_it_in_percent() -> None:
    document = msgspec.to_builtins(semantic_report(reported(compared=100, wrong=5)))
    said = "\n".join(lines(document))
    assert "mode: shadow; 50 entries in 3 partitions" in said
    assert "1,000 questions since" in said
    assert "  unlike: 600\n  number: 100\n" in said
    assert "wrong of hits: 5.00 % (2.15-11.18 %)" in said
    assert "wrong of all questions: 1.00 % (0.43-2.23 %); max_error is 2.00 %" in said
    on = r"switched on it would have answered 20.00 % of all questions and saved 4.000000000 USD, ([\d.]+)"
    a_day = re.search(on, said)  # since it was written that this was a day ago a moment has passed
    assert a_day is not None
    assert float(a_day[1]) == pytest.approx(4, rel=1e-4)
    assert said.endswith("too few comparisons to say whether within max_error")
    named, unnamed = scope_rows(document["scopes"])
    assert (named["scope"], named["error_%"], named["error_95_%"]) == ("key:k", "1.00", "0.43-2.23")
    assert (unnamed["scope"], unnamed["error_%"], unnamed["error_95_%"]) == ("0" * 32, "", "")
    served = "\n".join(lines(msgspec.to_builtins(semantic_report(reported(shadow=False)))))
    assert "nothing was measured yet" in served
    assert "switched on" not in served
    [off] = lines(msgspec.to_builtins(semantic_report(None)))
    assert "no semantic cache" in off


def test_metrics_have_errors_of_all_and_of_who_shares() -> None:
    said = text(reported(shadow=False, compared=100, wrong=5))
    found = dict(re.findall(r"^(fastgate_semantic_\S+) (\S+)$", said, re.MULTILINE))
    assert float(found['fastgate_semantic_questions_total{outcome="audit"}']) == 10
    assert float(found['fastgate_semantic_error{bound="estimate",of="hits"}']) == 0.05
    assert float(found['fastgate_semantic_error{bound="upper",of="questions"}']) == pytest.approx(0.0224, abs=1e-4)
    assert float(found["fastgate_semantic_max_error"]) == 0.02
    assert float(found["fastgate_semantic_hits_wrong_total"]) == 5
    assert float(found["fastgate_semantic_saved_usd_total"]) == 4
    assert float(found['fastgate_semantic_scope_questions_total{outcome="serve",scope="key:k"}']) == 200
    assert float(found['fastgate_semantic_scope_error{bound="lower",scope="key:k"}']) > 0
    assert 'scope=""' not in said
    assert text(None).splitlines()[-1] == "fastgate_semantic_up 0.0"


def test_counts_that_an_earlier_version_kept_are_read() -> None:
    before = msgspec.msgpack.encode([{"find": 3}, 2, 1, 5, 0.5])
    assert load(before) == Counts(Counter(find=3), 2, 1, 5, 0.5)
