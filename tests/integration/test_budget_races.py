"""Budgets under parallel requests: as many pass as fit one after another, and nobody else suffers.

Every request here costs exactly what is held for it: its scripted usage is its strict bound. So it does not matter who
settles when, and the number that fits is known to the nano-dollar.
"""

import asyncio
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.exact import HOLD, budget, request, usd
from tests.support.house import House, key, wait_for
from tests.support.wire import Answer, parallel

LEVELS = ("provider", "key", "team", "customer")


def settings() -> dict[str, Any]:
    """For each test a customer, a team and keys of its own."""
    customers: list[dict[str, Any]] = []
    teams: list[dict[str, Any]] = []
    keys: list[dict[str, Any]] = []
    for level in LEVELS:
        own = {each: {"budgets": [budget(7)]} if each == level else {} for each in LEVELS}
        customers.append({"id": f"customer-{level}", **own["customer"]})
        teams.append({"id": f"team-{level}", "customer": f"customer-{level}", **own["team"]})
        keys.append(
            key(f"on-{level}", team=f"team-{level}", providers=[{"provider": "sim", **own["provider"]}], **own["key"])
        )
    teams += [{"id": "free"}, {"id": "shared", "budgets": [budget(200)]}]
    keys += [
        key("twenty", team="free", budgets=[budget(20)]),
        key("twenty-odd", team="free", budgets=[budget(20, HOLD - 1)]),
        key("five-hundred", team="free", budgets=[budget(500)]),
        key("fitting", team="shared"),
        key("spent", team="shared", budgets=[budget(0, HOLD - 1)]),
        key("windowed", team="free", budgets=[budget(3, window={"every": 2, "unit": "second"}, name="w")]),
        key("minute", team="free", budgets=[budget(1, window="minute")]),
    ]
    return {"customers": customers, "teams": teams, "keys": keys}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), settings(), workers=4) as house:
        yield house


def ask(house: House, requests: list[tuple[str, dict[str, str], bytes]]) -> tuple[list[Answer], list[Answer]]:
    """Those that passed, and those that were refused."""
    answers = asyncio.run(parallel(house.port, requests))
    passed = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 402]
    assert len(passed) + len(refused) == len(answers), {answer.status for answer in answers}
    return passed, refused


def assert_refused(answers: list[Answer], level: str, id_: str, limit: str) -> None:
    """Every refusal says what it has to."""
    for answer in answers:
        assert answer.headers["x-fastgate-error"] == "budget_exceeded"
        text = answer.body.decode()
        passing = "open requests hold the rest" in text
        assert answer.headers.get("x-should-retry") == (None if passing else "false")
        assert "retry-after" not in answer.headers
        assert f"The {level} budget '{id_}' does not cover this request: limit ${limit}, spent $" in text
        assert re.search(r"It resets at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\.", text), text
        assert answer.headers["x-fastgate-request-id"] in text


def billed(house: House) -> tuple[int, Decimal]:
    """Requests and USD on the simulator's bill, and a new page of it."""
    total = house.bill()["total"]
    house.simulator.reset()
    return total["requests"], Decimal(total["usd"])


@pytest.mark.parametrize("name", ["twenty", "twenty-odd"])
def test_five_hundred_on_a_budget_for_twenty(house: House, name: str) -> None:
    house.simulator.reset()
    passed, refused = ask(house, [request(name, n) for n in range(500)])
    assert (len(passed), len(refused)) == (20, 480)
    id_ = f"key:{name}/day/default"
    house.settled()
    found = house.budget(id_)
    assert_refused(refused, "key", id_, found["limit_usd"].rstrip("0"))
    requests, spent = billed(house)
    assert (requests, spent) == (20, Decimal(found["spent_usd"])) == (20, Decimal(usd(20 * HOLD)))
    assert spent <= Decimal(found["limit_usd"])
    assert Decimal(found["held_usd"]) == Decimal(found["overrun_usd"]) == 0
    rows = house.requests(key=name)
    assert [row["status"] for row in rows].count(200) == 20
    assert [(row["error"], row["cost_usd"]) for row in rows if row["status"] == 402] == (
        [("budget_exceeded", "0.000000000")] * 480
    )
    assert {row["hold_usd"] for row in rows if row["status"] == 200} == {f"{Decimal(usd(HOLD)):.9f}"}
    assert ask(house, [request(name, 999)])[0] == []


