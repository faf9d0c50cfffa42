"""Clients that say how long they wait, and those that leave a stream that is silent: neither makes a budget poorer."""

import asyncio
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, Line, exchange, head

READ_SECONDS = 2.0
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
BOTH = pytest.mark.parametrize("path", [CHAT, MESSAGES])
WAYS = pytest.mark.parametrize("stream", [False, True])
BUDGET = "team:team/lifetime/default"
HALF_NANO = Decimal("0.0000000005")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "disconnect": {"read_seconds": READ_SECONDS},
        "teams": [{"id": "team", "budgets": [{"limit_usd": "5", "window": "lifetime"}]}],
        "keys": [key("one", team="team")],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=1) as house:
        yield house


@pytest.fixture(autouse=True)
def nothing_stays_held(house: House) -> Iterator[None]:
    house.simulator.reset()
    yield
    house.settled()
    assert Decimal(house.budget(BUDGET)["held_usd"]) == 0


def headers(path: str, patience_ms: int | None = None) -> dict[str, str]:
    claude = {"x-api-key": secret("one"), "anthropic-version": "2023-06-01"}
    credential = claude if path == MESSAGES else {"authorization": f"Bearer {secret('one')}"}
    said = {} if patience_ms is None else {"x-fastgate-timeout-ms": str(patience_ms)}
    return {**credential, **said, "content-type": "application/json"}


def body(script: dict[str, Any], *, stream: bool = False, model: str = "sim-small", cap: int = 400) -> bytes:
    messages = [{"role": "user", "content": f"sim: {compact(script).decode()}"}]
    return compact({"model": f"sim/{model}", "stream": stream, "max_tokens": cap, "messages": messages})


def ask(house: House, path: str, sent: bytes, patience_ms: int | None = None) -> Answer:
    return exchange(house.port, head(path, headers(path, patience_ms), length=len(sent)) + sent)


def row(house: House, answer: Answer) -> dict[str, Any]:
    house.settled()
    found: dict[str, Any] = house.admin(f"requests/{answer.headers['x-fastgate-request-id']}")
    return found


def billed_exactly(house: House, *rows: dict[str, Any]) -> bool:
    """Each row is rounded to the nano-dollar, the bill is not."""
    cost = sum((Decimal(each["cost_usd"]) for each in rows), Decimal(0))
    return abs(cost - Decimal(house.bill()["total"]["usd"])) <= HALF_NANO * len(rows) and cost > 0


@BOTH
@WAYS
def test_a_client_that_waits_long_enough_is_answered(house: House, path: str, stream: bool) -> None:
    answer = ask(house, path, body({"latency_ms": 100, "tokens": 20}, stream=stream), 30_000)
    assert (answer.status, answer.complete) == (200, True)
    found = row(house, answer)
    assert (found["settlement"], found["outcome"], found["error"]) == ("exact", "ok", "")


@BOTH
@WAYS
def test_a_client_whose_time_is_over_hears_it_at_once_and_is_billed_exactly(
    house: House, path: str, stream: bool
) -> None:
    began = time.monotonic()
    answer = ask(house, path, body({"latency_ms": 900, "ttft_ms": 900, "tokens": 20}, stream=stream), 50)
    waited = time.monotonic() - began
    assert (answer.status, answer.headers["x-fastgate-error"]) == (504, "upstream_timeout"), answer.body
    assert "50 ms" in json.loads(answer.body)["error"]["message"]
    found = row(house, answer)
    assert waited < found["duration_us"] / 1e6
    assert (found["settlement"], found["outcome"], found["status"], found["error"]) == (
        "exact",
        "client_gone",
        504,
        "upstream_timeout",
    )
    assert billed_exactly(house, found)


@BOTH
def test_a_stream_whose_time_is_over_ends_with_an_error_and_is_read_on(house: House, path: str) -> None:
    script = {"chunks": 30, "tokens": 120, "chunk_ms": 40}
    began = time.monotonic()
    answer = ask(house, path, body(script, stream=True), 400)
    waited = time.monotonic() - began
    assert (answer.status, answer.complete) == (200, True)
    *_, last = [event for event in answer.body.split(b"\n\n") if event]
    assert "400 ms" in json.loads(last.partition(b"data: ")[2])["error"]["message"]
    found = row(house, answer)
    assert waited < found["duration_us"] / 1e6
    assert (found["settlement"], found["outcome"], found["status"]) == ("exact", "client_gone", 200)
    assert (found["error"], found["output_tokens"]) == ("upstream_timeout", 120)
    assert billed_exactly(house, found)


