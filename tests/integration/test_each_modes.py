"""What budgets of templates do at their limits and across their windows: as any budget, for each value alone."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.support.exact import HOLD, budget, request, usd
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, parallel

DEAR, CHEAP = "sim/sim-large", "sim-small"
PERCENTS = [10, 50, 100]
TO_CHEAP = {"on_limit": "downgrade", "downgrade_to": [{"provider": "sim", "model": CHEAP}]}
WORDS: Any = [{"role": "user", "content": "x" * 40}]
LONG = {"tokens": 1500, "reasoning": 0, "chunk_ms": 2}
CAP, OUTPUT = 64_000, Decimal("0.0000006")  # tokens, and USD for each of sim-small's


def settings() -> dict[str, Any]:
    def each(name: str, **budget: Any) -> dict[str, Any]:
        return key(name, trusted_identity=True, each={"user": {"budgets": [{"window": "day", **budget}]}})

    return {
        "keys": [
            each("watched", **budget(10, alerts_percent=PERCENTS)),
            each("rolling", **budget(3, window={"every": 2, "unit": "second"}, calendar=True, rollover=True)),
            each("clamped", limit_usd="0.002", on_limit="clamp"),
            each("cheaper", limit_usd="0.003", **TO_CHEAP),
            each("soft", limit_usd="0.0001", mode="soft", alerts_percent=[100]),
            each("hard", limit_usd="0.0006"),
        ]
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), settings(), workers=4, simulator={"cancel_lag_ms": 20}) as house:
        yield house


def exact(house: House, name: str, user: str, times: int) -> list[Answer]:
    """So many requests at once, each of which costs a hold."""
    asked = []
    for number in range(times):
        path, headers, body = request(name, number, latency_ms=0)
        asked.append((path, {**headers, "x-fastgate-user": user}, body))
    return asyncio.run(parallel(house.port, asked))


def ask(house: House, name: str, user: str, cap: int, *, stream: bool = False) -> Any:
    """The raw answer of OpenAI's SDK."""
    with openai.OpenAI(base_url=house.openai_url, api_key=secret(name), max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=DEAR, messages=WORDS, max_completion_tokens=cap, stream=stream, user=user
        )
        if stream:
            list(raw.parse())  # type: ignore[arg-type]
        return raw


def of_user(house: House, name: str, user: str) -> dict[str, Any]:
    [found] = house.admin("budgets", owner=f"user:{name}/{user}")["items"]
    return dict(found)


def test_each_threshold_of_each_user_is_told_once_by_all_workers(house: House) -> None:
    """On one answer and as one event with the user in it, whoever is killed afterwards."""
    users = {"ann": "ann", "bob": "bob", "a/b": "a%2Fb"}
    for user, shown in users.items():
        answers = exact(house, "watched", user, 12)
        assert Counter(answer.status for answer in answers) == {200: 10, 402: 2}
        said = [part for answer in answers if (part := answer.headers.get("x-fastgate-budget-alert"))]
        told = Counter(each for part in said for each in part.split(", "))
        assert told == {f"user:watched/{shown}/day/default={percent}": 1 for percent in PERCENTS}
    house.settled()

    def events(user: str) -> list[dict[str, Any]]:
        return list(house.admin("budgets/events", owner=f"user:watched/{user}")["items"])

    for user in users.values():
        assert [event["percent"] for event in events(user)] == PERCENTS[::-1]
        for event in events(user):
            assert (event["level"], event["owner"]) == ("user", f"user:watched/{user}")
            assert event["budget"] == f"user:watched/{user}/day/default"
            assert Decimal(event["spent_usd"]) == Decimal(usd(event["percent"] * HOLD * 10)) / 100
            assert event["resets_at"] == of_user(house, "watched", user)["resets_at"]
    text = httpx.get(f"{house.admin_url}/metrics", trust_env=False).text
    assert 'fastgate_budget_alerts_total{level="user",percent="50"} 3.0' in text
    house.kill_everything()
    house.start()
    assert {answer.status for answer in exact(house, "watched", "ann", 2)} == {402}
    assert {answer.status for answer in exact(house, "watched", "late", 1)} == {200}
    house.settled()
    assert [event["percent"] for event in events("ann")] == PERCENTS[::-1]
    assert [event["percent"] for event in events("late")] == [10]


