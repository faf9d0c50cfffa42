"""A budget for each user, tag, session, model and environment of a shared key, over four workers."""

import random
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from fastgate._core.arena import Arena
from fastgate.budgets.templates import MOST_VALUES, owner_of
from tests.support.house import House, key, secret, wait_for

NANO = Decimal(10) ** 9
DAY = [{"limit_usd": "0.002", "window": "day"}]
WIDE = [{"limit_usd": "50", "window": "month"}]
SETTINGS: dict[str, Any] = {
    "teams": [{"id": "platform", "environment": "prod", "budgets": WIDE}],
    "keys": [
        key("ide", team="platform", trusted_identity=True, each={"user": {"budgets": DAY}, "model": {"budgets": WIDE}}),
        key(
            "agents",
            team="platform",
            trusted_identity=True,
            tags={"product": "agents"},
            each={
                "session": {"budgets": WIDE},
                "tag:project": {"budgets": WIDE},
                "tag:product": {"budgets": WIDE},
                "environment": {"budgets": [{"name": "all", "limit_usd": "70", "window": "lifetime"}]},
            },
        ),
        key(
            "soft",
            trusted_identity=True,
            each={"user": {"budgets": [{"limit_usd": "0.00000001", "window": "day", "mode": "soft"}]}},
        ),
    ],
}
ODD = ["ünï/cødé", "模型", "a?b#c%d", "..", "-", "*", "x" * 200, "o'brien; DROP TABLE events"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("each"), SETTINGS, workers=4, simulator={}) as house:
        for name in ("ide", "agents"):  # the first uses of what all share, one after another
            assert ask(house, name, user="first").status_code == 200
        yield house


def ask(house: House, name: str = "ide", tokens: int = 100, **said: str) -> httpx.Response:
    """``said``: in headers; a user, who may be called anything, in the body."""
    body = {"user": said.pop("user")} if "user" in said else {}
    headers = {f"x-fastgate-{what}": text for what, text in said.items()}
    return httpx.post(
        f"{house.openai_url}/chat/completions",
        headers={"authorization": f"Bearer {secret(name)}", **headers},
        json={
            **body,
            "model": "sim/sim-small",
            "max_tokens": 200,
            "messages": [{"role": "user", "content": f'sim: {{"tokens": {tokens}}}'}],
        },
        trust_env=False,
        timeout=60,
    )


def spent(house: House, **which: str) -> dict[str, int]:
    """nano-USD by owner, page by page."""
    found: dict[str, int] = {}
    cursor: dict[str, str] = {}
    while True:
        page = house.admin("budgets", limit=7, **which, **cursor)
        for each in page["items"]:
            assert each["owner"] not in found
            found[each["owner"]] = int(Decimal(each["spent_usd"]) * NANO)
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def cost(answer: httpx.Response) -> int:
    return int(Decimal(answer.headers["x-fastgate-cost-usd"]) * NANO)


def test_every_user_has_a_budget_to_the_nano_dollar(house: House) -> None:
    dice = random.Random(1)
    users = [*(f"user-{number}" for number in range(20)), *ODD]
    asked = [(dice.choice(users), dice.randrange(1, 150)) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: ask(house, user=each[0], tokens=each[1]), asked))
    expected: dict[str, int] = defaultdict(int)
    for (user, _), answer in zip(asked, answers, strict=True):
        assert answer.status_code == 200, answer.text
        expected[owner_of("user:ide/*", user[:128])] += cost(answer)
    house.settled()
    found = spent(house, level="user")
    assert {owner: found.get(owner) for owner in expected} == expected
    assert spent(house, level="model")["model:ide/sim-small"] >= sum(expected.values())
    by_user = {group["user"]: group["cost_usd"] for group in house.admin("spend?by=user&where=key%3Dide")["groups"]}
    for user in users:
        owner = owner_of("user:ide/*", user[:128])
        if owner in expected:
            assert Decimal(by_user[user[:128]]) * NANO == expected[owner]
            budget = house.admin(f"budgets/{quote(f'{owner}/day/default')}")
            assert Decimal(budget["spent_usd"]) * NANO == expected[owner]
            assert budget["burn_usd_per_hour"] == (None if "#" in owner else budget["spent_usd"])


