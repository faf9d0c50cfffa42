"""Ten times as many requests as a limit allows, on four workers: never one too many in a window, hardly one too few."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret
from tests.support.wire import Line

pytestmark = pytest.mark.alone

OFFERED = 1000
"""Requests a second."""
SECONDS = 10
LINES = 40
SECOND_US = 1_000_000
USAGE = {"prompt_tokens": 40, "completion_tokens": 60}
LIMITS = {"requests": 100, "tokens": 20_000}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    keys = [key(counted, limits=[{counted: limit, "window": "second"}]) for counted, limit in LIMITS.items()]
    with House(tmp_path_factory.mktemp("house"), {"keys": keys}, workers=4) as house:
        yield house


async def offer(house: House, name: str) -> Counter[int]:
    """The statuses of all requests, each sent when it is due or, on a machine that is busy, as soon as may be."""
    content = f"sim: {json.dumps({'usage': USAGE}, separators=(',', ':'))}"
    asked = {"model": "sim/sim-small", "max_tokens": 60, "messages": [{"role": "user", "content": content}]}
    body, headers = compact(asked), {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
    loop, statuses = asyncio.get_running_loop(), Counter[int]()
    due = iter(range(OFFERED * SECONDS))
    began = loop.time()

    async def send() -> None:
        async with Line(house.port) as line:
            for number in due:
                await asyncio.sleep(began + number / OFFERED - loop.time())
                statuses[(await line.ask(CHAT, headers, body)).status] += 1

    await asyncio.gather(*(send() for _ in range(LINES)))
    return statuses


def by_window(house: House, name: str, rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Requests by the limit's windows. What began in the very microsecond of a turn, but for the first, is left out."""
    [limit] = house.admin("limits", owner=f"key:{name}")["items"]
    turn = microseconds(limit["resets_at"])
    windows: dict[int, list[dict[str, Any]]] = {}
    first = min(rows, key=lambda row: str(row["started_at"]))
    for row in rows:
        number, into = divmod(microseconds(row["started_at"]) - turn, SECOND_US)
        if into or row is first:
            windows.setdefault(number, []).append(row)
    return windows


def microseconds(moment: str) -> int:
    found = datetime.fromisoformat(moment)
    return int(found.timestamp()) * SECOND_US + found.microsecond


@pytest.mark.parametrize("counted", LIMITS)
def test_a_window_is_never_above_its_limit_and_full_where_there_was_enough(house: House, counted: str) -> None:
    house.simulator.reset()
    statuses = asyncio.run(offer(house, counted))
    assert set(statuses) == {200, 429}
    assert statuses.total() == OFFERED * SECONDS
    house.settled()
    rows = house.requests(key=counted)
    passed = [row for row in rows if row["status"] == 200]
    assert len(passed) == statuses[200] == house.bill()["total"]["requests"]
    windows, limit = by_window(house, counted, rows), LIMITS[counted]
    used = {number: sum(amount(counted, row) for row in windows[number]) for number in sorted(windows)}
    print(f"\n{counted}: {list(used.values())} in windows of a second")
    assert max(used.values()) <= limit
    full = [number for number in used if len(windows[number]) >= OFFERED * 8 // 10]
    assert len(full) >= SECONDS // 2, "the machine was too busy to offer as much as should be refused"
    assert min(used[number] for number in full) >= limit * 99 // 100


def amount(counted: str, row: dict[str, Any]) -> int:
    """What a request took of a limit."""
    if row["status"] != 200:
        return 0
    return 1 if counted == "requests" else int(row["input_tokens"] + row["output_tokens"])