def test_what_outlasts_the_time_to_read_on_is_charged_as_when_a_client_leaves(house: House) -> None:
    whole = ask(house, CHAT, body({"latency_ms": 30_000, "tokens": 20}), 50)
    found = row(house, whole)
    assert (found["settlement"], found["outcome"], found["status"]) == ("unsettled", "client_gone", 504)
    assert found["duration_us"] < (READ_SECONDS + 5) * 1e6
    begun = ask(house, CHAT, body({"chunks": 100, "tokens": 400, "chunk_ms": 200}, stream=True), 500)
    found = row(house, begun)
    assert (found["settlement"], found["outcome"], found["status"]) == ("estimated", "client_gone", 200)


def test_a_budget_that_others_share_is_not_drained_by_impatience(house: House) -> None:
    """The client chooses how long it waits, and how much is held for it."""
    before = Decimal(house.budget(BUDGET)["spent_usd"])
    sent = body({"tokens": 100, "latency_ms": 300}, model="sim-large", cap=100_000)
    answers = [ask(house, CHAT, sent, 1) for _ in range(4)]
    assert [answer.status for answer in answers] == [504] * 4
    rows = [row(house, answer) for answer in answers]
    assert {found["settlement"] for found in rows} == {"exact"}
    assert billed_exactly(house, *rows)
    spent = Decimal(house.budget(BUDGET)["spent_usd"]) - before
    assert spent == sum(Decimal(found["cost_usd"]) for found in rows)


def test_the_connection_of_an_impatient_client_serves_its_next_request(house: House) -> None:
    """While the provider is still read on for the one before; and a client that leaves then is noticed."""

    async def two() -> tuple[Answer, Answer, int]:
        async with Line(house.port) as line:
            first = await line.ask(CHAT, headers(CHAT, 50), body({"latency_ms": 1500, "tokens": 20}))
            second = await line.ask(CHAT, headers(CHAT), body({"tokens": 5}))
            return first, second, await asyncio.to_thread(house.holds)

    first, second, open_then = asyncio.run(two())
    assert (first.status, second.status, open_then) == (504, 200, 1)
    assert {row(house, first)["settlement"], row(house, second)["settlement"]} == {"exact"}


@BOTH
@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_leaves_a_silent_stream_is_noticed(house: House, path: str, begun: bool) -> None:
    """Nothing is sent to it that could fail: it is seen to leave, and the provider is read on for no longer."""
    script = {"chunks": 2, "tokens": 50, "chunk_ms": 60_000} if begun else {"ttft_ms": 60_000, "tokens": 50}
    sent = body(script, stream=True)

    async def leave() -> None:
        async with Line(house.port) as line:
            line.writer.write(head(path, headers(path), length=len(sent)) + sent)
            await line.reader.read(1)  # its answer has begun

    asyncio.run(leave())
    wait_for(lambda: house.holds() == 0, READ_SECONDS + 15, "it is settled")
    house.settled()
    found = house.requests()[0]
    assert (found["settlement"], found["outcome"]) == ("estimated", "client_gone")
    assert found["duration_us"] < (READ_SECONDS + 10) * 1e6


def test_a_client_that_leaves_is_noticed_on_a_connection_that_served_a_long_stream_before(house: House) -> None:
    """Whoever looked for its leaving then looks no more, and takes the news from nobody."""
    long = body({"chunks": 4, "tokens": 20, "chunk_ms": 500}, stream=True)
    silent = body({"ttft_ms": 60_000, "tokens": 50}, stream=True)

    async def both() -> None:
        async with Line(house.port) as line:
            assert (await line.ask(CHAT, headers(CHAT), long)).status == 200
            line.writer.write(head(CHAT, headers(CHAT), length=len(silent)) + silent)
            await line.reader.read(1)

    asyncio.run(both())
    wait_for(lambda: house.holds() == 0, READ_SECONDS + 15, "it is settled")
    house.settled()
    newest, before = house.requests()[:2]
    assert [newest["outcome"], before["outcome"]] == ["client_gone", "ok"]