def test_one_who_has_spent_all_disturbs_nobody(house: House) -> None:
    while (answer := ask(house, user="spender", tokens=200)).status_code == 200:
        left = answer.headers["x-fastgate-budget-left-usd"]
        [budget] = house.admin("budgets", owner="user:ide/spender")["items"]
        assert Decimal(budget["left_usd"]) == Decimal(left) < Decimal("0.002")
    assert answer.status_code == 402
    assert "The user budget 'user:ide/spender/day/default' does not cover this request" in answer.text
    assert ask(house, user="frugal").status_code == 200
    house.settled()
    assert house.requests(user="spender", status=402)[0]["route"] == "budget:user"
    assert 'fastgate_rejections_total{level="user",reason="budget_exceeded"}' in metrics(house)
    house.admin("budgets/user:ide/spender/day/default/reset", "POST")
    assert ask(house, user="spender").status_code == 200


def test_a_soft_one_warns_whatever_the_user_is_called(house: House) -> None:
    assert ask(house, "soft", user="模").status_code == 200
    answer = ask(house, "soft", user="模")
    assert answer.headers["x-fastgate-budget-warning"] == "user:soft/%E6%A8%A1/day/default"


def test_requests_without_a_user_share_one_budget(house: House) -> None:
    costs = [cost(ask(house)), cost(ask(house)), cost(ask(house, user=" "))]
    house.settled()
    assert spent(house, owner="user:ide/-") == {"user:ide/-": sum(costs)}


def test_tags_sessions_and_environments_have_theirs(house: House) -> None:
    before = spent(house)
    first = cost(ask(house, "agents", session="s1", tags="project=apollo,product=mine"))
    second = cost(ask(house, "agents", session="s2", tags="project=apollo"))
    third = cost(ask(house, "agents"))
    house.settled()
    found = {owner: amount - before.get(owner, 0) for owner, amount in spent(house).items()}
    assert {owner: amount for owner, amount in found.items() if "agents" in owner and not owner.startswith("key")} == {
        "session:agents/s1": first,
        "session:agents/s2": second,
        "session:agents/-": third,
        "tag:agents/project=apollo": first + second,
        "tag:agents/project=-": third,
        "tag:agents/product=agents": first + second + third,
        "environment:agents/prod": first + second + third,
    }


def test_what_is_free_begins_no_budget(house: House) -> None:
    answer = httpx.post(
        f"{house.url}/v1/messages/count_tokens",
        headers={"x-api-key": secret("ide"), "x-fastgate-user": "counter", "anthropic-version": "2023-06-01"},
        json={"model": "sim/sim-small", "messages": [{"role": "user", "content": "hi"}]},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    assert house.admin("budgets", owner="user:ide/counter")["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "budgets/user:ide/nobody/day/default", 404, "no budget"),
        ("GET", "budgets/user:ide/*/day/default", 404, "no budget"),
        ("GET", "budgets?cursor=@none", 404, "not a cursor"),
        ("PATCH", "budgets/user:ide/-/day/default", 422, "has its budgets from a template"),
        ("DELETE", "budgets/user:ide/-/day/default", 422, "change each of the key ide"),
        ("POST", "budgets", 422, "an owner of budgets"),
    ],
)
def test_what_the_api_refuses(house: House, method: str, path: str, status: int, says: str) -> None:
    ask(house)
    body = {"owner": "user:ide/x", "limit_usd": "1", "window": "day"} if method == "POST" else {"limit_usd": "1"}
    answer = httpx.request(
        method,
        f"{house.admin_url}/api/v1/{path}",
        headers={"authorization": f"Bearer {house.admin_token}"},
        json=None if method in ("GET", "DELETE") else body,
        trust_env=False,
    )
    assert answer.status_code == status, answer.text
    assert says in answer.text


