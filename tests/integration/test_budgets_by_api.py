"""Budgets created, changed, deleted and begun anew while the gateway runs."""

import asyncio
import shutil
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.support import by_api
from tests.support.by_api import OK, created, soon, status
from tests.support.house import House, key, secret, wait_for

SPENT = (402, "budget_exceeded")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "customers": [{"id": "acme"}],
        "keys": [key("of-file", budgets=[{"limit_usd": "5", "window": "month"}])],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=2) as house:
        yield house


@pytest.fixture
def api(house: House) -> Iterator[httpx.Client]:
    with by_api.client(house) as client:
        yield client


def spend(house: House, secret: str, times: int) -> None:
    for _ in range(times):
        assert status(house, secret) == OK
    house.settled()


def test_a_spent_budget_serves_again_after_its_reset_and_its_requests_stay(house: House, api: httpx.Client) -> None:
    budgets = [{"limit_usd": "0.0005", "window": "lifetime"}]
    secret = created(api, "keys", id="worn", budgets=budgets)["secret"]
    soon(house, secret, OK)
    wait_for(lambda: status(house, secret) == SPENT, 10, "it is spent")
    house.settled()
    before = house.budget("key:worn/lifetime/default")
    assert Decimal(before["spent_usd"]) > 0
    rows = len(house.requests(key="worn"))
    after = api.post("/budgets/key:worn/lifetime/default/reset")
    assert (after.status_code, after.json()["spent_usd"], after.json()["left_usd"]) == (
        200, "0.000000000", "0.000500000",
    )  # fmt: skip
    assert status(house, secret) == OK
    house.settled()
    assert Decimal(house.budget("key:worn/lifetime/default")["spent_usd"]) > 0
    assert len(house.requests(key="worn")) == rows + 1
    [change] = api.get("/audit", params={"collection": "budgets"}).json()["items"]
    assert (change["action"], change["id"]) == ("reset", "key:worn/lifetime/default")
    assert (change["before"], change["after"]) == (
        {"spent_usd": before["spent_usd"]}, {"spent_usd": "0.000000000"},
    )  # fmt: skip
    assert api.get("/spend", params={"where": "key=worn"}).json()["total"]["cost_usd"] == house_cost(house, "worn")


def house_cost(house: House, key: str) -> str:
    return f"{sum((Decimal(row['cost_usd']) for row in house.requests(key=key)), Decimal()):.9f}"


def held_now(house: House) -> Decimal:
    return Decimal(house.budget("key:open/day/default")["held_usd"])


def test_what_is_held_stays_held_and_counts_after_the_reset(house: House, api: httpx.Client) -> None:
    budgets = [{"limit_usd": "1", "window": "day"}]
    secret = created(api, "keys", id="open", budgets=budgets)["secret"]
    soon(house, secret, OK)
    house.settled()

    async def both() -> int:
        message = {"role": "user", "content": 'sim: {"latency_ms": 1500}'}
        asked = asyncio.create_task(asyncio.to_thread(status, house, secret, messages=[message]))
        held = await asyncio.to_thread(wait_for, lambda: held_now(house), 5, "a hold is open")
        answer = await asyncio.to_thread(api.post, "/budgets/key:open/day/default/reset")
        assert (Decimal(answer.json()["spent_usd"]), Decimal(answer.json()["held_usd"])) == (0, held)
        return (await asked)[0]

    assert asyncio.run(both()) == 200
    house.settled()
    budget, last = house.budget("key:open/day/default"), house.requests(key="open")[0]
    assert (budget["spent_usd"], Decimal(budget["held_usd"])) == (last["cost_usd"], 0)


def test_a_reset_outlives_a_lost_arena(house: House, api: httpx.Client) -> None:
    secret = created(api, "keys", id="lost", budgets=[{"limit_usd": "1", "window": "lifetime"}])["secret"]
    soon(house, secret, OK)
    house.settled()
    assert api.post("/budgets/key:lost/lifetime/default/reset").status_code == 200
    spend(house, secret, 3)
    before = house.budget("key:lost/lifetime/default")["spent_usd"]
    house.settled()
    house.stop()
    shutil.rmtree(house.arena_dir)
    house.start()
    assert house.budget("key:lost/lifetime/default")["spent_usd"] == before
    assert sum(Decimal(row["cost_usd"]) for row in house.requests(key="lost")) > Decimal(before)


