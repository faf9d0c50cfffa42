"""`kill -9` of workers that find and keep answers: whatever comes back whole is the answer to its question."""

import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret, wait_for

ROUNDS: Final = int(os.environ.get("FASTGATE_CHAOS_ROUNDS", "8"))
CLIENTS: Final = 16
QUESTIONS: Final = 400
PAUSE_SECONDS: Final = 0.4
SETTINGS: Final = {
    "cache": {"exact": {"enabled": True, "max_mb": 6, "ttl_seconds": 2}},  # less than all answers need, and soon old
    "keys": [key("one"), key("other")],
}


def text_of(name: str, number: int) -> str:
    """The answer, of 20 bytes to 60 KB, that no other question of any key has."""
    return f"{name}-{number} " * (1 + (number * 37) % 400 * 15)


def body_of(name: str, number: int, *, stream: bool) -> bytes:
    script = json.dumps({"text": text_of(name, number), "chunks": 4})
    return compact(
        {"model": "sim/sim-small", "stream": stream, "messages": [{"role": "user", "content": f"sim: {script}"}]}
    )


class Client(threading.Thread):
    """Asks until it is told to stop; counts what was kept and what was not, and keeps the first wrong answer."""

    def __init__(self, port: int, seed: int, over: threading.Event) -> None:
        super().__init__()
        self._port, self._chance, self._over = port, random.Random(seed), over
        self.did: Counter[str] = Counter()
        self.wrong = ""

    def run(self) -> None:
        while not self._over.is_set() and not self.wrong:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                while not self._over.is_set() and not self.wrong:
                    self._ask(connection)
            except (OSError, http.client.HTTPException):
                self.did["cut"] += 1
            finally:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        chance = self._chance
        name, stream = chance.choice(("one", "other")), chance.random() < 0.5
        number = min(int(chance.expovariate(1 / 60)), QUESTIONS - 1)
        headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
        connection.request("POST", CHAT, body_of(name, number, stream=stream), headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            self.did[str(answer.status)] += 1
            return
        self.did[answer.headers["x-fastgate-cache"]] += 1
        said = streamed(body) if stream else json.loads(body)["choices"][0]["message"]["content"]
        if said is not None and said != text_of(name, number):
            self.wrong = f"{name}-{number}: {answer.headers['x-fastgate-cache']}: {said[:60]!r}, {len(said)} bytes"


def streamed(body: bytes) -> str | None:
    """The text of a stream; None where it says that it was cut."""
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    if events[-1] != b"[DONE]":
        return None
    chunks: list[dict[str, Any]] = [json.loads(event) for event in events[:-1]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def all_workers(house: House) -> list[int]:
    """As soon as there are as many as there have to be."""

    def alive() -> list[int]:
        pids = house.pids("worker")
        return pids if len(pids) == house.workers else []

    found: list[int] = wait_for(alive, 30, "all workers")
    return found


@pytest.mark.timeout(120 + 4 * ROUNDS)
def test_no_answer_is_torn_or_anothers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance, over = random.Random(6), threading.Event()
    with House(tmp_path, SETTINGS, workers=4) as house:
        clients = [Client(house.port, seed, over) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for _ in range(ROUNDS):
                time.sleep(PAUSE_SECONDS)
                os.kill(chance.choice(all_workers(house)), signal.SIGKILL)
            all_workers(house)
        finally:
            over.set()
            for client in clients:
                client.join()
        did = sum((client.did for client in clients), Counter[str]())
        assert [client.wrong for client in clients if client.wrong] == []
        assert did["exact"] > 100
        assert did["miss"] > 100
        assert not {status for status in did if status.isdigit()} - {"502", "503"}
        with capsys.disabled():
            print(f"\n{ROUNDS} kills: {dict(sorted(did.items()))}")