def test_a_key_of_the_api_is_bound_likewise(house: House) -> None:
    document = {"id": "made", "secret": secret("made"), "each": {"user": {"budgets": DAY}}}
    url, headers = f"{house.admin_url}/api/v1/keys", {"authorization": f"Bearer {house.admin_token}"}
    refused = httpx.post(url, json=document, headers=headers, trust_env=False)
    assert refused.status_code == 409
    assert "set trusted_identity: true" in refused.text
    made = httpx.post(url, json={**document, "trusted_identity": True}, headers=headers, trust_env=False)
    assert made.status_code == 201, made.text
    wait_for(lambda: ask(house, "made").status_code == 200, 10, "the key is in force")
    wait_for(lambda: all(ask(house, "made").status_code == 200 for _ in range(20)), 10, "and on all workers")
    answer = ask(house, "made", user="ann")
    assert answer.status_code == 200, answer.text
    house.settled()
    assert spent(house, owner="user:made/ann") == {"user:made/ann": cost(answer)}


def test_what_was_spent_survives_restart_edit_and_a_lost_arena(house: House) -> None:
    for user in ("ann", "bob", *ODD):
        ask(house, user=user)
    ask(house, "agents", session="s9", tags="project=zeus")
    house.settled()
    before = standing(house)
    assert house.stop() == 0
    house.start()
    assert standing(house) == before
    ide = {**SETTINGS["keys"][0], "each": {"user": {"budgets": [{"limit_usd": "0.5", "window": "day"}]}}}
    house.write_config({**SETTINGS, "keys": [ide, *SETTINGS["keys"][1:]]})
    house.admin("config/reload", "POST")
    assert spent(house, level="user") == {owner: s for (owner, _), (s, _) in before.items() if owner[:5] == "user:"}
    assert house.admin("budgets/user:ide/ann/day/default")["limit_usd"] == "0.500000000"
    house.write_config(SETTINGS)
    house.kill_everything()
    (house.arena_dir / "arena.bin").unlink()
    house.start()
    after = standing(house)
    assert {name: amount for name, (amount, _) in after.items()} == {
        name: amount for name, (amount, _) in before.items()
    }
    for name, (_, resets_at) in after.items():  # by the first request that came, be it not the first that held
        assert close(resets_at, before[name][1]), name
    answer = ask(house, user="ann")
    house.settled()
    assert spent(house, owner="user:ide/ann")["user:ide/ann"] == before["user:ide/ann", "day"][0] + cost(answer)


def test_there_are_so_many_values_and_no_more(tmp_path: Path) -> None:
    """Those that have come are served on; one more is refused, and the metrics tell."""
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        assert ask(house, user="early").status_code == 200
        arena = Arena(str(house.arena_dir / "arena.bin"))
        counting = arena.cell("user:ide/*/day/default")
        for number in range(MOST_VALUES - 1):
            arena.member(f"user:ide/{number}/day/default", counting, MOST_VALUES)
        answer = ask(house, user="late")
        assert (answer.status_code, answer.headers["x-fastgate-error"]) == (503, "overloaded")
        assert "the template 'user:ide/*/day/default' has 1,048,576 budgets, as many as there may be" in answer.text
        assert ask(house, user="early").status_code == 200
        house.settled()
        assert 'fastgate_rejections_total{level="user",reason="overloaded"} 1.0' in metrics(house)


def standing(house: House) -> dict[tuple[str, str], tuple[int, str | None]]:
    items = house.admin("budgets", limit=1000)["items"]
    return {
        (each["owner"], each["window"]): (int(Decimal(each["spent_usd"]) * NANO), each["resets_at"]) for each in items
    }


def close(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other)) < timedelta(seconds=1)


def metrics(house: House) -> str:
    return httpx.get(f"{house.admin_url}/metrics", trust_env=False).text
