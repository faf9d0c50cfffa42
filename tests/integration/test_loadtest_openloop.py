"""The open loop against a small real server: nothing is left out where it stalls, and no wrong answer passes."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import uvloop

from loadtest._answers import Expected
from loadtest._engine import bucket_of
from loadtest.errors import RigError
from loadtest.offers import Offer
from loadtest.openloop import OpenLoop, Phase, lowest

BEFORE = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n"
AFTER = b"abcd"
SIZE = len(BEFORE) + 12 + len(AFTER)
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
OFFER = Offer(BEFORE, AFTER, Expected(b"hello"))
RATE = 1000


class Small(asyncio.Protocol):
    """Answers the requests of a connection by ``server.answer``; None: with the end of the connection."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.connections += 1
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._came += data
        while len(self._came) >= SIZE and not self._transport.is_closing():
            request, self._came = self._came[:SIZE], self._came[SIZE:]
            self._server.requests.append(request)
            answer = self._server.answer(len(self._server.requests))
            if answer is None:
                self._transport.close()
            else:
                self._transport.write(answer)


class Server:
    """A context: it serves in a thread of its own."""

    def __init__(self, answer: Callable[[int], bytes | None]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self._listens = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()))

    def __enter__(self) -> "Server":
        self._thread.start()
        self._listens.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(lambda: Small(self), "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._listens.set()
        await self._end.wait()
        server.close()


@pytest.mark.parametrize("connections", [4, 1024])
def test_who_is_due_while_the_subject_stalls_is_counted_from_then(connections: int) -> None:
    stall = 0.3

    def answer(number: int) -> bytes:
        if number == 200:
            time.sleep(stall)  # this is the stall: the server does nothing meanwhile
        return GOOD

    with Server(answer) as server, OpenLoop(server.port, OFFER, connections=connections) as loop:
        seen = loop.run([Phase(RATE, 1.0)], row_seconds=0.1)
    seen.check()
    assert seen.answered == seen.requests == len(set(server.requests)) == RATE
    assert server.connections <= connections
    # All that were due in its first two thirds have waited for the last one at least.
    assert waited(seen.counts["latency"].sum(axis=0), stall / 3) >= RATE * stall * 2 / 3 - 1
    assert seen.times("latency").longest >= stall * 1e6 * 0.99
    if connections == 4:  # those that waited in line are known
        assert waited(seen.counts["late"].sum(axis=0), stall / 3) >= RATE * stall * 2 / 3 - 5
    assert sum(row.count for row in seen.by_row("latency")) == RATE


def waited(counts: "np.ndarray[Any, Any]", seconds: float) -> int:
    """How many took so long."""
    return int(counts[bucket_of(int(seconds * 1e9)) :].sum())


WRONG = {
    "status": b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 5\r\n\r\nhello",
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello!",
    "body": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhellO",
    "malformed": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "excess": GOOD + b"x",
    "cut": None,
}


@pytest.mark.parametrize("fault", WRONG)
def test_one_wrong_answer_among_many_is_found(fault: str) -> None:
    with Server(lambda number: WRONG[fault] if number == 50 else GOOD) as server, OpenLoop(server.port, OFFER) as loop:
        seen = loop.run([Phase(RATE, 0.1)])
    assert (seen.answered, seen.faults) == (99, {fault: 1})
    with pytest.raises(RigError, match=f"99 of 100 requests were answered; {{'{fault}': 1}}"):
        seen.check()


def test_what_is_never_answered_ends_and_is_told() -> None:
    with (
        Server(lambda number: GOOD if number <= 20 else b"") as server,
        OpenLoop(server.port, OFFER, connections=8, seconds=1.0) as loop,
    ):
        seen = loop.run([Phase(RATE, 0.1)])
    sent = len(server.requests)
    assert sent < 100
    assert (seen.answered, seen.faults) == (20, {"timeout": sent - 20, "unsent": 100 - sent})


def test_nobody_listens() -> None:
    with OpenLoop(1, OFFER) as loop:
        assert loop.run([Phase(RATE, 0.02)]).faults == {"connect": 20}


def test_a_connection_for_each_request_where_that_is_asked_for() -> None:
    with Server(lambda number: GOOD) as server, OpenLoop(server.port, OFFER, keeps=False) as loop:
        loop.run([Phase(RATE, 0.1)]).check()
    assert server.connections == 100


@pytest.mark.parametrize(("rotates", "connections"), [(False, 1), (True, 8)])
def test_who_rested_longest_is_next_where_that_is_asked_for(rotates: bool, connections: int) -> None:
    with Server(lambda number: GOOD) as server, OpenLoop(server.port, OFFER, connections=8, rotates=rotates) as loop:
        for _ in range(20):  # one after another: however slow this machine is, all are free for each
            loop.run([Phase(1000, 0.001)]).check()
    assert (server.connections, len(set(server.requests))) == (connections, 20)


def test_a_closed_loop_asks_as_soon_as_it_is_answered_and_ends_in_time() -> None:
    with Server(lambda number: GOOD) as server, OpenLoop(server.port, OFFER, connections=3) as loop:
        first, second = loop.saturate(0.2), loop.saturate(0.2)
    for seen in (first, second):
        seen.check()
        assert 0.2 <= seen.seconds < 5
        assert seen.times("latency").count == seen.requests > 3
    assert len(set(server.requests)) == first.requests + second.requests
    assert server.connections == 3


def test_a_closed_loop_tells_what_was_wrong_too() -> None:
    with (
        Server(lambda number: b"" if number > 5 else GOOD) as server,
        OpenLoop(server.port, OFFER, connections=2, seconds=0.5) as loop,
    ):
        seen = loop.saturate(0.1)
    assert (seen.requests, seen.answered, seen.faults) == (7, 5, {"timeout": 2})


def test_what_the_subject_closes_is_opened_anew() -> None:
    closing = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n")
    with Server(lambda number: closing) as server, OpenLoop(server.port, OFFER) as loop:
        for _ in range(2):
            loop.run([Phase(RATE, 0.05)]).check()
    assert server.connections == len(set(server.requests)) == 100


EVENT = b'data: {"at":"00000000000000000000"}\n\n'
END = b"data: [DONE]\n\n"


def test_a_stream_is_timed_from_when_it_was_due_and_by_its_chunks_own_times() -> None:
    def answer(_: int) -> bytes:
        events = [EVENT.replace(b"0" * 20, b"%020d" % time.monotonic_ns()) for _ in range(3)]
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*events, END])
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"

    offer = Offer(BEFORE, AFTER, Expected(END, event=EVENT, stamp=13, count=3))
    with Server(answer) as server, OpenLoop(server.port, offer) as loop:
        seen = loop.run([Phase(RATE, 0.1)])
    seen.check()
    first, delay, gap, latency = (seen.times(kind) for kind in ("first", "delay", "gap", "latency"))
    assert (first.count, delay.count, gap.count, latency.count) == (100, 300, 200, 100)
    assert 0 < delay.mean < first.mean <= latency.mean


