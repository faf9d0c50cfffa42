"""Whatever is lost, comes late, twice or out of order, whoever is restarted, whatever Redis forgets: what hosts may use
of a limit is never more than the limit, and when all is well again all of it can be used.

With a grace each host may use so much more of a window while it cannot ask, and never more than that.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from redis import Redis

from fastgate._core import leases
from fastgate._core.budget import Hold
from fastgate.budgets.leases.store import LAPSE_MS, QUIET_MS
from fastgate.budgets.levels import levels_of, rules_of
from fastgate.wire.leasing import Want
from fastgate.wire.snapshot import BudgetRecord
from tests.support.lease_cluster import FOR_GOOD, MINUTES, QUANTUM, REQUESTS, Cluster
from tests.support.lease_hosts import MILLI, NANO, Host, World
from tests.support.redis_server import RedisServer

SCHEDULES: Final = int(os.environ.get("FASTGATE_LEASE_SCHEDULES", "120"))


class Graceful(Cluster):
    """Their budgets have a grace."""

    records = (
        REQUESTS,
        msgspec.structs.replace(MINUTES, grace=30 * QUANTUM),
        msgspec.structs.replace(FOR_GOOD, grace=50 * QUANTUM),
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Redis[bytes]"]:
    folder: Path = tmp_path_factory.mktemp("leases")
    with RedisServer(folder) as server, server.client() as found:
        yield found


def test_what_was_granted_to_a_process_that_died_before_it_heard_returns(client: "Redis[bytes]") -> None:
    Cluster.client = client
    cluster = Cluster()
    cluster.start([0, 0, 0])
    host = cluster.hosts[1]
    window, _, _, _ = host.levels.windows(2, host.now())
    host.holder.want([Want(host.levels.rules[2].cell, window, FOR_GOOD.limit // 2, FOR_GOOD)])
    host.wire.fault = "unheard"
    assert not host.turn()
    host.restart()
    cluster.teardown()  # all is well: another host can use all of it


def test_what_was_granted_unheard_and_is_remembered_by_another_host_is_not_lost_with_redis(
    client: "Redis[bytes]",
) -> None:
    Cluster.client = client
    cluster = Cluster()
    cluster.start([0, 0, 0])
    _, one, other = cluster.hosts
    for host in (one, other):
        assert cluster._enter(host, QUANTUM)
    one.wire.fault = "unheard"
    one.ask(FOR_GOOD.limit // 4)
    cluster.world.now_ns += 2 * NANO
    assert other.turn()
    seen = max(slip.told.seen for slip in other.holder.slips)
    assert seen > FOR_GOOD.limit // 4, "the other host has heard of what was granted"
    cluster.start_store_empty()
    cluster.teardown()


class Lent(Cluster):
    """They share one budget, with a grace."""

    records = (msgspec.structs.replace(FOR_GOOD, grace=50 * QUANTUM),)


def test_a_grace_whose_use_was_lost_with_the_arena_is_not_there_again(client: "Redis[bytes]") -> None:
    Lent.client = client
    cluster = Lent()
    cluster.start([0, 0, 0])
    host = cluster.hosts[1]
    held, counts = [host.ask(QUANTUM)], []
    for _ in range(2):
        host.wire.fault = "lost"
        while isinstance(taken := host.ask(QUANTUM), Hold):
            held.append(taken)
        counts.append(len(held))
        host.lose_power(0)
        cluster.world.now_ns += LAPSE_MS * MILLI
        assert host.turn()
    assert counts[0] > 50, "its slice and its grace"
    assert counts[1] == counts[0]
    for each in cluster.hosts:
        each.folder.cleanup()


def test_a_grace_is_there_also_before_the_store_knows_from_when_windows_are_counted(client: "Redis[bytes]") -> None:
    """At the first start on an empty Redis, which learns."""
    world = World(client)
    [record] = Lent.records
    assert isinstance(record, BudgetRecord)
    host = Host(world, "h0", [record])
    held = [host.ask(record.grace)]
    assert host.holder.learning
    assert not isinstance(host.ask(QUANTUM), Hold)
    world.now_ns += QUIET_MS * MILLI
    assert host.turn()
    held.append(host.ask(record.limit - record.grace))
    assert not isinstance(host.ask(QUANTUM), Hold)
    assert all(isinstance(each, Hold) for each in held), "it counts in the limit, of which nothing is lost"
    host.folder.cleanup()


class Softly(Cluster):
    """They count one budget that is in nobody's way."""

    records = (msgspec.structs.replace(FOR_GOOD, soft=True),)


def test_of_a_soft_budget_all_is_told_and_nothing_leased(client: "Redis[bytes]") -> None:
    Softly.client = client
    cluster = Softly()
    cluster.start([0, 0, 0])
    [record] = cluster.records
    cells = [host.arena.cell(record.id) for host in cluster.hosts]
    window, _, _, _ = cluster.hosts[0].levels.windows(0, cluster.hosts[0].now())
    held: list[Hold | int] = []  # one that nobody has any more is given back
    for _ in range(2):
        for host in cluster.hosts[:2]:
            held.append(host.take(FOR_GOOD.limit))
            host.holder.count([record])
            assert host.turn()
        cluster.world.now_ns += 2 * NANO
    for host in cluster.hosts[:2]:
        assert host.turn()
    assert all(isinstance(each, Hold) for each in held), "it is never in the way"
    for host, cell, elsewhere in zip(cluster.hosts, cells, (2, 2, 0), strict=True):
        assert host.levels.elsewhere(0, host.now()) == (elsewhere * FOR_GOOD.limit, 0)
        assert leases.granted(host.arena, cell, window) <= elsewhere * FOR_GOOD.limit, "no more than it has used"
    hard = cluster.hosts[2]
    hard.levels = levels_of(hard.arena, rules_of(hard.arena, [FOR_GOOD], shared=True))
    hard.records = [FOR_GOOD]
    assert not isinstance(hard.ask(QUANTUM), Hold), "where it is hard by now, what was spent before counts"
    for host in cluster.hosts:
        host.folder.cleanup()


@pytest.mark.parametrize(("kind", "schedules"), [(Cluster, SCHEDULES), (Graceful, SCHEDULES // 3)])
def test_hosts_never_use_more_than_there_is(client: "Redis[bytes]", kind: type[Cluster], schedules: int) -> None:
    Cluster.client = client
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=schedules, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
