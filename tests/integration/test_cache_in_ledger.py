"""What a cache did, from the journal to whoever asks: sums, rows, metrics, the page, the command line, a bill."""

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from fastgate._core.budget import CACHE_BYPASS, CACHE_EXACT, CACHE_MISS, CACHE_NONE, CACHE_SEMANTIC, MEANING_SERVE
from fastgate._core.price import Usage
from fastgate.cli.main import cli
from fastgate.wire.money import usd
from tests.support.control_host import ENTRY, TOKEN, ControlHost

USAGE = Usage(input=1000, output=100)
ASKED = (CACHE_NONE, CACHE_MISS, CACHE_MISS, CACHE_BYPASS)
"""What a cache did where a provider was asked."""
HITS = 400
SAVED = 1_500_000_001
LABELS = 'key="ide",model="smart",provider="sim",status="200",team="platform"'


class Host(ControlHost):
    cost = 0
    """Of one request that a provider answered, in nano-USD."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"))
    for cache in ASKED:
        host.cost = host.serve(USAGE, cache=cache)
    for _ in range(HITS):
        host.hit(SAVED, CACHE_EXACT)
    host.hit(SAVED, CACHE_SEMANTIC, MEANING_SERVE)
    host.settled()
    yield host
    host.close()


def run(host: Host, *arguments: str, given: str = "") -> Result:
    options = ["--admin-url", str(host.client.base_url), "--admin-token", TOKEN]
    return CliRunner().invoke(cli, [*arguments, *options], input=given, prog_name="fastgate")


def test_spend_is_told_apart_by_what_the_cache_did(host: Host) -> None:
    def sums(group: dict[str, Any]) -> tuple[Any, ...]:
        return group["requests"], group["cost_usd"], group["saved_usd"], group["input_tokens"]

    cost = host.cost
    found = host.get("spend", ("by", "cache"))
    assert {group["cache"]: sums(group) for group in found["groups"]} == {
        "": (1, usd(cost), usd(0), 1000),
        "miss": (2, usd(2 * cost), usd(0), 2000),
        "bypass": (1, usd(cost), usd(0), 1000),
        "exact": (HITS, usd(0), usd(HITS * SAVED), 0),
        "semantic": (1, usd(0), usd(SAVED), 0),
    }
    assert sums(found["total"]) == (HITS + 5, usd(4 * cost), usd((HITS + 1) * SAVED), 4000)
    some = host.get("spend", ("where", "cache=semantic"), ("where", "cache=miss"))["total"]
    assert sums(some) == (3, usd(2 * cost), usd(SAVED), 2000)
    assert sums(host.get("spend", ("where", "cache="))["total"]) == (1, usd(cost), usd(0), 1000)


def test_budgets_have_nothing_of_what_a_cache_answered(host: Host) -> None:
    assert {budget["spent_usd"] for budget in host.get("budgets")["items"]} == {usd(4 * host.cost)}


def test_a_hit_is_a_row_like_any_other(host: Host) -> None:
    (row,) = host.get("requests", ("cache", "semantic"))["items"]
    said = {"status": 200, "settlement": "none", "outcome": "ok", "attempts": 0, "provider": "sim", "output_tokens": 0}
    assert row.items() >= {**said, "cost_usd": usd(0), "saved_usd": usd(SAVED), "upstream_us": 0}.items()
    assert host.get(f"requests/{row['id']}") == {**row, "cost_lines": []}
    assert (row["cache_entry"], row["similarity"], row["cache_age_seconds"]) == (ENTRY, 0.9123, 60)
    assert host.get("requests", ("semantic", "serve"))["items"] == [row]
    (row,) = host.get("requests", ("where", "cache=bypass"))["items"]
    assert (row["attempts"], row["cost_usd"], row["saved_usd"]) == (1, usd(host.cost), usd(0))
    assert (row["semantic"], row["cache_entry"], row["similarity"], row["cache_age_seconds"]) == ("", "", None, None)
    exact = host.get("requests", ("cache", "exact"), ("limit", "1"))["items"][0]
    assert (exact["cache_entry"], exact["similarity"], exact["cache_age_seconds"]) == (ENTRY, None, 60)
    assert len(host.get("requests", ("cache", "exact"), ("limit", "1000"))["items"]) == HITS


def test_live_requests_are_filtered_by_it(host: Host) -> None:
    (row,) = host.get("requests", ("cache", "semantic"))["items"]
    (first,) = host.get("requests", ("where", "cache="))["items"]
    headers = {"last-event-id": first["id"]}
    with host.client.stream("GET", "/api/v1/requests/live?cache=semantic", headers=headers) as answer:
        event = next(line for line in answer.iter_lines() if line.startswith("data: "))
    assert json.loads(event.removeprefix("data: ")) == row


def test_metrics_count_tiers_and_what_they_saved(host: Host) -> None:
    text = httpx.get(f"{host.client.base_url}/metrics").text
    for mark, count in (("", 1), ("miss", 2), ("bypass", 1), ("exact", HITS), ("semantic", 1)):
        assert f'fastgate_requests_total{{cache="{mark}",{LABELS}}} {count}.0' in text
    for tier, outcome, count in (
        ("exact", "hit", HITS),
        ("exact", "miss", 2),
        ("exact", "bypass", 1),
        ("semantic", "hit", 1),
    ):
        assert f'fastgate_cache_events_total{{outcome="{outcome}",tier="{tier}"}} {count}.0' in text
    assert f'fastgate_saved_usd_total{{cache="exact",{LABELS}}} {HITS * SAVED / 10**9}' in text
    assert 'fastgate_saved_usd_total{cache="miss"' not in text
    assert 'fastgate_upstream_attempts_total{outcome="ok"} 4.0' in text
    assert 'fastgate_upstream_seconds_count{model="smart",provider="sim"} 4.0' in text


def test_the_page_shows_it_beside_the_cost(host: Host) -> None:
    with httpx.Client(base_url=host.client.base_url, follow_redirects=True) as browser:
        page = browser.post("/sign-in", data={"token": TOKEN}).text
    assert page.count("Cost USD") == page.count("Saved USD") > 1
    assert usd((HITS + 1) * SAVED) in page  # of the key
    assert usd(SAVED) in page  # of one request


def test_the_report_shows_it_beside_the_cost(host: Host) -> None:
    ran = run(host, "report", "--by", "cache", "--where", "cache=exact", "--format", "csv")
    assert ran.exit_code == 0, ran.output
    (row,) = csv.DictReader(io.StringIO(ran.stdout))
    assert list(row)[:4] == ["cache", "requests", "cost_usd", "saved_usd"]
    assert (row["cache"], row["requests"], row["saved_usd"]) == ("exact", str(HITS), usd(HITS * SAVED))


def test_what_a_cache_answered_has_no_part_in_a_bill(host: Host) -> None:
    """Neither as amounts nor as requests, each of which may be rounded by half a nano-dollar."""

    def verdict(nano: int) -> tuple[int, str]:
        day = host.get("requests", ("limit", "1"))["items"][0]["started_at"][:10]
        line = {"model": "sim-small", "day": day, "usd": str(Decimal(nano) / 10**9)}
        ran = run(host, "reconcile", "--bill", "-", "--json", given=json.dumps({"lines": [line], "unbilled": []}))
        return ran.exit_code, json.loads(ran.stdout)["verdict"]

    assert verdict(4 * host.cost) == (0, "equal")
    assert verdict(4 * host.cost + len(ASKED) // 2 + 1) == (1, "different")


def test_the_api_describes_it(host: Host) -> None:
    document = httpx.get(f"{host.client.base_url}/api/v1/openapi.json").json()
    row = document["components"]["schemas"]["RequestAnswer"]
    assert {"cache", "saved_usd", "semantic", "cache_entry", "similarity", "cache_age_seconds"} <= set(row["required"])
    assert row["properties"]["saved_usd"] == row["properties"]["cost_usd"]
    total = document["components"]["schemas"]["SpendAnswer"]["properties"]["total"]
    assert "saved_usd" in total["required"]