def test_phases_follow_each_other_without_a_pause() -> None:
    with Server(lambda number: GOOD) as server, OpenLoop(server.port, OFFER) as loop:
        seen = loop.run([Phase(200, 0.1), Phase(2000, 0.1), Phase(200, 0.1)], row_seconds=0.1)
    assert [row.count for row in seen.by_row("latency")] == [20, 200, 20]
    assert seen.times("latency", 0.1, 0.2).count == 200


def test_a_time_is_counted_to_a_thousandth() -> None:
    for ns in [*range(0, 5000, 7), *(2**power + more for power in range(12, 37) for more in (-1, 0, 1))]:
        bucket = bucket_of(ns)
        assert lowest(bucket) <= ns < lowest(bucket + 1)
        assert lowest(bucket + 1) - lowest(bucket) <= max(1, ns / 1000)


def test_times_that_are_longer_than_any_are_counted_as_the_longest() -> None:
    assert bucket_of(2**63 - 1) == bucket_of(2**37 - 1) == bucket_of(2**37 - 1 - 2**25)
    assert bucket_of(-1) == 0


def test_what_makes_no_sense_is_refused() -> None:
    with OpenLoop(1, OFFER) as loop:
        for phases, row_seconds in (([], 1.0), ([Phase(0, 1)], 1.0), ([Phase(1, -1)], 1.0), ([Phase(1, 1)], 0.0)):
            with pytest.raises(ValueError, match="phase"):
                loop.run(phases, row_seconds)
    with pytest.raises(ValueError, match="closed"):
        loop.run([Phase(1, 1)])
    with pytest.raises(ValueError, match="65536"):
        OpenLoop(1, OFFER, connections=0)
