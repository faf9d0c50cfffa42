"""Clients that leave: their providers are read to the end and billed exactly, but not for ever."""

import asyncio
import random
import socket
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Line, head

READ_SECONDS = 1.5
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
BOTH = pytest.mark.parametrize("path", [CHAT, MESSAGES])
EXACT = Decimal("0.00000001")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "disconnect": {"read_seconds": READ_SECONDS},
        "teams": [{"id": "team", "budgets": [{"limit_usd": "100000", "window": "lifetime"}]}],
        "keys": [key("one", team="team")],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=2) as house:
        yield house


@pytest.fixture(autouse=True)
def a_new_page(house: House) -> None:
    house.simulator.reset()


def request(
    path: str,
    script: dict[str, Any],
    number: int = 0,
    *,
    stream: bool = True,
    model: str = "sim-reasoning",
    members: dict[str, Any] | None = None,
) -> bytes:
    content = f"sim: {compact(script).decode()} {number}"
    document = {
        "model": f"sim/{model}",
        "stream": stream,
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": content}],
        **(members or {}),
    }
    body = compact(document)
    claude = {"x-api-key": secret("one"), "anthropic-version": "2023-06-01"}
    credential = claude if path == MESSAGES else {"authorization": f"Bearer {secret('one')}"}
    return head(path, {**credential, "content-type": "application/json"}, length=len(body)) + body


def settled(house: House, count: int) -> list[dict[str, Any]]:
    """The rows of the last ``count`` requests, when all are there and nothing is held."""
    wait_for(lambda: house.bill()["total"]["requests"] >= count, 15, "they are billed")
    wait_for(lambda: house.holds() == 0, 15, "they are settled")
    house.settled()
    rows = house.requests()[:count]
    budget = house.budget("team:team/lifetime/default")
    assert Decimal(budget["spent_usd"]) == Decimal(house.admin("spend")["total"]["cost_usd"])
    assert Decimal(budget["held_usd"]) == 0
    return rows


def cost(rows: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(row["cost_usd"]) for row in rows), Decimal(0))


async def leave_in_the_middle(port: int, asked: bytes, pieces: int, *, reset: bool) -> None:
    """Read until so many events have come, then go: in order, or by a reset."""
    async with Line(port) as line:
        line.writer.write(asked)
        seen = 0
        while seen < pieces:
            data = await line.reader.read(65_536)
            assert data, "the answer ended first"
            seen += data.count(b"\ndata: ") + data.startswith(b"data: ")
        if reset:
            connection = line.writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@BOTH
def test_a_client_that_leaves_in_a_stream_is_billed_exactly(house: House, path: str) -> None:
    """At any piece of an answer that ends within the time for which it is read on."""
    rng = random.Random(5)
    count = 60
    script = {"chunks": 40, "tokens": 160, "reasoning": 50, "chunk_ms": 12}

    async def all_of_them() -> None:
        asked = [(request(path, script, n), rng.randrange(1, 35), rng.random() < 0.5) for n in range(count)]
        await asyncio.gather(*(leave_in_the_middle(house.port, one, at, reset=reset) for one, at, reset in asked))

    asyncio.run(all_of_them())
    rows = settled(house, count)
    assert {row["settlement"] for row in rows} == {"exact"}
    assert {row["outcome"] for row in rows} == {"client_gone"}
    assert abs(cost(rows) - Decimal(house.bill()["total"]["usd"])) <= EXACT * count
    assert {charge["outcome"] for charge in house.simulator.charges()} == {"complete"}


@BOTH
def test_a_stream_that_takes_too_long_for_nobody_is_cut(house: House, path: str) -> None:
    """What was seen of it is charged, as estimated: never less than the provider bills for it."""
    script = {"chunks": 100, "tokens": 400, "chunk_ms": 60}
    count = 8
    members = {CHAT: {"reasoning_effort": "none"}, MESSAGES: {"thinking": {"type": "disabled"}}}[path]

    async def all_of_them() -> None:
        asked = [request(path, script, n, model="sim-small", members=members) for n in range(count)]
        await asyncio.gather(*(leave_in_the_middle(house.port, one, n + 2, reset=False) for n, one in enumerate(asked)))

    asyncio.run(all_of_them())
    rows = settled(house, count)
    assert {row["settlement"] for row in rows} == {"estimated"}
    assert {row["outcome"] for row in rows} == {"client_gone"}
    charges = list(house.simulator.charges())
    assert {charge["outcome"] for charge in charges} == {"cancelled"}
    assert all(0 < charge["output_tokens"] < 400 for charge in charges)
    billed = Decimal(house.bill()["total"]["usd"])
    assert billed <= cost(rows) <= sum((Decimal(row["hold_usd"]) for row in rows), Decimal(0))
    assert all(row["duration_us"] < (READ_SECONDS + 1.5) * 1e6 for row in rows)


@BOTH
def test_a_client_that_does_not_wait_for_a_whole_answer_is_billed_exactly(house: House, path: str) -> None:
    count = 10

    async def all_of_them() -> None:
        for n in range(count):
            async with Line(house.port) as line:
                line.writer.write(request(path, {"latency_ms": 200, "tokens": 30}, n, stream=False))
                await line.writer.drain()
                await asyncio.to_thread(wait_for, lambda: house.holds() > 0, 5, "it is on its way")

    asyncio.run(all_of_them())
    rows = settled(house, count)
    assert {row["settlement"] for row in rows} == {"exact"}
    assert abs(cost(rows) - Decimal(house.bill()["total"]["usd"])) <= EXACT * count


@BOTH
def test_a_whole_answer_that_takes_too_long_for_nobody_is_given_up(house: House, path: str) -> None:
    """The provider bills it although nobody reads it, and has not said what: the hold stays charged."""

    async def one() -> None:
        async with Line(house.port) as line:
            line.writer.write(request(path, {"latency_ms": 3000, "tokens": 30}, stream=False))
            await line.writer.drain()
            await asyncio.to_thread(wait_for, lambda: house.holds() == 1, 5, "it is on its way")

    asyncio.run(one())
    [row] = settled(house, 1)
    assert (row["settlement"], row["outcome"]) == ("unsettled", "client_gone")
    assert row["cost_usd"] == row["hold_usd"]
    assert row["duration_us"] < 2.9e6


def test_a_client_that_comes_back_is_served_by_the_same_worker(house: House) -> None:
    """Leaving harms nobody else: streams beside those that are left arrive whole."""
    script = {"chunks": 30, "tokens": 120, "chunk_ms": 5}

    async def both() -> list[int]:
        leaving = [leave_in_the_middle(house.port, request(CHAT, script, n), 3, reset=True) for n in range(20)]

        async def whole(number: int) -> int:
            async with Line(house.port) as line:
                sent = request(CHAT, script, number)
                start = sent.index(b"\r\n\r\n") + 4
                headers = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}
                answer = await line.ask(CHAT, headers, sent[start:])
                return answer.body.count(b'"delta":{"content":')

        _, found = await asyncio.gather(asyncio.gather(*leaving), asyncio.gather(*map(whole, range(100, 120))))
        return list(found)

    assert asyncio.run(both()) == [30] * 20
    assert {row["settlement"] for row in settled(house, 40)} == {"exact"}