def test_a_budget_of_its_own_binds_soon_and_goes_again(house: House, api: httpx.Client) -> None:
    created(api, "teams", id="crew")
    key = created(api, "keys", id="member", team="crew", providers=[{"provider": "sim"}])["secret"]
    soon(house, key, OK)
    for owner in ("team:crew", "provider:member/sim"):
        id_ = f"{owner}/day/small"
        made = api.post("/budgets", json={"owner": owner, "limit_usd": "0.000001", "window": "day", "name": "small"})
        assert (made.status_code, made.headers["location"], made.json()["id"]) == (201, f"/api/v1/budgets/{id_}", id_)
        soon(house, key, SPENT)
        assert api.patch(f"/budgets/{id_}", json={"limit_usd": "5"}).json()["limit_usd"] == "5.000000000"
        soon(house, key, OK)
        assert api.patch(f"/budgets/{id_}", json={"limit_usd": "0.000001"}).status_code == 200
        soon(house, key, SPENT)
        assert api.delete(f"/budgets/{id_}").status_code == 204
        soon(house, key, OK)
        assert api.get(f"/budgets/{id_}").status_code == 404
    assert api.get("/teams/crew").json()["budgets"] == []


BUDGET = {"limit_usd": "1", "window": "day"}
BAD = [
    ("POST", "/budgets", {**BUDGET, "owner": "team:nobody"}, 404, "there is no team nobody"),
    ("POST", "/budgets", {**BUDGET, "owner": "nobody"}, 422, "is not an owner of budgets"),
    ("POST", "/budgets", {**BUDGET, "owner": "customer:acme/"}, 422, "is not an owner of budgets"),
    ("POST", "/budgets", {**BUDGET, "owner": "team:acme/x"}, 422, "is not an owner of budgets"),
    ("POST", "/budgets", {**BUDGET, "owner": "provider:plain"}, 422, "is not an owner of budgets"),
    ("POST", "/budgets", {**BUDGET, "owner": "key:of-file"}, 409, "configuration file"),
    ("POST", "/budgets", {**BUDGET, "owner": "provider:plain/sim"}, 404, "names no provider sim"),
    ("POST", "/budgets", {"owner": "key:plain", "limit_usd": "1"}, 422, "window is missing"),
    ("POST", "/budgets", {**BUDGET, "owner": "key:plain", "on_limit": "downgrade"}, 422, "needs to know where to"),
    ("PATCH", "/budgets/key:plain/day/default", {"calendar": True, "timezone": "Mars/Base"}, 422, "no time zone"),
    ("PATCH", "/budgets/key:plain/day/default", {"mode": "soft", "on_limit": "clamp"}, 422, "refuses nothing"),
    ("PATCH", "/budgets/key:plain/day/default", {"alerts_percent": [50, 50]}, 422, "stands there twice"),
    ("PATCH", "/budgets/key:plain/day/default", {"window": "month"}, 422, "known by it"),
    ("PATCH", "/budgets/key:plain/day/default", {"limit": "1"}, 422, "unknown setting"),
    ("PATCH", "/budgets/key:plain/day/default", {"limit_usd": None}, 422, "limit_usd is missing"),
    ("PATCH", "/budgets/key:of-file/month/default", {"limit_usd": "9"}, 409, "configuration file"),
    ("POST", "/budgets/key:nobody/day/default/reset", None, 404, "there is no budget"),
    ("POST", "/budgets", {**BUDGET, "owner": "key:plain"}, 409, "a second budget default with this window"),
]


@pytest.mark.parametrize(("method", "path", "document", "code", "words"), BAD)
def test_what_cannot_be_is_refused(
    house: House, api: httpx.Client, method: str, path: str, document: dict[str, Any] | None, code: int, words: str
) -> None:
    if api.get("/keys/plain").status_code == 404:
        created(api, "keys", id="plain", budgets=[BUDGET])
    answer = api.request(method, path, json=document)
    assert (answer.status_code, words in answer.text) == (code, True), answer.text


def test_a_budget_has_its_owners_tag(api: httpx.Client) -> None:
    budget = {"limit_usd": "1", "window": "day"}
    tag = api.post("/teams", json={"id": "tagged", "budgets": [budget]}).headers["etag"]
    path = "/budgets/team:tagged/day/default"
    assert api.get(path).headers["etag"] == tag
    changed = api.patch(path, json={"limit_usd": "2"}, headers={"if-match": tag})
    assert changed.headers["etag"] == api.get("/teams/tagged").headers["etag"] != tag
    assert api.patch(path, json={"limit_usd": "3"}, headers={"if-match": tag}).status_code == 412
    assert "etag" not in api.get("/budgets/key:of-file/month/default").headers, "the file's cannot be changed here"


def test_a_budget_of_the_file_can_be_begun_anew_too(house: House, api: httpx.Client) -> None:
    spend(house, secret("of-file"), 1)
    assert Decimal(house.budget("key:of-file/month/default")["spent_usd"]) > 0
    assert api.post("/budgets/key:of-file/month/default/reset").json()["spent_usd"] == "0.000000000"
    assert api.post("/budgets/key%3Aof-file%2Fmonth%2Fdefault/reset").status_code == 200
