"""Three hosts and one ledger in PostgreSQL, while all of them are killed: it says what the provider bills."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from fastgate.cli.main import cli
from tests.support.crowd import Crowd, spending
from tests.support.house import House, key, secret, wait_for
from tests.support.postgres import PostgresServer
from tests.support.shared_hosts import TOKENS, billed

CLIENTS: Final = 24
ROUNDS: Final = int(os.environ.get("FASTGATE_OUTAGE_ROUNDS", "2"))
MORE: Final = Decimal("0.05")
"""USD that are spent between two kills, at least."""
REQUEST: Final = spending(secret("one"), TOKENS)

pytestmark = pytest.mark.alone


@pytest.fixture
def houses(tmp_path: Path, postgres: PostgresServer) -> Iterator[list[House]]:
    shared = {"url": postgres.url(postgres.fresh()), "configuration": False}
    with ExitStack() as stack:
        found: list[House] = []
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            simulator = found[0].simulator if found else None
            said = {"keys": [key("one")], "postgres": shared}
            found.append(stack.enter_context(House(tmp_path / str(number), said, workers=1, simulator=simulator)))
        yield found


def spends_on(houses: list[House]) -> None:
    before = billed(houses[0])
    wait_for(lambda: billed(houses[0]) > before + MORE, 60, "requests are served")


def answers(house: House) -> bool:
    with suppress(OSError):
        return bool(house.pids("control"))
    return False


def kill_control(house: House) -> None:
    wait_for(lambda: answers(house), 30, "it answers")
    [pid] = house.pids("control")
    os.kill(pid, signal.SIGKILL)


def totals(houses: list[House]) -> dict[str, Any]:
    """Of all hosts, once all that they know is there; every host says the same."""
    for house in houses:
        wait_for(lambda house=house: answers(house), 30, "it answers again")
        house.settled()
    own = [house.admin("spend", hosts="own")["total"] for house in houses]
    count = sum(each["requests"] for each in own)

    def all_there() -> Any:
        found = houses[0].admin("spend")
        return found["hosts"] == "all" and found["total"]["requests"] >= count and found["total"]

    total: dict[str, Any] = wait_for(all_there, 30, "all rows are there")
    assert total["requests"] == count
    for name, value in total.items():
        if name.endswith("_usd"):
            assert Decimal(value) == sum(Decimal(each[name]) for each in own), name
    for house in houses[1:]:
        assert house.admin("spend", hosts="all")["total"] == total
    pages = [house.admin("requests", hosts="all", limit=50) for house in houses]
    assert pages[0] == pages[1] == pages[2]
    return total


def test_the_ledger_of_all_hosts_is_the_bill_whatever_is_killed(houses: list[House], postgres: PostgresServer) -> None:
    dice = random.Random(11)
    with Crowd([house.port for house in houses], REQUEST, CLIENTS) as crowd:
        for _ in range(ROUNDS):
            spends_on(houses)
            kill_control(dice.choice(houses))
            postgres.kill()
            time.sleep(dice.uniform(0, 0.5))
            postgres.start()
        spends_on(houses)
        with postgres.away():
            spends_on(houses)
    assert crowd.statuses.keys() == {200}, crowd.bodies
    total = totals(houses)
    assert total["requests"] == crowd.statuses[200]
    assert Decimal(total["cost_usd"]) == billed(houses[0])
    print(f"{total['requests']} requests, {total['cost_usd']} USD, to the cent of the bill; then")

    with Crowd([house.port for house in houses], REQUEST, CLIENTS):
        for _ in range(ROUNDS):
            house = dice.choice(houses)
            spends_on(houses)
            house.kill_everything()
            house.start()
        spends_on(houses)
    total = totals(houses)
    marked = Decimal(total["estimated_usd"]) + Decimal(total["unsettled_usd"])
    assert Decimal(total["cost_usd"]) - marked <= billed(houses[0]) <= Decimal(total["cost_usd"])
    said = CliRunner().invoke(
        cli, ["doctor", "--config", str(houses[0].config), "--state-dir", str(houses[0].state_dir)]
    )
    assert "requests on their way to 127.0.0.1" in said.output
    print(f"{total['requests']} requests, {total['cost_usd']} USD, of which {marked} by bounds")
