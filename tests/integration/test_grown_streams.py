"""Streams that end otherwise after their hold has grown: what they grew by is charged or given back like the rest."""

import asyncio
import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from fastgate.budgets.instalments import SLICE
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Line, head

OUTPUT = Decimal("0.0000006")
FIRST = SLICE * OUTPUT
BUDGET = "key:k/day/default"
CAP = 20_000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "disconnect": {"read_seconds": 0.3},
        "keys": [key("k", budgets=[{"limit_usd": "1", "window": "day"}])],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=1, simulator={"tokenizer": "byte"}) as house:
        yield house


@pytest.fixture(autouse=True)
def a_new_page(house: House) -> None:
    house.simulator.reset()


def request(script: dict[str, Any]) -> bytes:
    document = {
        "model": "sim/sim-small",
        "stream": True,
        "max_completion_tokens": CAP,
        "reasoning_effort": "none",  # else what it may have reasoned unseen is charged, its whole cap
        "messages": [{"role": "user", "content": f"sim: {compact(script).decode()}"}],
    }
    body = compact(document)
    headers = {"authorization": f"Bearer {secret('k')}", "content-type": "application/json"}
    return head("/v1/chat/completions", headers, length=len(body)) + body


def held(house: House) -> Decimal:
    return Decimal(house.budget(BUDGET)["held_usd"])


LONG = {"tokens": 12_000, "reasoning": 0, "chunks": 600, "chunk_ms": 5}


async def begun(line: Line, house: House, size: Decimal) -> None:
    """A stream whose hold has grown beyond ``size``; its client reads on."""

    async def read() -> None:
        while await line.reader.read(65_536):
            pass

    line.writer.write(request(LONG))
    reading = asyncio.create_task(read())
    await asyncio.to_thread(wait_for, lambda: held(house) > size, 20, "the hold has grown")
    reading.cancel()


def test_a_client_that_leaves_after_the_hold_has_grown(house: House) -> None:
    async def leave() -> None:
        async with Line(house.port) as line:
            await begun(line, house, 3 * FIRST)

    asyncio.run(leave())
    wait_for(lambda: house.holds() == 0, 10, "it is settled")
    house.settled()
    row = house.requests()[0]
    assert (row["settlement"], row["outcome"]) == ("estimated", "client_gone")
    billed = Decimal(house.bill()["total"]["usd"])
    assert billed <= Decimal(row["cost_usd"]) <= Decimal(row["hold_usd"]) < CAP * OUTPUT
    assert Decimal(row["hold_usd"]) > 3 * FIRST
    assert held(house) == 0


def test_a_worker_that_is_killed_leaves_the_grown_hold_as_unsettled(house: House) -> None:
    before = Decimal(house.budget(BUDGET)["spent_usd"])

    async def kill() -> None:
        async with Line(house.port) as line:
            await begun(line, house, 3 * FIRST)
            [pid] = house.pids("worker")
            os.kill(pid, signal.SIGKILL)

    asyncio.run(kill())
    wait_for(lambda: house.bill()["total"]["requests"] == 1 and house.holds() == 0, 20, "it is resolved")
    house.settled()
    row = house.requests()[0]
    assert (row["settlement"], row["outcome"]) == ("unsettled", "unknown")
    assert Decimal(row["hold_usd"]) > 3 * FIRST
    assert Decimal(house.bill()["total"]["usd"]) <= Decimal(row["cost_usd"]) == Decimal(row["hold_usd"])
    assert Decimal(house.budget(BUDGET)["spent_usd"]) == before + Decimal(row["cost_usd"])
    assert held(house) == 0
