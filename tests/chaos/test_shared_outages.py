"""Redis hangs, is emptied, dies and comes back while two hosts that share answers in it serve: no error, misses alone.

Every answer is compared with its question, and no request waits for Redis longer than its deadline and what a busy
machine is late by.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.test_shared_cache import events
from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret
from tests.support.redis_server import RedisServer
from tests.support.wire import Line

ROUNDS: Final = int(os.environ.get("FASTGATE_OUTAGE_ROUNDS", "2"))
CLIENTS: Final = 8
QUESTIONS: Final = 300
DEADLINE_MS: Final = 20
OUTAGE_SECONDS: Final = 1.0
LATE_SECONDS: Final = 2.0
"""A machine that does all of this on two cores may be late by so much; who waits for what hangs waits for longer."""


def settings(server: RedisServer) -> dict[str, Any]:
    exact = {"enabled": True, "max_mb": 4, "ttl_seconds": 2, "shared": "redis", "shared_deadline_ms": DEADLINE_MS}
    return {
        "cache": {"exact": exact},  # soon old, so that Redis is asked again and again
        "redis": {"url": server.url, "leases": False},
        "keys": [key("one"), key("other")],
    }


def text_of(name: str, number: int) -> str:
    """The answer, of 20 bytes to 40 KB, that no other question of any key has."""
    return f"{name}-{number} " * (1 + (number * 37) % 400 * 10)


class Asker:
    """One client: asks on until it is told to stop, at one host or the other."""

    def __init__(self, ports: tuple[int, int], seed: int) -> None:
        self._ports, self._chance = ports, random.Random(seed)
        self.did: Counter[str] = Counter()
        self.longest = 0.0
        self.wrong: list[str] = []

    async def ask_on(self, over: asyncio.Event) -> None:
        async with Line(self._ports[0]) as here, Line(self._ports[1]) as there:
            while not over.is_set():
                await self._ask(self._chance.choice((here, there)))
                await asyncio.sleep(self._chance.uniform(0, 0.02))

    async def _ask(self, line: Line) -> None:
        chance = self._chance
        name, number = chance.choice(("one", "other")), chance.randrange(QUESTIONS)
        script = json.dumps({"text": text_of(name, number), "chunks": 1})
        body = {"model": "sim/sim-small", "messages": [{"role": "user", "content": f"sim: {script}"}]}
        headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
        began = time.monotonic()
        answer = await line.ask(CHAT, headers, compact(body))
        self.longest = max(self.longest, time.monotonic() - began)
        self.did[answer.headers.get("x-fastgate-cache", str(answer.status))] += 1
        if answer.status != 200:
            self.wrong.append(f"{name}-{number}: {answer.status} {answer.body[:200]!r}")
            return
        said = json.loads(answer.body)["choices"][0]["message"]["content"]
        if said != text_of(name, number):
            self.wrong.append(f"{name}-{number}: {answer.headers['x-fastgate-cache']}: {said[:60]!r}")


async def outages(server: RedisServer) -> None:
    """All that can become of Redis, with time in between to be found again."""
    for _ in range(ROUNDS):
        await asyncio.sleep(OUTAGE_SECONDS)
        with server.client() as client:
            client.flushall()
        await asyncio.sleep(OUTAGE_SECONDS)
        server.hang()
        await asyncio.sleep(2 * OUTAGE_SECONDS)
        server.go_on()
        await asyncio.sleep(2 * OUTAGE_SECONDS)
        server.kill()
        await asyncio.sleep(OUTAGE_SECONDS)
        server.start()
        await asyncio.sleep(2 * OUTAGE_SECONDS)


async def under_load(ports: tuple[int, int], server: RedisServer) -> list[Asker]:
    over = asyncio.Event()
    askers = [Asker(ports, seed) for seed in range(CLIENTS)]
    asking = [asyncio.create_task(asker.ask_on(over)) for asker in askers]
    try:
        await outages(server)
    finally:
        over.set()
        await asyncio.gather(*asking)
    return askers


def sums(houses: tuple[House, House]) -> Counter[str]:
    return sum((Counter(events(house)) for house in houses), Counter())


@pytest.mark.timeout(120 + 15 * ROUNDS)
def test_no_request_fails_or_waits_for_a_redis_that_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    with (
        RedisServer(tmp_path) as server,
        House(tmp_path / "here", settings(server)) as here,
        House(tmp_path / "there", settings(server), simulator=here.simulator) as there,
    ):
        houses = here, there
        askers = asyncio.run(under_load((here.port, there.port), server))
        did = sum((asker.did for asker in askers), Counter())
        longest = max(asker.longest for asker in askers)
        found = sum((Counter(events(house)) for house in houses), Counter())
        with capsys.disabled():
            print(f"\n{ROUNDS} rounds of outages: {dict(sorted(did.items()))}, longest {longest:.3f} s")
            print(f"the shared tier: {dict(sorted(found.items()))}")
        assert [wrong for asker in askers for wrong in asker.wrong] == []
        assert set(did) == {"exact", "miss"}
        assert longest < LATE_SECONDS
        assert min(found[each] for each in ("hit", "miss", "skipped", "stored")) > 0
        assert 0 < found["timeout"] + found["error"] < found["skipped"], "most are not made to wait at all"
        for house in houses:
            house.settled()
            log = house.log.read_text()
            assert "Traceback" not in log
            told = log.count("does not answer, so answers")
            assert 1 <= told <= house.workers * (2 * ROUNDS + 1)
            assert log.count("answers again") <= told