def test_what_a_user_s_window_left_is_there_in_the_next_one_only(house: House) -> None:
    def window() -> tuple[str, int]:
        now = of_user(house, "rolling", "ann")
        return now["resets_at"], round(Decimal(now["limit_in_force_usd"]) / Decimal(usd(HOLD)))

    def next_window(after: str) -> tuple[str, int]:
        found: tuple[str, int] = wait_for(lambda: (now := window())[0] > after and now, 5, "the window turns")
        return found

    exact(house, "rolling", "ann", 1)
    while True:  # until one request and the look behind it fall into one window
        first = next_window(window()[0])
        assert [answer.status for answer in exact(house, "rolling", "ann", 1)] == [200]
        if window()[0] == first[0]:
            break
    second = next_window(first[0])
    assert second[1] == (5 if seconds(second[0]) == seconds(first[0]) + 2 else 6)
    passed = exact(house, "rolling", "bob", 9)
    assert Counter(answer.status for answer in passed)[200] <= 6, "what ann left is not bob's"
    wait_for(lambda: window()[1] == 6, 5, "nothing was used in the one before")


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize("stream", [False, True])
def test_a_user_s_cap_is_lowered_to_what_there_is_room_for(house: House, stream: bool) -> None:
    user = f"clamped-{stream}"
    raw = ask(house, "clamped", user, 4000, stream=stream)
    assert 16 <= int(raw.headers["x-fastgate-output-cap"]) < 200
    house.settled()
    assert Decimal(of_user(house, "clamped", user)["spent_usd"]) <= Decimal("0.002")
    assert "x-fastgate-output-cap" not in ask(house, "clamped", f"another-{stream}", 20).headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_user_s_request_goes_to_a_cheaper_model(house: House, stream: bool) -> None:
    """And is charged to the budget of the same user there."""
    user = f"cheap-{stream}"
    raw = ask(house, "cheaper", user, 2000, stream=stream)
    assert [raw.headers[f"x-fastgate-{name}"] for name in ("route", "model")] == ["downgrade", CHEAP]
    house.settled()
    [row] = house.requests(key="cheaper", user=user)
    assert (row["model"], row["upstream_model"], row["route"]) == (DEAR, CHEAP, "downgrade")
    assert of_user(house, "cheaper", user)["spent_usd"] == row["cost_usd"]
    with pytest.raises(openai.APIStatusError) as caught:
        ask(house, "cheaper", user, 100_000)
    assert caught.value.status_code == 402
    assert f"user:cheaper/{user}/day/default" in caught.value.message


def stream_openai(house: House, name: str, user: str) -> tuple[str | None, int]:
    """How it ended, and tokens of output."""
    with openai.OpenAI(base_url=house.openai_url, api_key=secret(name), max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="sim/sim-small",
                messages=[{"role": "user", "content": f"sim: {compact(LONG).decode()}"}],
                stream=True,
                stream_options={"include_usage": True},
                max_completion_tokens=CAP,
                user=user,
            )
        )
    [reason] = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    return reason, usage.completion_tokens


def stream_anthropic(house: House, name: str, user: str) -> tuple[str | None, int]:
    with (
        anthropic.Anthropic(base_url=house.url, api_key=secret(name), max_retries=0) as client,
        client.messages.stream(
            model="sim/sim-small",
            messages=[{"role": "user", "content": f"sim: {compact(LONG).decode()}"}],
            max_tokens=CAP,
            metadata={"user_id": user},
        ) as stream,
    ):
        message = stream.get_final_message()
    return message.stop_reason, message.usage.output_tokens


STREAMS = {"openai": (stream_openai, "stop", "length"), "anthropic": (stream_anthropic, "end_turn", "max_tokens")}
BOTH = pytest.mark.parametrize("dialect", list(STREAMS))


@BOTH
def test_a_soft_budget_neither_refuses_nor_cuts_streams(house: House, dialect: str) -> None:
    """Eight at once, each of which costs many times the limit: all are whole; what is above is counted and told."""
    stream, whole, _ = STREAMS[dialect]
    user = f"soft-{dialect}"
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda _: stream(house, "soft", user), range(8)))
    assert set(ended) == {(whole, LONG["tokens"])}
    house.settled()
    rows = house.requests(key="soft", user=user)
    assert {(row["settlement"], row["outcome"], row["error"]) for row in rows} == {("exact", "ok", "")}
    now = of_user(house, "soft", user)
    assert Decimal(now["spent_usd"]) == sum(Decimal(row["cost_usd"]) for row in rows) > 8 * Decimal(now["limit_usd"])
    assert (now["held_usd"], now["left_usd"], now["overrun_usd"]) == ("0.000000000",) * 3
    assert all(Decimal(row["hold_usd"]) < CAP * OUTPUT for row in rows), "held in instalments"
    [event] = house.admin("budgets/events", owner=f"user:soft/{user}")["items"]
    assert event["percent"] == 100
    late = exact(house, "soft", user, 1)[0]
    assert (late.status, late.headers["x-fastgate-budget-warning"]) == (200, f"user:soft/{user}/day/default")


@BOTH
def test_a_hard_one_ends_its_user_s_streams_in_order_and_nobody_else_s(house: House, dialect: str) -> None:
    stream, _, cut = STREAMS[dialect]
    user = f"hard-{dialect}"
    with ThreadPoolExecutor(2) as pool:
        mine, other = pool.map(lambda name: stream(house, *name), (("hard", user), ("soft", user)))
    assert mine[0] == cut
    assert other == (STREAMS[dialect][1], LONG["tokens"])
    house.settled()
    [row] = house.requests(key="hard", user=user)
    assert (row["error"], row["settlement"], row["outcome"]) == ("budget_exceeded", "estimated", "ok")
    now = of_user(house, "hard", user)
    assert Decimal(now["spent_usd"]) <= Decimal(now["limit_usd"])
    assert now["held_usd"] == now["overrun_usd"] == "0.000000000"
