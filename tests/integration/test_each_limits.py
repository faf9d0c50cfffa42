"""Limits of each user, session, tag and model of a shared key, over four workers."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastgate._core.arena import Arena
from fastgate.budgets.templates import LIMITS, MOST_VALUES, owner_of
from tests.support import by_api
from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, Line, exchange, head, parallel

OK = (200, None)
REFUSED = (429, "rate_limited")
ODD = ["ünï/cødé", "a?b#c%d", "..", "-", "*", "limit", "x" * 128]
SLOW = {"ttft_ms": 20_000, "tokens": 2}


def settings() -> dict[str, Any]:
    def shared(name: str, **each: Any) -> dict[str, Any]:
        return key(name, trusted_identity=True, each=each)

    return {
        "models": {"smart": {"targets": [{"provider": "sim", "model": "sim-small"}]}},
        "keys": [
            shared("ide", user={"limits": [{"requests": 5, "window": "day"}]}),
            shared(
                "words",
                user={"limits": [{"tokens": 1000, "window": "day"}, {"output_tokens": 150, "window": "hour"}]},
            ),
            shared("open", session={"limits": [{"concurrent": 2}]}),
            shared("some", user={"limits": [{"requests": 1, "window": "day", "models": ["smart"]}]}),
            shared(
                "both",
                user={
                    "budgets": [{"limit_usd": "0.001", "window": "day"}],
                    "limits": [{"requests": 2, "window": "day"}, {"tokens": 5000, "window": "day"}],
                },
            )
            | {"limits": [{"requests": 100, "window": "day"}]},
            key(
                "agents",
                tags={"product": "agents"},
                each={
                    "tag:product": {"limits": [{"requests": 3, "window": "day"}]},
                    "model": {"limits": [{"requests": 4, "window": "day"}]},
                },
            ),
        ],
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("each"), settings(), workers=4) as house:
        yield house


def request(name: str, path: str = CHAT, model: str = "sim/sim-small", **more: Any) -> tuple[dict[str, str], bytes]:
    """Headers and body; ``user``, ``session``: who it says it is; ``sim``: a script for the simulator."""
    user, session, script = more.pop("user", None), more.pop("session", None), more.pop("sim", None)
    text = "hello" if script is None else f"sim: {json.dumps(script)}"
    headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
    if session:
        headers["x-fastgate-session"] = session
    if user is not None:
        more |= {"metadata": {"user_id": user}} if "messages" in path else {"user": user}
    if "messages" in path:
        headers["anthropic-version"] = "2023-06-01"
    return headers, compact({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": text}], **more})


def ask(house: House, name: str, path: str = CHAT, **more: Any) -> Answer:
    headers, body = request(name, path, **more)
    return exchange(house.port, head(path, headers, length=len(body)) + body)


def code(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("x-fastgate-error")


def limits(house: House, **which: str) -> dict[str, tuple[int, int]]:
    """What is used and left, by id, page by page."""
    found: dict[str, tuple[int, int]] = {}
    cursor: dict[str, str] = {}
    while True:
        page = house.admin("limits", limit=3, **which, **cursor)
        for each in page["items"]:
            assert each["id"] not in found
            found[each["id"]] = (each["used"], each["left"])
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def test_each_user_has_so_many_over_all_workers(house: House) -> None:
    """Ten at once of each of two users: five of each pass."""
    asked = [(CHAT, *request("ide", user=user)) for user in ("ann", "bob") for _ in range(10)]
    answers = asyncio.run(parallel(house.port, asked))
    assert Counter(map(code, answers[:10])) == Counter(map(code, answers[10:])) == {OK: 5, REFUSED: 5}
    assert sorted(answer.headers["x-ratelimit-remaining-requests"] for answer in answers[:10] if answer.status == 200)
    refused = next(answer for answer in answers if answer.status == 429)
    assert "The user limit 'user:ide/ann/limit/requests/day' has no room" in refused.body.decode()
    assert "it allows 5 requests per day, of which 5 are taken" in refused.body.decode()
    assert refused.headers["x-ratelimit-limit-requests"] == "5"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["retry-after"] == "60"
    house.settled()
    assert limits(house, owner="user:ide/ann") == {"user:ide/ann/limit/requests/day": (5, 0)}
    rows = house.requests(key="ide", user="ann", status="429")
    assert {(row["route"], row["error"], row["cost_usd"]) for row in rows} == {
        ("limit:user", "rate_limited", "0.000000000")
    }
    assert 'fastgate_rejections_total{level="user",reason="rate_limited"}' in metrics(house)


def test_anthropic_s_clients_are_told_in_their_own_words(house: House) -> None:
    answers = [ask(house, "ide", "/v1/messages", user="claude") for _ in range(6)]
    assert [code(answer) for answer in answers] == [OK] * 5 + [REFUSED]
    assert [answer.headers["anthropic-ratelimit-requests-remaining"] for answer in answers] == [*"43210", "0"]
    assert json.loads(answers[5].body)["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("user", ODD)
def test_whatever_a_user_is_called(house: House, user: str) -> None:
    owner = owner_of("user:ide/*", user)
    assert [code(ask(house, "ide", user=user)) for _ in range(6)] == [OK] * 5 + [REFUSED]
    assert limits(house, owner=owner) == {f"{owner}/limit/requests/day": (5, 0)}


def test_tokens_are_held_and_settled_for_each(house: House) -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 30}
    answer = ask(house, "words", user="ann", sim={"usage": usage}, max_tokens=100)
    assert answer.status == 200
    assert answer.headers["x-ratelimit-limit-tokens"] == "150", "the tightest of both"
    house.settled()
    assert limits(house, owner="user:words/ann") == {
        "user:words/ann/limit/tokens/day": (70, 930),
        "user:words/ann/limit/output_tokens/hour": (30, 120),
    }
    refused = ask(house, "words", user="ann", max_tokens=121)
    assert code(refused) == REFUSED
    assert "The user limit 'user:words/ann/limit/output_tokens/hour'" in refused.body.decode()
    assert code(ask(house, "words", user="bob", max_tokens=121)) == OK
    assert code(ask(house, "words", max_tokens=121)) == OK, "those without a user share one"
    assert limits(house, owner="user:words/-")


def test_two_of_each_session_are_open_and_none_after_its_workers_were_killed(house: House) -> None:
    async def crowd() -> None:
        headers, body = request("open", session="s1", sim=SLOW, stream=True)
        lines = [Line(house.port) for _ in range(10)]
        for line in lines:
            await line.open()
        asked = [asyncio.ensure_future(line.ask(CHAT, headers, body)) for line in lines]
        refused: list[Answer] = []
        for each in asyncio.as_completed(asked):
            refused.append(await each)
            if len(refused) == 8:
                break
        assert {code(answer) for answer in refused} == {REFUSED}
        assert "The session limit 'session:open/s1/limit/concurrent'" in refused[0].body.decode()
        assert code(await asyncio.to_thread(ask, house, "open", session="s2")) == OK
        assert await asyncio.to_thread(limits, house, owner="session:open/s1") == {
            "session:open/s1/limit/concurrent": (2, 0)
        }
        for pid in await asyncio.to_thread(house.pids, "worker"):
            os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*asked, return_exceptions=True)
        for line in lines:
            line.close()

    asyncio.run(crowd())
    none = {"session:open/s1/limit/concurrent": (0, 2)}
    wait_for(lambda: limits(house, owner="session:open/s1") == none, 30, "nothing is open")
    assert by_api.soon(house, secret("open"), OK) < 5


def test_one_for_some_models_lets_others_pass(house: House) -> None:
    answers = [ask(house, "some", model="smart", user="ann") for _ in range(2)]
    assert [code(answer) for answer in answers] == [OK, REFUSED]
    other = ask(house, "some", user="ann")
    assert code(other) == OK
    assert not [name for name in other.headers if "ratelimit" in name]
    assert list(limits(house, owner="user:some/ann")) == ["user:some/ann/limit/requests/day/smart"]


def test_what_one_refuses_counts_nowhere(house: House) -> None:
    """Nor in the budgets beside it; and the other way round."""
    broke = [ask(house, "both", user="broke", max_tokens=4000) for _ in range(3)]
    assert [code(answer) for answer in broke] == [(402, "budget_exceeded")] * 3
    assert broke[0].headers["x-ratelimit-remaining-requests"] == "2", "the tightest of the user's and the key's"
    assert {used for used, _ in limits(house, owner="user:both/broke").values()} == {0}
    assert [code(ask(house, "both", user="ann", max_tokens=2)) for _ in range(3)] == [OK, OK, REFUSED]
    house.settled()
    assert limits(house, owner="key:both") == {"key:both/limit/requests/day": (2, 98)}
    [budget] = house.admin("budgets", owner="user:both/ann")["items"]
    assert (budget["held_usd"], budget["spent_usd"] > "0.000000000") == ("0.000000000", True)


def test_counting_tokens_is_a_request_of_its_user_and_begins_no_budget(house: House) -> None:
    answers = [ask(house, "both", "/v1/messages/count_tokens", user="counter") for _ in range(3)]
    assert [code(answer) for answer in answers] == [OK, OK, REFUSED]
    assert "The user limit 'user:both/counter/limit/requests/day'" in answers[2].body.decode()
    assert limits(house, owner="user:both/counter")["user:both/counter/limit/tokens/day"] == (0, 5000)
    assert house.admin("budgets", owner="user:both/counter")["items"] == []


def test_tags_and_models_have_theirs(house: House) -> None:
    assert [code(ask(house, "agents")) for _ in range(4)] == [OK, OK, OK, REFUSED]
    assert limits(house, owner="tag:agents/product=agents") == {"tag:agents/product=agents/limit/requests/day": (3, 0)}
    assert limits(house, level="model") == {"model:agents/sim-small/limit/requests/day": (3, 1)}


def test_a_key_of_the_api_is_bound_likewise(house: House) -> None:
    document = {"id": "made", "secret": secret("made"), "trusted_identity": True}
    with by_api.client(house) as api:
        by_api.created(api, "keys", **document, each={"user": {"limits": [{"requests": 3, "window": "day"}]}})
        for passed in (1, 2, 3):
            wait_for(lambda: code(ask(house, "made", user="ann")) == OK, 10, f"{passed} passed: the key is in force")
        assert code(ask(house, "made", user="ann")) in (REFUSED, by_api.UNKNOWN)
        assert limits(house, owner="user:made/ann") == {"user:made/ann/limit/requests/day": (3, 0)}
        edit = {"each": {"user": {"limits": [{"requests": 4, "window": "day"}]}}}
        assert api.patch("/keys/made", json=edit).status_code == 200
        wait_for(lambda: code(ask(house, "made", user="ann")) == OK, 10, "the fourth passes")
        assert limits(house, owner="user:made/ann") == {"user:made/ann/limit/requests/day": (4, 0)}
        api.delete("/keys/made")
    assert limits(house, owner="user:made/ann") == {}


def test_a_model_that_one_names_stays(house: House) -> None:
    named = {"user": {"limits": [{"requests": 1, "window": "day", "models": ["named"]}]}}
    with by_api.client(house) as api:
        by_api.created(api, "models", id="named", targets=[{"provider": "sim", "model": "sim-small"}])
        by_api.created(api, "keys", id="naming", secret=secret("naming"), trusted_identity=True, each=named)
        answer = api.delete("/models/named")
        assert (answer.status_code, answer.json()["referrers"]) == (409, ["key:naming"])


def test_lists_have_those_that_are_written_first_then_templates(house: House) -> None:
    ask(house, "ide", user="listed")
    ids = list(limits(house))
    assert ids[0] == "key:both/limit/requests/day"
    assert "user:ide/listed/limit/requests/day" in ids
    assert not any("*" in id_.replace("%2A", "") for id_ in ids)
    assert not any("/limit/" in each["id"].replace("/limit/day/", "") for each in house.admin("budgets")["items"])


def test_what_was_counted_survives_restarts_kills_and_edits(house: House) -> None:
    assert [code(ask(house, "ide", user="steady")) for _ in range(3)] == [OK] * 3
    house.settled()
    before = limits(house)
    assert house.stop() == 0
    house.start()
    assert limits(house) == before
    house.kill_everything()
    house.start()
    assert limits(house) == before
    ide = {**settings()["keys"][0], "each": {"user": {"limits": [{"requests": 4, "window": "day"}]}}}
    house.write_config({**settings(), "keys": [ide, *settings()["keys"][1:]]})
    house.admin("config/reload", "POST")
    assert limits(house, owner="user:ide/steady") == {"user:ide/steady/limit/requests/day": (3, 1)}
    house.write_config(settings())
    house.admin("config/reload", "POST")
    for _ in range(2):
        wait_for(lambda: code(ask(house, "ide", user="steady")) == OK, 10, "a fourth and a fifth one pass")
    assert limits(house, owner="user:ide/steady") == {"user:ide/steady/limit/requests/day": (5, 0)}


def test_there_are_so_many_values_and_no_more(tmp_path: Path) -> None:
    """Those that have come are served on; one more is refused, and the metrics tell."""
    with House(tmp_path, settings(), workers=1) as house:
        assert code(ask(house, "ide", user="early")) == OK
        arena = Arena(str(house.arena_dir / "arena.bin"))
        counting = arena.cell("user:ide/*/limit/requests/day")
        for number in range(MOST_VALUES - 1):
            arena.member(f"user:ide/{number}/limit/requests/day", counting, MOST_VALUES, LIMITS)
        answer = ask(house, "ide", user="late")
        assert code(answer) == (503, "overloaded")
        assert "No limit for this request: the template 'user:ide/*/limit/requests/day' has 1,048,576 limits" in (
            answer.body.decode()
        )
        assert code(ask(house, "ide", user="early")) == OK
        house.settled()
        assert house.admin("budgets", limit=1000)["items"] == []
        assert 'fastgate_rejections_total{level="user",reason="overloaded"} 1.0' in metrics(house)


def metrics(house: House) -> str:
    return httpx.get(f"{house.admin_url}/metrics", trust_env=False).text
