"""Many ask the same at once, over four workers: one provider call, whoever fails, leaves or is killed."""

import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from fastgate.gateway.wholes import BUFFERED
from fastgate.simulator.process import Simulator
from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, exchange, head, read_answer

CROWD = 24
SETTINGS: dict[str, Any] = {
    "cache": {"exact": {"enabled": True, "max_mb": 16, "single_flight": True}},
    "disconnect": {"read_seconds": 0.2},
    "keys": [
        key("one"),
        key("few", limits=[{"requests": 3, "window": "day"}]),
        key("alone", limits=[{"concurrent": 1}]),
    ],
}
SLOW_MS = 3_000
FOLLOW_SECONDS = 1


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("flights"), SETTINGS, workers=4) as house:
        yield house


def request(
    text: str, *, latency_ms: int = 400, stream: bool = False, name: str = "one", tokens: int = 20, n: int = 1,
    **said: str,
) -> bytes:  # fmt: skip
    script = compact({"latency_ms": latency_ms, "tokens": tokens}).decode()
    message = {"role": "user", "content": f"sim: {script} {text}"}
    body = compact({"model": "sim/sim-small", "max_tokens": tokens, "n": n, "stream": stream, "messages": [message]})
    headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json", "connection": "close"}
    return (
        head(CHAT, headers | {each.replace("_", "-"): value for each, value in said.items()}, length=len(body)) + body
    )


def at_once(house: House, asked: list[bytes]) -> list[Answer]:
    """All answers, in order, to requests that are sent in the same moment."""
    ready = Barrier(len(asked))

    def ask(raw: bytes) -> Answer:
        ready.wait()
        return exchange(house.port, raw)

    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(ask, asked))


def did(answers: list[Answer]) -> Counter[str]:
    """By what the cache did, or by the status where it is an error."""
    return Counter(each.headers["x-fastgate-cache"] if each.status == 200 else str(each.status) for each in answers)


def billed(house: House) -> int:
    return int(house.bill()["total"]["requests"])


def text_of(answer: Answer) -> str:
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return str(json.loads(answer.body)["choices"][0]["message"]["content"])
    events = [json.loads(line[6:]) for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])


