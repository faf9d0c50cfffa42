"""One budget over three hosts: never overspent by the provider's bill, and all but all of it spent."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from click.testing import CliRunner

from fastgate.budgets.leases.store import LAPSE_MS
from fastgate.cli.main import cli
from tests.support.crowd import Crowd, spending
from tests.support.house import House, compact, secret, wait_for
from tests.support.redis_groups import KINDS, LONG, lease_server
from tests.support.shared_hosts import (
    BUDGET,
    SPENDABLE,
    TOKENS,
    billed,
    check,
    copy_of,
    hosts,
    known,
    one_more,
    settings,
    spent_out,
)
from tests.support.wire import parallel

CLIENTS: Final = 600
LIMIT: Final = Decimal("3.00")

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module", params=KINDS)
def url(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    with lease_server(request.param, tmp_path_factory.mktemp("redis")) as server:
        yield server.url


def shown(house: House, *budgets: str) -> set[Decimal]:
    """What is spent of them."""
    return {Decimal(house.budget(id_)["spent_usd"]) for id_ in budgets or (BUDGET,)}


@pytest.mark.parametrize("shape", ["steady", pytest.param("hot", marks=LONG)])
def test_three_hosts_spend_one_budget(tmp_path: Path, url: str, shape: str) -> None:
    said = settings(url, shape, {"limit_usd": str(LIMIT), "window": "lifetime"})
    with hosts(tmp_path, [said] * 3) as houses:
        ports = [house.port for house in houses]
        busy = ports if shape == "steady" else [*[ports[0]] * 20, *ports[1:]]
        with Crowd(ports, spending(secret("one"), TOKENS), CLIENTS, lambda _: random.choice(busy)) as crowd:
            total = spent_out(houses[0])
        check(total, LIMIT, crowd)
        assert 0 not in crowd.statuses, "every client was answered"
        wait_for(lambda: all(shown(house) == {total} for house in houses), 15, "every host shows the whole")


def test_hosts_that_come_and_go_spend_one_budget(tmp_path: Path, url: str) -> None:
    said = settings(url, "coming", {"limit_usd": str(LIMIT), "window": "lifetime"})
    with hosts(tmp_path, [said] * 2) as houses:
        ports = [house.port for house in houses]
        with Crowd(ports, spending(secret("one"), TOKENS), CLIENTS) as crowd:
            wait_for(lambda: billed(houses[0]) > LIMIT / 10, 30, "they spend")
            with one_more(tmp_path / "2", said, houses) as third:
                ports.append(third.port)
                wait_for(lambda: third.admin("spend")["total"]["requests"], 30, "the third one serves")
                ports.remove(houses[1].port)
                assert houses[1].stop() == 0
                houses[1].start()
                ports.append(houses[1].port)
                wait_for(lambda: billed(houses[0]) > LIMIT / 2, 30, "they go on")
                ports.remove(third.port)
            total = spent_out(houses[0])
        check(total, LIMIT, crowd)


@LONG
def test_a_window_that_turns_is_a_whole_budget_again(tmp_path: Path, url: str) -> None:
    limit, seconds = Decimal("0.60"), 6
    budget = {"limit_usd": str(limit), "window": {"every": seconds, "unit": "second"}, "calendar": True}
    with hosts(tmp_path, [settings(url, "turning", budget)] * 3) as houses:
        with Crowd([house.port for house in houses], spending(secret("one"), TOKENS), CLIENTS) as crowd:
            time.sleep(4 * seconds)
        for house in houses:
            house.settled()
        rows = [row for house in houses for row in house.requests(status=200)]
    by_window: dict[int, Decimal] = {}
    for row in rows:
        at = int(time.mktime(time.strptime(row["started_at"][:19], "%Y-%m-%dT%H:%M:%S")))
        by_window[at // seconds] = by_window.get(at // seconds, Decimal(0)) + Decimal(row["cost_usd"])
    assert all(spent <= limit for spent in by_window.values()), by_window
    whole = sorted(by_window)[1:-1]
    assert len(whole) >= 2
    assert all(by_window[window] >= Decimal("0.98") * limit for window in whole), by_window
    assert crowd.statuses.keys() == {200, 402}


def test_a_limit_on_requests_is_one_over_all_hosts(tmp_path: Path, url: str) -> None:
    most = 500
    said = settings(url, "limit", {"limit_usd": "1000", "window": "lifetime"})
    said["teams"][0]["limits"] = [{"requests": most, "window": "day"}]
    said["redis"]["lease_wait_ms"] = 1000  # for the first lease of the budget, on a busy machine
    with hosts(tmp_path, [said] * 3) as houses:
        with Crowd([house.port for house in houses], spending(secret("one"), 1), 60) as crowd:
            spent_out(houses[0])
        assert crowd.statuses.keys() == {200, 429}
        assert SPENDABLE * most <= crowd.statuses[200] <= most, crowd.statuses
        assert houses[0].bill()["total"]["requests"] == crowd.statuses[200]


def test_streams_grow_beyond_the_slice_that_they_began_in(tmp_path: Path, url: str) -> None:
    streams, tokens = 30, 3000
    said = settings(url, "streams", {"limit_usd": "20", "window": "lifetime"})
    script = {"tokens": tokens, "chunks": 60, "chunk_ms": 20}
    body = {
        "model": "sim/sim-large",
        "max_tokens": tokens,
        "stream": True,
        "messages": [{"role": "user", "content": f"sim: {json.dumps(script)}"}],
    }
    request = ("/v1/chat/completions", {"authorization": f"Bearer {secret('one')}"}, compact(body))
    with hosts(tmp_path, [said] * 2) as houses:
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(asyncio.run, parallel(house.port, [request] * streams)) for house in houses]
        answers = [answer for one in asked for answer in one.result()]
        assert {answer.status for answer in answers} == {200}
        ends = [b'"finish_reason":"stop"' in answer.body.replace(b" ", b"") for answer in answers]
        assert all(ends), f"{ends.count(False)} streams were ended before their time"
        for house in houses:
            house.settled()
        spent = sum((Decimal(house.admin("spend")["total"]["cost_usd"]) for house in houses), Decimal(0))
        assert spent == billed(houses[0])
        wait_for(lambda: all(shown(house) == {spent} for house in houses), 15, "every host shows the whole")


def test_thresholds_and_soft_budgets_count_what_all_hosts_spend(tmp_path: Path, url: str) -> None:
    """Each host spends two thirds of what a threshold of the one, and the limit of the other, are: both pass them."""
    hard = {"limit_usd": "1.00", "window": "lifetime", "alerts_percent": [2]}
    soft = {"name": "soft", "limit_usd": "0.02", "window": "day", "mode": "soft", "alerts_percent": [100]}
    said = settings(url, "told", hard)
    said["teams"][0]["budgets"].append(soft)
    said["redis"]["lease_wait_ms"] = 1000  # for the first lease of the budget, on a busy machine
    with hosts(tmp_path, [said] * 2) as houses:
        for house in houses:
            answers = asyncio.run(parallel(house.port, [asked(TOKENS)] * 13))
            assert {answer.status for answer in answers} == {200}
        metrics = httpx.get(f"{houses[0].admin_url}/metrics").text
        assert "fastgate_lease_hosts 2.0" in metrics
        assert "fastgate_lease_store_up 1.0" in metrics
        assert houses[0].admin("status")["leases"]["behind_seconds"] < 5
        where = ["--admin-url", houses[0].admin_url, "--admin-token", houses[0].admin_token]
        report = CliRunner().invoke(cli, ["report", "--by", "key", *where])
        assert "of this host alone: 2 hosts share budgets, and no ledger" in report.stderr
        total = billed(houses[0])
        assert Decimal("0.025") < total < Decimal("0.03")
        for house in houses:
            both = wait_for(lambda house=house: len(found := told(house)) == 2 and found, 30, "each host tells both")
            assert both.keys() == {BUDGET, "team:blue/day/soft"}
            assert all(Decimal("0.02") <= spent <= total for spent in both.values()), both
            wait_for(lambda house=house: shown(house, *told(house)) == {total}, 15, "each host shows the whole")
        for house in houses:
            [answer] = asyncio.run(parallel(house.port, [asked(1)]))
            assert answer.headers["x-fastgate-budget-warning"] == "team:blue/day/soft"


def told(house: House) -> dict[str, Decimal]:
    """What was spent when thresholds of budgets were reached."""
    return {each["budget"]: Decimal(each["spent_usd"]) for each in house.admin("budgets/events")["items"]}


def asked(tokens: int) -> tuple[str, dict[str, str], bytes]:
    """A request whose answer has so many."""
    content = f"sim: {json.dumps({'tokens': tokens, 'latency_ms': 5})}"
    body = {"model": "sim/sim-large", "max_tokens": tokens, "messages": [{"role": "user", "content": content}]}
    return "/v1/chat/completions", {"authorization": f"Bearer {secret('one')}"}, compact(body)


def refused(house: House) -> str:
    """Why it leases nothing; empty: it does."""
    return str(house.admin("status")["leases"]["error"] or "")


def test_a_copied_state_folder_leases_nothing_also_while_the_host_is_started_anew(tmp_path: Path, url: str) -> None:
    said = settings(url, "copied", {"limit_usd": "1", "window": "lifetime"})
    with hosts(tmp_path, [said]) as houses, copy_of(houses[0], tmp_path / "copy", said) as copy:
        wait_for(lambda: "another host goes by the name" in refused(copy), 15, "it is refused")
        with Crowd([copy.port], spending(secret("one"), TOKENS), 1) as crowd:
            wait_for(lambda: crowd.statuses.total() > 1, 15, "it answers")
        assert crowd.statuses.keys() == {402}
        assert b"another one goes by its name: it may pass on other hosts" in crowd.bodies[402]
        assert [httpx.get(f"{each.url}/readyz").text for each in (copy, houses[0])] == [
            '{"status":"name_taken"}',
            '{"status":"ok"}',
        ]
        assert known(houses[0]) == 1
        wait_for(lambda: "not asked any more" in refused(copy), 30, "the other one lives for certain")
        assert houses[0].stop() == 0
        time.sleep(LAPSE_MS / 800)  # a copy that went on asking would have the name by then
        houses[0].start()
        wait_for(lambda: known(houses[0]) == 1, 15, "it has its name")
        assert refused(copy)


def test_a_copied_arena_leases_nothing_either(tmp_path: Path, url: str) -> None:
    said = settings(url, "arena", {"limit_usd": "1", "window": "lifetime"})
    with hosts(tmp_path, [said]) as houses:
        with Crowd([houses[0].port], spending(secret("one"), TOKENS), 4):
            wait_for(lambda: billed(houses[0]) > Decimal("0.1"), 15, "it spends")
        houses[0].settled()
        with copy_of(houses[0], tmp_path / "copy", said, with_arena=True) as copy:
            wait_for(lambda: "another host goes by the name" in refused(copy), 15, "it is refused")
            ports = [copy.port, houses[0].port]
            with Crowd(ports, spending(secret("one"), TOKENS), 16) as crowd:
                total = spent_out(houses[0])
            check(total, Decimal(1), crowd)


def test_what_a_host_has_spent_stays_spent_where_a_copy_takes_its_name(tmp_path: Path, url: str) -> None:
    limit = Decimal("0.50")
    said = settings(url, "renamed", {"limit_usd": str(limit), "window": "lifetime"})
    with hosts(tmp_path, [said]) as houses, copy_of(houses[0], tmp_path / "copy", said) as copy:
        wait_for(lambda: refused(copy), 15, "it is refused")
        with Crowd([houses[0].port], spending(secret("one"), TOKENS), 8):
            wait_for(lambda: billed(houses[0]) > limit / 2, 15, "it spends")
        assert houses[0].stop() == 0
        wait_for(lambda: not refused(copy), 15, "the copy asks in time, and has the name")
        with Crowd([copy.port], spending(secret("one"), TOKENS), 8) as crowd:
            total = spent_out(copy)
        check(total, limit, crowd)
        houses[0].start()
        assert wait_for(lambda: refused(houses[0]), 15, "it is refused")
        with Crowd([copy.port, houses[0].port], spending(secret("one"), TOKENS), 8):
            assert spent_out(copy) == total


def test_a_limit_that_falls_is_in_force_on_all_hosts(tmp_path: Path, url: str) -> None:
    """Whatever they had leased of the higher one; and of one that rises again no more is spent than that."""
    said = settings(url, "fallen", {"limit_usd": "100", "window": "lifetime"})
    clients = 40
    with hosts(tmp_path, [said] * 2) as houses:
        with Crowd([house.port for house in houses], spending(secret("one"), TOKENS), clients) as crowd:
            wait_for(lambda: billed(houses[0]) > Decimal("0.5"), 30, "they spend")
            limit_to(houses, said, "0.01")
            before = billed(houses[0])
            open_ = clients * Decimal("0.001025")
            assert spent_out(houses[0]) <= before + open_
            risen = billed(houses[0]) + Decimal("0.5")
            limit_to(houses, said, str(risen))
            total = spent_out(houses[0])
        check(total, risen, crowd)


def limit_to(houses: list[House], said: dict[str, Any], limit: str) -> None:
    """Until all workers go by it."""
    said["teams"][0]["budgets"][0]["limit_usd"] = limit
    for house in houses:
        wanted = house.log.read_text().count("is in force") + 3
        house.write_config(said)
        assert house.process is not None
        house.process.send_signal(signal.SIGHUP)
        wait_for(lambda house=house, wanted=wanted: house.log.read_text().count("is in force") == wanted, 15, "it is")