def test_five_hundred_on_a_budget_for_five_hundred(house: House) -> None:
    house.simulator.reset()
    passed, refused = ask(house, [request("five-hundred", n) for n in range(500)])
    assert (len(passed), len(refused)) == (500, 0)
    assert billed(house) == (500, Decimal(usd(500 * HOLD)))
    assert ask(house, [request("five-hundred", 999)])[0] == []


def test_a_spent_key_takes_nothing_from_a_fitting_one_of_its_team(house: House) -> None:
    """The team's budget is for exactly the fitting key's requests: a moment's hold too much would reject one."""
    fitting = [request("fitting", n, latency_ms=0) for n in range(200)]
    spent = [request("spent", n, latency_ms=0) for n in range(600)]
    # Three of the spent key's before and after each of the other's.
    mixed = [each for n, one in enumerate(fitting) for each in (*spent[3 * n : 3 * n + 2], one, spent[3 * n + 2])]
    passed, refused = ask(house, mixed)
    assert (len(passed), len(refused)) == (200, 600)
    assert_refused_by(refused, "key:spent/day/default")
    passed, refused = ask(house, [request("fitting", 999)])
    assert_refused_by(refused, "team:shared/day/default")
    assert not passed


def assert_refused_by(answers: list[Answer], id_: str) -> None:
    assert answers
    assert {f"'{id_}'" in answer.body.decode() for answer in answers} == {True}


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_binds(house: House, level: str) -> None:
    owner = {
        "provider": f"provider:on-{level}/sim",
        "key": f"key:on-{level}",
        "team": f"team:team-{level}",
        "customer": f"customer:customer-{level}",
    }[level]
    passed, refused = ask(house, [request(f"on-{level}", n, latency_ms=100) for n in range(40)])
    assert (len(passed), len(refused)) == (7, 33)
    assert_refused(refused, level, f"{owner}/day/default", usd(7 * HOLD).rstrip("0"))
    left = {answer.headers["x-fastgate-budget-left-usd"] for answer in passed}
    assert left <= {f"{Decimal(usd(n * HOLD)):.9f}" for n in range(7)}


def test_a_window_that_turns_gives_all_of_its_budget_again(house: House) -> None:
    id_ = "key:windowed/2-second/w"
    for round_ in range(2):
        passed, refused = ask(house, [request("windowed", 10 * round_ + n, latency_ms=0) for n in range(10)])
        assert (len(passed), len(refused)) == (3, 7)
        now = house.budget(id_)
        assert now["window"] == "2-second"
        wait_for(lambda: Decimal(house.budget(id_)["spent_usd"]) == 0, 4, "the window turns")


def test_what_was_held_before_a_window_turned_is_not_counted_in_the_next(house: House) -> None:
    """A request that is answered after its window ended belongs to the window in which it began."""
    id_ = "key:windowed/2-second/w"
    wait_for(lambda: Decimal(house.budget(id_)["spent_usd"]) == 0, 4, "an unused window")
    slow = [request("windowed", n, latency_ms=2600) for n in range(3)]

    async def both() -> tuple[list[Answer], list[Answer]]:
        first = asyncio.create_task(parallel(house.port, slow))
        while Decimal((await asyncio.to_thread(house.budget, id_))["held_usd"]) < 3 * Decimal(usd(HOLD)):
            await asyncio.sleep(0.01)
        while Decimal((await asyncio.to_thread(house.budget, id_))["held_usd"]):
            await asyncio.sleep(0.01)
        assert not first.done()
        second = await parallel(house.port, [request("windowed", 50 + n, latency_ms=0) for n in range(5)])
        return await first, second

    first, second = asyncio.run(both())
    assert [answer.status for answer in first] == [200] * 3
    assert sorted(answer.status for answer in second) == [200] * 3 + [402] * 2


def test_a_minutes_budget_says_when_the_minute_ends(house: House) -> None:
    passed, refused = ask(house, [request("minute", n) for n in range(3)])
    assert len(passed) == 1
    resets = house.budget("key:minute/minute/default")["resets_at"]
    assert {f"It resets at {resets[:19]}Z." in answer.body.decode() for answer in refused} == {True}