@pytest.mark.parametrize("streams", [{False}, {True}, {False, True}], ids=str)
def test_a_crowd_pays_once(house: House, streams: set[bool]) -> None:
    before = billed(house)
    asked = [request(f"crowd {streams}", stream=stream) for stream in streams for _ in range(CROWD // len(streams))]
    answers = at_once(house, asked)
    assert did(answers) == {"miss": 1, "exact": CROWD - 1}
    assert len({text_of(each) for each in answers}) == 1
    assert billed(house) == before + 1
    saved = {each.headers.get("x-fastgate-saved-usd", "") for each in answers}
    assert len(saved) == 2, "the first one saved nothing, all others the same"


def test_other_questions_do_not_wait(house: House) -> None:
    before = billed(house)
    answers = at_once(house, [request(f"other {number}") for number in range(8)])
    assert did(answers) == {"miss": 8}
    assert billed(house) == before + 8


def test_who_wants_nothing_of_the_cache_does_not_wait(house: House) -> None:
    wishes = [{"x_fastgate_cache": "no-cache"}, {"x_fastgate_cache": "no-store"}, {"x_fastgate_cache_ttl": "0"}, {}]
    before = billed(house)
    assert did(at_once(house, [request("wishes", **wish) for wish in wishes])) == {"bypass": 1, "miss": 3}
    assert billed(house) == before + 4


def test_followers_count_in_limits(house: House) -> None:
    answers = at_once(house, [request("limit", name="few") for _ in range(5)])
    assert did(answers) == {"miss": 1, "exact": 2, "429": 2}


def test_followers_are_not_open_at_once(house: House) -> None:
    """They are hits, which count in limits on requests alone; who has to ask by itself counts in all."""
    raw = request("alone", name="alone")
    assert did(at_once(house, [raw] * 8)) == {"miss": 1, "exact": 7}
    others = [request(f"alone {number}", name="alone", latency_ms=1_000) for number in range(2)]
    assert did(at_once(house, others)) == {"miss": 1, "429": 1}
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(exchange, house.port, request("alone at last", name="alone", latency_ms=1_000))
        wait_for(lambda: house.holds() == 1, 15, "one is open")
        assert did(at_once(house, [raw] * 8)) == {"exact": 8}
        assert did([opened.result()]) == {"miss": 1}


@pytest.mark.parametrize(("stream", "tokens", "n"), [(True, 100_000, 1), (False, 1_000_000, 3)])
def test_nobody_waits_for_what_is_too_long_to_be_kept(house: House, stream: bool, tokens: int, n: int) -> None:
    """However slowly its client takes it: a stream, and an answer that is relayed as it comes."""
    raw = request(f"too long {stream}", stream=stream, tokens=tokens, n=n)
    with socket.socket() as leader:
        leader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        leader.connect(("127.0.0.1", house.port))
        leader.sendall(raw)
        wait_for(lambda: house.holds() == 1, 15, "one request asks")
        answer = exchange(house.port, raw, timeout=30)
        assert house.holds() == 1, "the first one is not at its end"
    assert (did([answer]), answer.complete) == ({"miss": 1}, True)
    assert stream or len(answer.body) > BUFFERED


def test_a_client_that_does_not_wait_so_long_is_told_so(house: House) -> None:
    raw = [request("hurry", latency_ms=1_500)] * 3 + [request("hurry", latency_ms=1_500, x_fastgate_timeout_ms="300")]
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(exchange, house.port, raw[0])
        wait_for(lambda: house.holds() == 1, 15, "one request asks")
        answers = at_once(house, raw[1:])
        assert did([leader.result()]) == {"miss": 1}
    assert did(answers) == {"exact": 2, "504": 1}
    assert answers[-1].headers["x-fastgate-error"] == "upstream_timeout"
    assert b"within the 300 ms" in answers[-1].body


def test_whose_client_leaves_is_followed_by_another(house: House) -> None:
    raw = request("left", latency_ms=2_500)
    with socket.create_connection(("127.0.0.1", house.port)) as leader:
        leader.sendall(raw)
        wait_for(lambda: house.holds() == 1, 15, "one request asks")
        with ThreadPoolExecutor(1) as pool:
            followers = pool.submit(at_once, house, [raw] * 8)
            leader.close()
            assert did(followers.result()) == {"miss": 1, "exact": 7}


def test_a_killed_worker_is_not_waited_for(house: House) -> None:
    raw = request("killed", latency_ms=3_000)

    def holder() -> int:
        return next((owner["pid"] for owner in house.admin("status")["owners"] if owner["open_holds"]), 0)

    with ExitStack() as open_:
        lines = [open_.enter_context(socket.create_connection(("127.0.0.1", house.port), 20)) for _ in range(CROWD + 1)]
        lines[0].sendall(raw)
        pid = wait_for(holder, 15, "one request asks")
        for line in lines[1:]:
            line.sendall(raw)
        os.kill(pid, signal.SIGKILL)
        answers = [answer for line in lines if (answer := answer_of(line)) is not None]
    found = did(answers)
    assert found["miss"] == 1
    assert set(found) == {"miss", "exact"}


def answer_of(line: socket.socket) -> Answer | None:
    """What comes back; None: the worker that was to give it is no more."""
    try:
        answer = read_answer(line)
    except ConnectionError:
        return None
    return answer if answer.complete else None


def test_the_ledger_is_the_bill(house: House) -> None:
    house.settled()
    rows = house.requests(key="few")
    assert Counter((row["cache"], row["status"]) for row in rows)["exact", 200] == 2
    assert all(Decimal(row["saved_usd"]) > 0 for row in rows if row["cache"] == "exact")


def test_whose_provider_fails_is_followed_by_another(tmp_path: Path) -> None:
    """Half of all provider calls fail; each question is billed once for all that ask it, once it does not."""
    with (
        Simulator(seed=3, fail="500=0.5") as simulator,
        House(tmp_path, SETTINGS, workers=4, simulator=simulator) as house,
    ):
        found = [did(at_once(house, [request(f"fails {number}", latency_ms=150)] * 6)) for number in range(12)]
        assert sum(each["500"] for each in found) > 0
        for each in found:
            assert set(each) <= {"miss", "exact", "500"}
            assert each["500"] >= 2 or (each["miss"], each["exact"]) == (1, 5 - each["500"])
        assert billed(house) == sum(each["miss"] for each in found)
        house.settled()
        assert abs(
            Decimal(house.admin("spend")["total"]["cost_usd"]) - Decimal(house.bill()["total"]["usd"])
        ) < Decimal("1e-6")


def test_who_waits_too_long_asks_by_itself(tmp_path: Path) -> None:
    """In the worker that asks, and in others."""
    with House(tmp_path, SETTINGS, workers=2, environment={"FASTGATE_FOLLOW_SECONDS": str(FOLLOW_SECONDS)}) as house:
        raw = request("slow", latency_ms=SLOW_MS)
        with ThreadPoolExecutor(1) as pool:
            leader = pool.submit(exchange, house.port, raw)
            wait_for(lambda: house.holds() == 1, 15, "one request asks")
            answers = at_once(house, [raw] * 8)
            assert did([leader.result()]) == {"miss": 1}
        assert did(answers) == {"miss": 8}
        assert billed(house) == 9
