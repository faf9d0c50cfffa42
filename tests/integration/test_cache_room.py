"""What streams on their way to the cache may take of a worker: one that finds no room is passed on, and not kept."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from fastgate._core.slab import LARGEST
from fastgate.gateway.recording import MOST_BYTES
from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, exchange, head, parallel

SETTINGS: dict[str, Any] = {"cache": {"exact": {"enabled": True, "max_mb": 16}}, "keys": [key("one")]}
TOKENS, CHUNKS, PAUSE_MS = 40_000, 10, 8_000
LONG = {"tokens": TOKENS, "chunks": CHUNKS, "chunk_ms": [0] * (CHUNKS - 2) + [PAUSE_MS]}
"""Nearly as long as what is kept, and silent before its last piece."""
HEADERS = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}


def body(text: str, script: dict[str, Any]) -> bytes:
    message = {"role": "user", "content": f"sim: {compact(script).decode()} {text}"}
    return compact({"model": "sim/sim-small", "max_tokens": TOKENS, "stream": True, "messages": [message]})


def ask(house: House, text: str) -> Answer:
    sent = body(text, {"tokens": 10})
    answer = exchange(house.port, head(CHAT, HEADERS, length=len(sent)) + sent)
    assert (answer.status, answer.complete) == (200, True)
    return answer


def test_streams_on_their_way_have_a_bound(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1) as house:
        many = [(CHAT, HEADERS, body(f"long {number}", LONG)) for number in range(2 * MOST_BYTES // LARGEST)]

        numbers = count()

        def finds_no_room() -> bool:
            return ask(house, f"short {next(numbers)}").headers["x-fastgate-cache"] == "bypass"

        assert ask(house, "early").headers["x-fastgate-cache"] == "miss"
        with ThreadPoolExecutor(1) as pool:
            streams = pool.submit(lambda: asyncio.run(parallel(house.port, many)))
            wait_for(finds_no_room, 30, "all room is taken")
            assert ask(house, "early").headers["x-fastgate-cache"] == "exact"
            answers = streams.result()
        assert {answer.status for answer in answers} == {200}
        assert [ask(house, "late").headers["x-fastgate-cache"] for _ in range(2)] == ["miss", "exact"]
        assert "is not kept by the cache" in house.log.read_text()
