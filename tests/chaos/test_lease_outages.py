"""Hosts that share a budget while Redis is killed, emptied or hangs, and while they are cut off from it.

Never overspent, and all is well again by itself.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final

import httpx
import pytest

from fastgate.budgets.leases.store import QUIET_MS
from tests.support.crowd import Crowd, spending
from tests.support.fault_proxy import FaultProxy, Mode
from tests.support.house import secret, wait_for
from tests.support.redis_groups import KINDS, LONG, ClusterGroup, SentinelGroup, is_master, lease_server
from tests.support.redis_server import RedisServer
from tests.support.shared_hosts import BUDGET as TEAM
from tests.support.shared_hosts import (
    SPENDABLE,
    TOKENS,
    billed,
    check,
    hosts,
    known,
    learning,
    settings,
    speaks_to,
    spent_out,
)

CLIENTS: Final = 600
LIMIT: Final = Decimal("4.00")
BUDGET: Final = {"limit_usd": str(LIMIT), "window": "lifetime"}
PAUSE_SECONDS: Final = float(os.environ.get("FASTGATE_PAUSE_SECONDS", "3"))
CLUSTER: Final = "chaos"
FAULTS: Final[tuple[Mode, ...]] = ("delay", "hole", "cut")

pytestmark = pytest.mark.alone


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_redis_is_killed_and_comes_back_empty_and_hangs(tmp_path: Path, kind: str) -> None:
    with (
        lease_server(kind, tmp_path / "redis", CLUSTER) as server,
        hosts(tmp_path, [settings(server.url, CLUSTER, BUDGET)] * 3) as houses,
    ):
        ports = [house.port for house in houses]
        with Crowd(ports, spending(secret("one"), TOKENS), CLIENTS) as crowd:
            wait_for(lambda: billed(houses[0]) > LIMIT / 8, 30, "they spend")
            server.kill()
            wait_for(lambda: all(house.admin("status")["leases"]["error"] for house in houses), 30, "they notice")
            server.start()
            wait_for(lambda: billed(houses[0]) > LIMIT / 2, 30, "they go on by themselves")
            server.hang()
            time.sleep(PAUSE_SECONDS)
            server.go_on()
            total = spent_out(houses[0])
        check(total, LIMIT, crowd)
        wait_for(lambda: all(known(house) == 3 for house in houses), 15, "all is well again")


@pytest.mark.parametrize("kind", ["sentinel", pytest.param("cluster", marks=LONG)])
def test_another_server_takes_over_that_has_not_heard_of_the_last_writes(tmp_path: Path, kind: str) -> None:
    limit = LIMIT / 4
    said = {"limit_usd": str(limit), "window": "lifetime"}
    with (
        lease_server(kind, tmp_path / "redis", CLUSTER) as server,
        hosts(tmp_path, [settings(server.url, CLUSTER, said)] * 2, workers=1) as houses,
    ):
        assert not isinstance(server, RedisServer)
        with Crowd(
            [house.port for house in houses], spending(secret("one"), TOKENS, latency_ms=200), CLIENTS // 6
        ) as crowd:
            wait_for(lambda: billed(houses[0]) > limit / 8, 30, "they spend")
            server.cut_replication()
            wait_for(lambda: billed(houses[0]) > limit * 3 / 4, 30, "they go on, and nobody else hears of it")
            [control] = set(houses[1].pids("control"))
            os.kill(control, signal.SIGSTOP)
            dead = server.kill_owner()
            server.mend_replication()
            wait_for(lambda: server.owner is not dead, 30, "another server takes over")
            wait_for(lambda: learning(houses[0]), 15, "it waits for what the other host has")
            os.kill(control, signal.SIGCONT)
            dead.start()
            total = spent_out(houses[0])
        check(total, limit, crowd)
        wait_for(lambda: all(known(house) == 2 for house in houses), 15, "all is well again")
        assert speaks_to(houses[0], server.owner.port)


@pytest.mark.skipif("sentinel" not in KINDS, reason="make chaos runs it")
def test_a_master_that_was_replaced_and_does_not_know_is_left(tmp_path: Path) -> None:
    with (
        SentinelGroup(tmp_path / "redis") as server,
        hosts(tmp_path, [settings(server.url, CLUSTER, BUDGET)] * 3) as houses,
    ):
        ports, slowly = [house.port for house in houses], spending(secret("one"), TOKENS, latency_ms=200)
        with Crowd(ports, slowly, CLIENTS // 6) as crowd:
            wait_for(lambda: billed(houses[0]) > LIMIT / 4, 30, "they spend")
            old = server.replace_master()
            now = server.owner.port
            wait_for(lambda: all(speaks_to(house, now) for house in houses), 7, "all have left the old one")
            print("the old one still thinks that it is the master:", is_master(old))
            total = spent_out(houses[0])
        check(total, LIMIT, crowd)
        wait_for(lambda: all(known(house) == 3 for house in houses), 15, "all is well again")
        assert not any(house.admin("status")["leases"]["failures"] for house in houses), "it was left on purpose"
        server.end_sentinels()
        blind = "it would not be noticed if another Redis took over"
        wait_for(lambda: blind in (houses[0].admin("status")["leases"]["warning"] or ""), 15, "it says so")


@LONG
def test_the_slot_moves_to_other_nodes_of_a_cluster(tmp_path: Path) -> None:
    with (
        ClusterGroup(tmp_path / "redis", CLUSTER) as server,
        hosts(tmp_path, [settings(server.url, CLUSTER, BUDGET)] * 3) as houses,
    ):
        with Crowd([house.port for house in houses], spending(secret("one"), TOKENS), CLIENTS) as crowd:
            for part in (8, 4, 2):
                wait_for(lambda part=part: billed(houses[0]) > LIMIT / part, 30, "they spend")
                server.move_slot()
            total = spent_out(houses[0])
        check(total, LIMIT, crowd)
        wait_for(lambda: all(known(house) == 3 for house in houses), 15, "all is well again")


@LONG
def test_hosts_are_cut_off_from_redis(tmp_path: Path, server: RedisServer) -> None:
    with ExitStack() as stack:
        proxies = [stack.enter_context(FaultProxy(server.port)) for _ in range(3)]
        said = [settings(f"redis://127.0.0.1:{proxy.port}/0", "cut", BUDGET) for proxy in proxies]
        houses = stack.enter_context(hosts(tmp_path, said))
        ports, draw = [house.port for house in houses], random.Random(7)
        with Crowd(ports, spending(secret("one"), TOKENS), CLIENTS) as crowd:
            for _ in range(8):
                for proxy in draw.sample(proxies, 2):
                    proxy.mode = draw.choice(FAULTS)
                time.sleep(draw.uniform(0.3, 1.2))
                for proxy in proxies:
                    proxy.mode = "pass"
            total = spent_out(houses[0])
        check(total, LIMIT, crowd)
        wait_for(lambda: all(known(house) == 3 for house in houses), 15, "all is well again")


def test_all_lose_their_power_and_redis_what_it_knew(tmp_path: Path, server: RedisServer) -> None:
    """The first to be back remembers whom there was, and waits for it; each knows from its ledger what it had spent."""
    with hosts(tmp_path, [settings(server.url, "dark", BUDGET)] * 2) as houses:
        request = spending(secret("one"), TOKENS)
        with Crowd([house.port for house in houses], request, 40):
            wait_for(lambda: billed(houses[0]) > LIMIT / 4, 30, "they spend")
        for house in houses:
            house.settled()
            house.kill_everything()
            (house.arena_dir / "arena.bin").unlink()
        server.kill()
        server.start()
        before = billed(houses[0])
        first, second = random.sample(houses, 2)
        first.start()
        with Crowd([first.port], request, 40) as crowd:
            wait_for(lambda: crowd.statuses[402] > 0, 30, "it asks for what Redis cannot know")
            time.sleep(1.5 * QUIET_MS / 1000)
            assert billed(first) == before
            assert b"waits until all hosts have told what they use" in crowd.bodies[402]
            missing = [(second.state_dir / "host").read_text().strip()]
            wait_for(lambda: first.admin("status")["leases"]["waits_for"] == missing, 15, "it says for whom")
            second.start()
            crowd.ports.append(second.port)
            wait_for(lambda: all(known(house) == 2 for house in houses), 30, "Redis grants again")
            total = spent_out(first)
        check(total, LIMIT, crowd)


@LONG
def test_a_host_loses_its_power_with_requests_open(tmp_path: Path, server: RedisServer) -> None:
    """The provider bills what nobody lives to write down: all that the host had claimed stays taken."""
    with hosts(tmp_path, [settings(server.url, "power", BUDGET)] * 2) as houses:
        ports = [house.port for house in houses]
        with Crowd(ports, spending(secret("one"), TOKENS, latency_ms=300), 200) as crowd:
            for house, part in ((houses[1], 4), (houses[0], 2)):
                wait_for(lambda part=part: billed(houses[0]) > LIMIT / part, 60, "they spend")
                ports.remove(house.port)
                house.kill_everything()
                shutil.rmtree(house.arena_dir)
                house.start()
                ports.append(house.port)
            total = spent_out(houses[0])
            budget, leases = houses[0].budget(TEAM), houses[0].admin("status")["leases"]
        stranded, refusal = Decimal(budget["stranded_usd"]), crowd.bodies[402].decode()
        print(f"{total} of {LIMIT} USD on the bill, {stranded} stranded; answers {dict(crowd.statuses)}")
        assert LIMIT / 2 < total <= LIMIT
        assert stranded > 0
        assert LIMIT - Decimal(budget["spent_usd"]) - stranded < LIMIT / 100, "nothing else is out of reach"
        assert Decimal(leases["stranded_usd"]) == stranded
        assert "Hosts that lost their counters had leased what is left of it" in refusal
        assert "Retrying does not help" in refusal


@LONG
def test_with_a_grace_each_host_goes_on_for_so_much_and_once(tmp_path: Path, server: RedisServer) -> None:
    grace = Decimal("0.20")
    with hosts(tmp_path, [settings(server.url, "grace", {**BUDGET, "grace": str(grace)})] * 2) as houses:
        with Crowd([house.port for house in houses], spending(secret("one"), TOKENS), 40) as crowd:
            wait_for(lambda: billed(houses[0]) > LIMIT / 8, 30, "they spend")
            server.kill()
            at_least = billed(houses[0]) + SPENDABLE * 2 * grace
            alone = spent_out(houses[0])
            assert at_least <= alone < LIMIT, "each has used its slice and its grace"
            assert all(house.admin("status")["leases"]["error"] for house in houses)
            server.start()
            wait_for(lambda: billed(houses[0]) > alone, 30, "they go on")
            server.kill()
            spent_out(houses[0])
            server.start()
            wait_for(lambda: all(known(house) == 2 for house in houses), 30, "Redis grants again")
            total = spent_out(houses[0])
        check(total, LIMIT, crowd)
        lent = [house.log.read_text().count(f"may go beyond its slice by {grace:.9f} USD") for house in houses]
        assert lent == [1, 1], "there is no second grace"


def test_a_rest_of_a_grace_that_is_too_little_for_a_request_keeps_nobody_waiting(
    tmp_path: Path, server: RedisServer
) -> None:
    """Requests are refused at once, and Redis is not asked on their behalf."""
    with hosts(tmp_path, [settings(server.url, "rest", {**BUDGET, "grace": "0.0005"})], workers=1) as [house]:
        with Crowd([house.port], spending(secret("one"), TOKENS), 100) as crowd:
            wait_for(lambda: billed(house) > LIMIT / 8, 30, "they spend")
            server.kill()
            wait_for(lambda: "may go beyond its slice" in house.log.read_text(), 15, "it has its grace")
            wait_for(lambda: crowd.statuses[402] > 20, 30, "the slice is used up")
            refused, failed = crowd.statuses[402], house.admin("status")["leases"]["failures"]
            wait_for(lambda: crowd.statuses[402] >= refused + 2000, 30, "they are refused")
            assert house.admin("status")["leases"]["failures"] - failed < 100
            assert b"Redis that hosts share it by cannot be asked now" in crowd.bodies[402]
            assert httpx.get(f"{house.url}/readyz").status_code == 200, "what no budget binds is served"
            server.start()
            total = spent_out(house)
        check(total, LIMIT, crowd)
