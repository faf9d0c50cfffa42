"""The streams' source, as a process: whole streams to the byte, each chunk at its own moment, whoever reads slowly."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtest import offers, streamed
from loadtest._answers import Expected
from loadtest.openloop import OpenLoop, Phase
from tests.support.house import free_port, wait_for

CHUNKS, CHUNK_MS = 20, 20.0


@contextmanager
def source(chunks: int, chunk_ms: float) -> Iterator[int]:
    port = free_port()
    argv = [sys.executable, "-m", "loadtest.source", str(port), str(chunks), str(chunk_ms)]
    process = subprocess.Popen(argv)

    def is_there() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(is_there, 10, "the source does not listen")
        yield port
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with source(CHUNKS, CHUNK_MS) as port:
        yield port


def asked(port: int, body: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    return connection


def answer(connection: socket.socket) -> list[bytes]:
    pieces = [connection.recv(1 << 16)]
    while not pieces[-1].endswith(b"0\r\n\r\n"):
        pieces.append(connection.recv(1 << 16))
        assert pieces[-1]
    return pieces


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"no HTTP\r\n\r\n"])
def test_who_asks_for_no_stream_is_closed_and_nobody_else(port: int, data: bytes) -> None:
    waiting = asked(port, b"{}")
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(data)
        assert connection.recv(1) == b""
    assert answer(waiting)
    waiting.close()


@pytest.mark.parametrize("wants_usage", [False, True])
def test_streams_are_what_is_said_beforehand(port: int, wants_usage: bool) -> None:
    event, tail = streamed.text(CHUNKS, wants_usage=wants_usage)
    expected = Expected(tail.encode(), event=event.encode(), stamp=event.index("@") + 1, count=CHUNKS)
    with asked(port, b'{"stream_options":{"include_usage":%b}}' % (b"true" if wants_usage else b"false")) as connection:
        outcome, times, _ = expected.read(answer(connection))
    assert (outcome, len(times)) == ("whole", CHUNKS)
    assert times[0] < times[1]
    # Each is due by the second, not by the one before it: nobody's being late adds up.
    assert CHUNK_MS * 0.8e6 < (times[-1] - times[1]) / (CHUNKS - 2) < CHUNK_MS * 1.2e6


def test_a_connection_has_one_stream_after_another_and_a_thousand_are_open(port: int) -> None:
    with OpenLoop(port, offers.streams(CHUNKS), seconds=20) as loop:
        seen = loop.run([Phase(2500, 1)])
    seen.check()
    assert seen.times("delay").count == 2500 * CHUNKS


def test_beginnings_are_within_one_pause_and_no_two_at_once(port: int) -> None:
    with OpenLoop(port, offers.streams(CHUNKS), seconds=20) as loop:
        seen = loop.run([Phase(500, 1)])
    gaps = seen.histogram("gap")
    assert gaps.get_value_at_percentile(1) < CHUNK_MS * 1e6 / 2
    assert gaps.get_value_at_percentile(50) > CHUNK_MS * 1e6 / 2


def test_who_reads_slowly_gets_all_of_it() -> None:
    with source(20_000, 0.001) as port, asked(port, b"{}") as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with asked(port, b"{}") as quick:  # is served beside it
            whole = b"".join(answer(quick))
        assert whole.count(b"@") == 20_000
        assert b"".join(answer(slow)).count(b"@") == 20_000


def test_who_leaves_is_forgotten(port: int) -> None:
    for _ in range(20):
        with asked(port, b"{}") as connection:
            connection.recv(10)
    with asked(port, b"{}") as connection:
        assert answer(connection)
