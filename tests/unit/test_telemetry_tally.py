"""Counters equal sums over rows; memory is bounded, and what the bound collapses is shown."""

import re
from array import array
from collections import Counter
from typing import Any

import numpy as np

from fastgate._core.journal import CACHES
from fastgate.telemetry.exposition import BudgetLine, Exposition, Gauges
from fastgate.telemetry.tally import HISTOGRAMS, Origin, Tally
from tests.support.ledger_rows import columns, rows


def origin_of(event: dict[str, Any]) -> Origin:
    labels = (event["provider"], event["model"], event["key"], event["team"], str(event["status"]), event["cache"])
    return Origin(labels, event["outcome"], event["error"], event["route"], event["team"] == "")


def tally_of(events: list[dict[str, Any]], data: dict[str, Any], tally: Tally) -> None:
    numbers: dict[Origin, int] = {}
    origins = np.array([numbers.setdefault(origin_of(event), len(numbers)) for event in events], dtype=np.int64)
    by_number = {number: origin for origin, number in numbers.items()}
    tally.add(data, origins, by_number.__getitem__)


def test_counters_are_the_sums_over_all_batches() -> None:
    tally = Tally()
    events = []
    for seed in range(3):
        data = columns(400, seed=seed, most=2**55)
        events += rows(data)
        tally_of(rows(data), data, tally)
    requests, cost = Counter[Any](), Counter[Any]()
    for event in events:
        labels = origin_of(event).labels
        requests[labels] += 1
        cost[labels] += event["cost_nano"]
    assert {labels: series.requests for labels, series in tally.series.items()} == requests
    assert {labels: series.sums[0] for labels, series in tally.series.items()} == cost
    assert tally.unpriced == sum(event["team"] == "" for event in events)
    rejected = Counter((event["error"], "") for event in events if event["outcome"] == "rejected")
    assert tally.rejections == rejected
    attempts = Counter[str]()
    for event in events:
        attempts[event["outcome"]] += event["attempts"]
    assert tally.attempts == attempts


def test_histograms_count_each_value_in_the_first_bucket_that_holds_it() -> None:
    tally = Tally()
    data = columns(600, seed=4)
    data["overhead_us"][0], data["overhead_us"][1], data["overhead_us"][2] = 25, 26, 10**9
    data["ttft_us"][:300] = type(data["ttft_us"])("q", [0] * 300)
    events = rows(data)
    tally_of(events, data, tally)
    for name, bounds in HISTOGRAMS.items():
        for labels, histogram in tally.histograms[name].items():
            values = [e[name] for e in events if (e["provider"], e["model"]) == labels]
            if name in {"upstream_us", "ttft_us"}:
                values = [value for value in values if value]
            running = [sum(value <= bound * 1e6 for value in values) for bound in bounds]
            assert list(np.cumsum(histogram.counts)) == [*running, len(values)], name
            assert histogram.total_us == sum(values)


def test_label_sets_are_capped_and_the_rest_is_counted_as_other() -> None:
    tally = Tally(most_sets=5)
    data = columns(500, seed=6)
    tally_of(rows(data), data, tally)
    assert len(tally.series) == 6
    other = tally.series[("other",) * 6]
    assert other.requests == tally.collapsed > 0
    assert sum(series.requests for series in tally.series.values()) == 500
    assert sum(series.sums[0] for series in tally.series.values()) == sum(data["cost_nano"])
    text = Exposition(tally, Gauges).text().decode()
    assert f"fastgate_metrics_collapsed_total {float(tally.collapsed)}" in text
    assert "fastgate_metrics_label_sets_limit 5.0" in text


def test_the_level_of_a_refusal_is_shown_where_the_route_names_it() -> None:
    tally = Tally()
    data = columns(2)
    tally.add(
        data,
        np.array([1, 1], dtype=np.int64),
        lambda _: Origin(("",) * 6, "rejected", "budget_exceeded", "budget:team", False),
    )
    text = Exposition(tally, Gauges).text().decode()
    assert 'fastgate_rejections_total{level="team",reason="budget_exceeded"} 2.0' in text


def test_what_caches_did_is_counted_by_tier_and_what_they_saved_by_label() -> None:
    tally = Tally(most_sets=30)
    data = columns(400, seed=7)
    data["cache"] = [CACHES[number % 5] for number in range(400)]
    data["saved_nano"] = array("q", (10**9 * (cache in ("exact", "semantic")) for cache in data["cache"]))
    tally_of(rows(data), data, tally)
    assert tally.collapsed
    text = Exposition(tally, Gauges).text().decode()
    events = dict(re.findall(r"^fastgate_cache_events_total\{(.+)\} (\S+)$", text, re.MULTILINE))
    assert {tuple(re.findall('"(.*?)"', labels)): float(count) for labels, count in events.items()} == {
        ("hit", "exact"): 80, ("miss", "exact"): 80, ("bypass", "exact"): 80, ("hit", "semantic"): 80,
    }  # fmt: skip
    saved = re.findall(r"^fastgate_saved_usd_total\{cache=\"(\w*)\".* (\S+)$", text, re.MULTILINE)
    assert {cache for cache, _ in saved} == {"exact", "semantic", "other"}
    assert sum(float(usd) for _, usd in saved) == 160


def test_what_hosts_share_is_a_tier_of_its_own_where_they_do() -> None:
    told = Exposition(Tally(), lambda: Gauges(shared_cache={"hit": 7, "timeout": 0})).text().decode()
    assert 'fastgate_cache_events_total{outcome="hit",tier="shared"} 7.0' in told
    assert 'fastgate_cache_events_total{outcome="timeout",tier="shared"} 0.0' in told
    assert "shared" not in re.sub(r"^#.*$", "", Exposition(Tally(), Gauges).text().decode(), flags=re.MULTILINE)


def test_the_exposition_has_the_names_of_the_contract_and_parses() -> None:
    tally = Tally()
    data = columns(50)
    tally_of(rows(data), data, tally)
    gauges = Gauges(budgets=[BudgetLine(("team", "team:a", "team:a/day/default"), 20 * 10**9, 1, 0)], strangers=3)
    text = Exposition(tally, lambda: gauges).text().decode()
    names = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    assert {
        "fastgate_requests_total", "fastgate_tokens_total", "fastgate_cost_usd_total", "fastgate_request_seconds",
        "fastgate_upstream_seconds", "fastgate_overhead_seconds", "fastgate_ttft_seconds", "fastgate_budget_limit_usd",
        "fastgate_budget_spent_usd", "fastgate_budget_held_usd", "fastgate_rejections_total", "fastgate_unpriced_total",
        "fastgate_upstream_attempts_total", "fastgate_open_holds", "fastgate_journal_lag_events",
        "fastgate_journal_dropped_total", "fastgate_overruns_total", "fastgate_overrun_usd_total",
        "fastgate_saved_usd_total", "fastgate_cache_events_total",
    } <= names  # fmt: skip
    assert 'fastgate_rejections_total{level="",reason="invalid_api_key"} 3.0' in text
    assert 'fastgate_budget_limit_usd{budget="team:a/day/default",level="team",owner="team:a"} 20.0' in text
    assert 'key="a\'; DROP TABLE events; --"' in text
    assert 'key="quo\\"te"' in text
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'\w+(\{(\w+="(?:[^"\\]|\\.)*",?)*\})? [0-9.e+-]+', line), line
