"""Whole gateways that share what operators create: how soon a key works and ends; what an outage does not change."""

from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Final

import pytest

from tests.support.by_api import OK, UNKNOWN, client, created, soon, status
from tests.support.crowd import Crowd, spending
from tests.support.house import House, key, secret, wait_for
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.shared_hosts import billed, hosts, spent_out

pytestmark = pytest.mark.alone

SOON: Final = 1.0
TURNS: Final = 5


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    return postgres.fresh()


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, redis: RedisServer, database: str
) -> Iterator[list[House]]:
    said = {
        "redis": {"url": redis.url, "cluster_id": "both"},
        "postgres": {"url": postgres.url(database)},
        "keys": [key("file")],
    }
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("FASTGATE_STATE_KEY", "5e" * 32)
        yield stack.enter_context(hosts(tmp_path_factory.mktemp("hosts"), [said] * 2))


def test_a_key_works_on_the_other_host_within_a_second_and_ends_there_as_soon(pair: list[House]) -> None:
    one, two = pair
    made, ended = [], []
    with client(one) as api, client(two) as other:
        for number in range(TURNS):
            value = created(api, "keys", id=f"k{number}")["secret"]
            made.append(soon(two, value, OK))
            soon(one, value, OK)  # its own workers read the change, too, each when it comes to it
            assert other.post(f"/keys/k{number}/revoke").status_code == 200
            ended.append(soon(one, value, UNKNOWN))
    print(f"works after {max(made):.3f} s at most, refused after {max(ended):.3f} s at most")
    assert sorted(made)[TURNS // 2] < SOON
    assert sorted(ended)[TURNS // 2] < SOON


def test_a_budget_that_one_host_makes_binds_all_together(pair: list[House]) -> None:
    one, two = pair
    limit = Decimal("0.30")
    with client(one) as api:
        value = created(api, "keys", id="spender", budgets=[{"limit_usd": str(limit), "window": "lifetime"}])["secret"]
    wait_for(lambda: status(two, value) == OK, 10, "it works there, too")
    before = billed(one) - Decimal(one.budget("key:spender/lifetime/default")["spent_usd"])
    with Crowd([one.port, two.port], spending(value, 100), 60) as crowd:
        total = spent_out(one) - before
    print(f"{total} of {limit} USD on the bill; answers {dict(crowd.statuses)}")
    assert Decimal("0.98") * limit <= total <= limit
    assert crowd.statuses.keys() <= {0, 200, 402}, (crowd.statuses, crowd.bodies)


def test_no_request_fails_while_the_database_is_away_nor_does_a_host_that_starts_meanwhile(
    pair: list[House], postgres: PostgresServer
) -> None:
    one, two = pair
    with client(one) as api:
        value = created(api, "keys", id="lasting")["secret"]
    for house in pair:
        soon(house, value, OK)
    with Crowd([one.port, two.port], spending(value, 5), 40) as crowd:
        wait_for(lambda: crowd.statuses[200] > 500, 30, "there is load")
        with postgres.away():
            before = crowd.statuses[200]
            wait_for(lambda: crowd.statuses[200] > before + 500, 30, "it is served")
            with client(one) as api:
                refused = api.post("/keys", json={"id": "late"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2"), refused.text
            crowd.ports = [one.port]
            wait_for(lambda: not two.admin("status")["shared_configuration"]["reachable"], 10, "it is noticed")
            two.stop()
            two.start()
            assert {status(two, each) for each in (value, secret("file")) for _ in range(8)} == {OK}
            crowd.ports = [one.port, two.port]
            before = crowd.statuses[200]
            wait_for(lambda: crowd.statuses[200] > before + 500, 30, "both serve")
        with client(one) as api:
            wait_for(lambda: api.post("/keys", json={"id": "late"}).status_code == 201, 10, "it can be changed again")
            fresh = api.post("/keys/late/rotate").json()["secret"]
        wait_for(lambda: status(two, fresh) == OK, 10, "changes flow by themselves")
    print(f"answers {dict(crowd.statuses)}")
    assert crowd.statuses.keys() <= {0, 200}, (crowd.statuses, crowd.bodies)

    def follows(house: House) -> bool:
        said = house.admin("status")["shared_configuration"]
        return (said["error"], said["behind"]) == (None, 0)

    for house in pair:
        wait_for(lambda h=house: follows(h), 10, "it follows what hosts share")
        assert PASSWORD not in house.log.read_text()
