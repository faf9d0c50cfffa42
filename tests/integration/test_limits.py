"""Limits on requests, tokens and what is open at once: who passes, what the rest is told, and what is given back."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support import by_api
from tests.support.by_api import CHAT, OK, created, soon, status
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, Line, exchange, head

REFUSED = (429, "rate_limited")
SLOW = {"ttft_ms": 20_000, "tokens": 2}
TINY = [{"limit_usd": "0.000000001", "window": "day"}]


def settings() -> dict[str, Any]:
    return {
        "models": {"smart": {"targets": [{"provider": "sim", "model": "sim-small"}]}},
        "customers": [{"id": "acme", "limits": [{"requests": 3, "window": "day", "models": ["smart"]}]}],
        "teams": [{"id": "platform", "customer": "acme", "limits": [{"tokens": 10_000, "window": "hour"}]}],
        "keys": [
            key("two", limits=[{"requests": 2, "window": "day"}]),
            key("steady", limits=[{"requests": 2, "window": {"every": 2, "unit": "second"}}]),
            key("broke", limits=[{"requests": 2, "window": "day"}], budgets=TINY),
            key("budgeted", limits=[{"requests": 1, "window": "day"}], budgets=[{"limit_usd": "1", "window": "day"}]),
            key("words", limits=[{"tokens": 2_000, "window": "day"}, {"output_tokens": 150, "window": "day"}]),
            key("little", limits=[{"input_tokens": 5, "window": "day"}]),
            key("seven", limits=[{"concurrent": 7}, {"requests": 1000, "window": "minute"}]),
            key("member", team="platform"),
            key("there", providers=[{"provider": "sim", "limits": [{"requests": 1, "window": "day"}]}]),
            key("free"),
        ],
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), settings(), workers=4) as house:
        yield house


@pytest.fixture
def api(house: House) -> Iterator[httpx.Client]:
    with by_api.client(house) as client:
        yield client


def ask(house: House, name: str, path: str = CHAT, model: str = "sim/sim-small", **more: Any) -> Answer:
    """One request on a connection of its own; ``sim``: a script for the simulator."""
    script = more.pop("sim", None)
    text = "hello" if script is None else f"sim: {json.dumps(script)}"
    body = compact({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": text}], **more})
    headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
    if "messages" in path:
        headers["anthropic-version"] = "2023-06-01"
    return exchange(house.port, head(path, headers, length=len(body)) + body)


def code(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("x-fastgate-error")


def of_limit(house: House, id_: str) -> dict[str, Any]:
    [found] = [each for each in house.admin("limits", limit=1000)["items"] if each["id"] == id_]
    return dict(found)


def test_what_is_beyond_the_limit_is_refused_and_every_answer_says_how_it_stands(house: House) -> None:
    answers = [ask(house, "two") for _ in range(3)]
    assert [code(answer) for answer in answers] == [OK, OK, REFUSED]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"2"}
    for answer in answers:
        assert re.fullmatch(r"(24h0m0s|23h59m\d\d?(\.\d{1,3})?s)", answer.headers["x-ratelimit-reset-requests"])
    refused = answers[2]
    error = json.loads(refused.body)["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "key limit 'key:two/limit/requests/day'" in error["message"]
    assert "it allows 2 requests per day, of which 2 are taken, and this request may take 1" in error["message"]
    assert re.search(r"It resets at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\. Retry after 60 s\.", error["message"])
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("60", "60000")
    assert "x-should-retry" not in refused.headers


def test_the_moment_of_the_reset_is_told_to_the_millisecond_and_then_it_passes(house: House) -> None:
    while code(answer := ask(house, "steady")) == OK:
        pass
    assert code(answer) == REFUSED
    wait_ms, wait = int(answer.headers["retry-after-ms"]), int(answer.headers["retry-after"])
    assert 1 <= wait_ms <= 2000
    assert wait == max(1, -(-wait_ms // 1000))
    asyncio.run(asyncio.sleep(wait_ms / 1000))
    assert code(ask(house, "steady")) == OK


def test_anthropic_clients_are_told_in_their_own_words(house: House) -> None:
    before = datetime.now(UTC)
    answer = ask(house, "member", "/v1/messages")
    assert answer.status == 200
    assert int(answer.headers["anthropic-ratelimit-tokens-limit"]) == 10_000
    assert int(answer.headers["anthropic-ratelimit-tokens-remaining"]) < 10_000
    reset = datetime.fromisoformat(answer.headers["anthropic-ratelimit-tokens-reset"])
    assert timedelta(0) < reset - before <= timedelta(hours=1, seconds=10)
    assert re.fullmatch(r".*:\d\d\.\d{3}Z", answer.headers["anthropic-ratelimit-tokens-reset"])
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    answer = ask(house, "member", "/v1/messages", max_tokens=20_000)
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (429, "rate_limit_error")
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert re.search(r"this request alone may take \d+\. Retrying does not help\.", answer.body.decode())


def test_tokens_are_held_by_their_bounds_and_settled_to_what_was_used(house: House) -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 30}
    answer = ask(house, "words", sim={"usage": usage}, max_tokens=100)
    assert answer.status == 200
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) == 150 - 30, "the tightest of both"
    house.settled()
    assert of_limit(house, "key:words/limit/tokens/day")["used"] == 70
    assert of_limit(house, "key:words/limit/output_tokens/day") | {"resets_at": None} == {
        "id": "key:words/limit/output_tokens/day", "level": "key", "owner": "key:words", "counted": "output_tokens",
        "window": "day", "models": [], "limit": 150, "used": 30, "left": 120, "resets_at": None,
    }  # fmt: skip
    assert code(ask(house, "words", max_tokens=121)) == REFUSED, "its cap does not fit"
    assert code(ask(house, "words", sim={"usage": usage}, max_tokens=120)) == OK
    assert code(ask(house, "little")) == REFUSED, "its input does not fit"


def test_an_error_of_the_provider_uses_no_tokens_but_counts_as_a_request(house: House, api: httpx.Client) -> None:
    limits = [{"requests": 5, "window": "day"}, {"tokens": 1000, "window": "day"}]
    created(api, "keys", id="unlucky", secret=secret("unlucky"), limits=limits)
    soon_limited(house, "unlucky")
    answer = ask(house, "unlucky", sim={"fail": "400"})
    assert answer.status == 400
    assert (answer.headers["x-ratelimit-remaining-requests"], answer.headers["x-ratelimit-limit-tokens"]) == (
        "4", "1000",
    )  # fmt: skip
    assert of_limit(house, "key:unlucky/limit/tokens/day")["used"] == 0


def soon_limited(house: House, name: str) -> None:
    """Every worker knows the key; nothing was counted meanwhile."""
    for _ in range(8 * house.workers):
        wait_for(lambda: status(house, secret(name), "sim/") == (404, "model_not_found"), 5, "the key works")


def test_what_a_budget_refuses_counts_in_no_limit_and_the_other_way_round(house: House) -> None:
    answers = [ask(house, "broke") for _ in range(3)]
    assert [code(answer) for answer in answers] == [(402, "budget_exceeded")] * 3
    assert answers[2].headers["x-ratelimit-remaining-requests"] == "2", "errors of ours tell it, too"
    assert of_limit(house, "key:broke/limit/requests/day")["used"] == 0
    assert code(ask(house, "budgeted")) == OK
    house.settled()
    before = house.budget("key:budgeted/day/default")
    assert [code(ask(house, "budgeted")) for _ in range(3)] == [REFUSED] * 3
    after = house.budget("key:budgeted/day/default")
    assert (after["spent_usd"], after["held_usd"]) == (before["spent_usd"], "0.000000000")


def test_a_limit_for_some_models_lets_others_pass(house: House) -> None:
    assert [code(ask(house, "member", model="smart")) for _ in range(4)] == [OK, OK, OK, REFUSED]
    assert code(ask(house, "member")) == OK
    assert of_limit(house, "customer:acme/limit/requests/day/smart")["left"] == 0


def test_a_limit_at_a_provider_holds_there(house: House) -> None:
    assert [code(ask(house, "there")) for _ in range(2)] == [OK, REFUSED]
    assert of_limit(house, "provider:there/sim/limit/requests/day")["level"] == "provider"


def test_counting_tokens_is_a_request_and_uses_none(house: House, api: httpx.Client) -> None:
    limits = [{"requests": 3, "window": "day"}, {"tokens": 1000, "window": "day"}, {"concurrent": 1}]
    budgets = [{"limit_usd": "1", "window": "day"}]
    created(api, "keys", id="counter", secret=secret("counter"), limits=limits, budgets=budgets)
    soon_limited(house, "counter")
    answers = [ask(house, "counter", "/v1/messages/count_tokens") for _ in range(4)]
    assert [code(answer) for answer in answers] == [OK, OK, OK, REFUSED]
    assert answers[1].headers["anthropic-ratelimit-requests-remaining"] == "1"
    assert of_limit(house, "key:counter/limit/tokens/day") | {"limit": 0, "left": 0} == {
        "id": "key:counter/limit/tokens/day", "level": "key", "owner": "key:counter", "counted": "tokens",
        "window": "day", "models": [], "limit": 0, "used": 0, "left": 0, "resets_at": None,
    }  # fmt: skip
    assert house.budget("key:counter/day/default")["resets_at"] is None, "no window of a budget has begun"


def test_a_key_without_limits_is_told_of_none(house: House) -> None:
    headers = ask(house, "free").headers
    assert not [name for name in headers if "ratelimit" in name]


def test_seven_are_open_at_once_and_none_after_a_worker_was_killed(house: House) -> None:
    """40 at once on ``concurrent: 7``: 7 pass. What a dead worker had open is open no longer."""

    async def crowd() -> None:
        text = f"sim: {json.dumps(SLOW)}"
        body = compact({"model": "sim/sim-small", "messages": [{"role": "user", "content": text}], "stream": True})
        headers = {"authorization": f"Bearer {secret('seven')}", "content-type": "application/json"}
        lines = [Line(house.port) for _ in range(40)]
        for line in lines:
            await line.open()
        asked = [asyncio.ensure_future(line.ask(CHAT, headers, body)) for line in lines]
        refused: list[Answer] = []
        for each in asyncio.as_completed(asked):
            refused.append(await each)
            if len(refused) == 33:
                break
        assert {code(answer) for answer in refused} == {REFUSED}
        message = json.loads(refused[0].body)["error"]["message"]
        assert "it allows 7 concurrent requests, of which 7 are taken: it has room again when one" in message
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert all(answer.headers["x-ratelimit-limit-requests"] == "1000" for answer in refused)
        assert (await asyncio.to_thread(of_limit, house, "key:seven/limit/concurrent"))["used"] == 7
        await asyncio.to_thread(kill_workers, house)
        await asyncio.gather(*asked, return_exceptions=True)
        for line in lines:
            line.close()

    asyncio.run(crowd())
    wait_for(lambda: of_limit(house, "key:seven/limit/concurrent")["used"] == 0, 30, "nothing is open")
    assert of_limit(house, "key:seven/limit/requests/minute")["used"] == 7, "they were sent, and count"
    assert soon(house, secret("seven"), OK) < 5


def kill_workers(house: House) -> None:
    for pid in house.pids("worker"):
        os.kill(pid, signal.SIGKILL)


def test_an_edit_of_the_number_keeps_what_was_counted(house: House, api: httpx.Client) -> None:
    created(api, "keys", id="edited", secret=secret("edited"), limits=[{"requests": 2, "window": "day"}])
    soon_limited(house, "edited")
    assert [code(ask(house, "edited")) for _ in range(3)] == [OK, OK, REFUSED]
    shown = api.patch("/keys/edited", json={"limits": [{"requests": 3, "window": "day"}]}).json()
    assert [(each["requests"], each["window"]) for each in shown["limits"]] == [(3, "day")]
    assert api.get("/keys/edited").json()["limits"] == shown["limits"]
    wait_for(lambda: status(house, secret("edited")) == OK, 5, "the third passes")
    assert of_limit(house, "key:edited/limit/requests/day")["used"] == 3
    assert code(ask(house, "edited")) == REFUSED
    listed = api.get("/limits", params={"owner": "key:edited"}).json()["items"]
    assert [each["id"] for each in listed] == ["key:edited/limit/requests/day"]
    api.delete("/keys/edited")
    assert api.get("/limits", params={"owner": "key:edited"}).json() == {"items": [], "next": None}


def test_limits_are_listed_by_pages_the_file_s_and_the_api_s(house: House, api: httpx.Client) -> None:
    created(
        api, "teams", id="listed", limits=[{"requests": 1, "window": "week"}, {"concurrent": 3, "models": ["smart"]}]
    )
    ids, cursor = [], None
    while True:
        page = api.get("/limits", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        ids += [each["id"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert ids == sorted(set(ids))
    assert {"key:two/limit/requests/day", "team:listed/limit/concurrent/smart"} <= set(ids)
    teams = api.get("/limits", params={"level": "team"}).json()["items"]
    assert {each["owner"] for each in teams} == {"team:platform", "team:listed"}


def test_a_model_that_a_limit_names_stays(house: House, api: httpx.Client) -> None:
    created(api, "models", id="named", targets=[{"provider": "sim", "model": "sim-small"}])
    created(api, "teams", id="naming", limits=[{"requests": 1, "window": "day", "models": ["named"]}])
    answer = api.delete("/models/named")
    assert (answer.status_code, answer.json()["referrers"]) == (409, ["team:naming"])


def test_refusals_are_in_the_ledger_and_in_the_metrics(house: House) -> None:
    house.settled()
    rows = house.requests(key="two", status="429")
    assert {(row["error"], row["route"], row["cost_usd"]) for row in rows} == {
        ("rate_limited", "limit:key", "0.000000000")
    }
    metrics = httpx.get(f"{house.admin_url}/metrics", trust_env=False).text
    assert re.search(r'fastgate_rejections_total\{level="key",reason="rate_limited"\} \d', metrics)
    assert re.search(r'fastgate_rejections_total\{level="customer",reason="rate_limited"\} 1', metrics)
