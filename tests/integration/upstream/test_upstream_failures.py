"""Everything an upstream can do wrong: each gives its error, with what the money needs to know, and leaves nothing
open."""

import asyncio
import socket
from contextlib import ExitStack

import pytest
from upstream_server import (
    BODY,
    CHUNKED,
    HEAD,
    LIMIT,
    OK,
    Peer,
    chunk,
    facts,
    full_backlog,
    open_pool,
    spin,
    upstream,
    whole,
)

from fastgate._core.upstream_errors import (
    ClosedEarly,
    ConnectError,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    TotalTimeout,
)

# Connecting


async def test_refused():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        async with open_pool(unheard.getsockname()[1]) as pool:
            with pytest.raises(ConnectError, match=r"cannot connect to 127\.0\.0\.1:\d+") as caught:
                await whole(pool)
            assert facts(caught.value) == (False, False)


async def test_host_without_address():
    async with open_pool(80, host="nothing.invalid") as pool:
        with pytest.raises(ConnectError, match=r"nothing\.invalid:80"):
            await whole(pool)


async def test_host_that_is_no_name():
    async with open_pool(80, host="a" * 64 + ".example") as pool:
        with pytest.raises(ConnectError):
            await whole(pool)


async def test_connect_timeout():
    with ExitStack() as stack:
        async with open_pool(full_backlog(stack), connect_timeout=0.1) as pool:
            with pytest.raises(ConnectTimeout, match=r"within 0\.1 s$") as caught:
                await whole(pool)
            assert facts(caught.value) == (False, False)
            await spin()
            assert pool.stats()["connections"] == 0


async def test_total_timeout_covers_connecting():
    with ExitStack() as stack:
        async with open_pool(full_backlog(stack), total_timeout=0.1) as pool:
            with pytest.raises(TotalTimeout) as caught:
                await whole(pool)
            assert facts(caught.value) == (False, False)


async def test_no_free_place_within_the_connect_timeout():
    async def script(peer: Peer):
        await peer.request()
        await peer.left()

    async with upstream(script, max_connections=1, connect_timeout=0.1) as (server, pool):
        first = asyncio.ensure_future(whole(pool))
        await spin(1)
        with pytest.raises(ConnectTimeout, match="all 1 are busy") as caught:
            await whole(pool)
        assert facts(caught.value) == (False, False)
        assert pool.stats()["waiting"] == 0
        assert len(server.requests) == 1
        await pool.close()
        with pytest.raises(ClosedEarly):
            await first


async def test_failed_connection_frees_its_place_for_the_next_in_line():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        async with open_pool(unheard.getsockname()[1], max_connections=1) as pool:
            results = await asyncio.gather(*(whole(pool) for _ in range(5)), return_exceptions=True)
            assert [type(result) for result in results] == [ConnectError] * 5


# Timeouts


async def test_never_answers():
    async def script(peer: Peer):
        await peer.request()
        await peer.left()

    async with upstream(script, first_byte_timeout=0.1) as (server, pool):
        with pytest.raises(FirstByteTimeout) as caught:
            await whole(pool)
        assert facts(caught.value) == (True, False)
        await server.peers[0].gone.wait()


async def test_never_reads():
    async def script(peer: Peer):
        peer.transport.pause_reading()
        await stop.wait()

    stop = asyncio.Event()
    async with upstream(script, first_byte_timeout=0.1) as (_, pool):
        with pytest.raises(FirstByteTimeout) as caught:
            await whole(pool, b"POST / HTTP/1.1\r\ncontent-length: 50000000\r\n\r\n", bytes(50_000_000))
        assert facts(caught.value) == (True, False)
        stop.set()


@pytest.mark.parametrize(
    "start", [b"HTT", OK, OK + b"content-length: 9\r\n\r\n", CHUNKED + chunk(b"abc"), OK + b"\r\nabc"]
)
async def test_answer_stops_in_the_middle(start: bytes):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(start)
        await peer.left()

    async with upstream(script, idle_timeout=0.1) as (server, pool):
        with pytest.raises(IdleTimeout) as caught:
            await whole(pool)
        assert facts(caught.value) == (True, True)
        await server.peers[0].gone.wait()


async def test_steady_trickle_meets_the_total_timeout_only():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED)
        while not peer.gone.is_set():
            await peer.send(chunk(b"."))
            await asyncio.wait([asyncio.ensure_future(peer.gone.wait())], timeout=0.02)

    async with upstream(script, idle_timeout=0.1, total_timeout=0.3) as (_, pool):
        exchange = await pool.request(HEAD, BODY)
        pieces: list[bytes] = []
        with pytest.raises(TotalTimeout) as caught:
            await exchange.stream(pieces.append)
        assert facts(caught.value) == (True, True)
        assert len(pieces) > 3
        assert 0.3 <= (exchange.ended_ns - exchange.started_ns) / 1e9 < 1


async def test_pause_by_the_caller_is_not_the_upstreams_silence():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"))
        await go.wait()
        await peer.send(chunk(b"def"), chunk(b""))

    go = asyncio.Event()
    async with upstream(script, idle_timeout=0.05, total_timeout=0.4) as (_, pool):
        paused, other = await pool.request(HEAD, BODY), await pool.request(HEAD, BODY)
        pieces: list[bytes] = []

        def sink(piece: bytes) -> None:
            pieces.append(piece)
            paused.pause()

        ended = paused.stream(sink)
        with pytest.raises(IdleTimeout):
            await other.read(LIMIT)  # as silent as the first, and nobody paused it
        assert not ended.done()
        go.set()
        while not ended.done():
            paused.resume()
            await asyncio.sleep(0)
        assert ended.result() is None
        assert b"".join(pieces) == b"abcdef"


# What is no answer


@pytest.mark.parametrize(
    "reply",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html>502</html>",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 1000 High\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        OK + b"name with space: 1\r\n\r\n",
        OK + b"x: a\0b\r\n\r\n",
        OK + b"x: a\r\n folded\r\n\r\n",
        OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        OK + b"content-length: 5, 5\r\n\r\nabcde",
        OK + b"content-length: -1\r\n\r\n",
        OK + b"content-length: 99999999999999999999999\r\n\r\n",
        OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"transfer-encoding: gzip\r\n\r\nabc",
        CHUNKED + b"zz\r\nabc\r\n",
        CHUNKED + b"3\r\nabcd\r\n",
        CHUNKED + b"fffffffffffffffff\r\nabc\r\n",
        CHUNKED + b"-3\r\nabc\r\n",
    ],
)
async def test_not_an_answer(reply: bytes):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(reply)
        await peer.left()

    async with upstream(script) as (server, pool):
        with pytest.raises(ProtocolError, match=r"127\.0\.0\.1:\d+ sent what is not HTTP/1\.1: ") as caught:
            await whole(pool)
        assert facts(caught.value) == (True, True)
        await server.peers[0].gone.wait()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (OK, b"x: " + b"y" * 1000 + b"\r\n"),
        (OK + b"x: ", b"y" * 1000),
        (b"HTTP/1.1 200 ", b"O" * 1000),
        (OK, b"a: b\r\n" * 200),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
        (b"", b"\r\n" * 500),
        (CHUNKED + b"3\r\nabc\r\n0\r\n", b"x: " + b"y" * 1000 + b"\r\n"),
        (CHUNKED + b"3\r\nabc\r\n0\r\nx: ", b"y" * 1000),
        (CHUNKED + b"3;", b"e" * 1000),
    ],
    ids=["headers", "one-header", "reason", "many", "interim", "blank", "trailers", "one-trailer", "extension"],
)
async def test_endless_head_or_trailers_are_cut(start: bytes, more: bytes):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(start)
        while True:
            await peer.send(more)

    async with upstream(script, max_head_bytes=10_000) as (server, pool):
        with pytest.raises(ProtocolError, match="more than 10000 bytes"):
            await whole(pool)
        assert server.peers[0].sent < 20_000_000


async def test_head_within_the_bound_passes_and_beyond_does_not():
    async def script(peer: Peer):
        size = int((await peer.request())[-13:])
        await peer.send(
            OK + b"content-length: 0\r\nx: " + b"y" * (size - len(b"content-length: 0\r\nx: \r\n")) + b"\r\n\r\n"
        )

    async with upstream(script, max_head_bytes=5000) as (_, pool):
        exchange, _ = await whole(pool, HEAD, b"%13d" % 5000)
        assert len(exchange.headers) == 2
        with pytest.raises(ProtocolError, match="more than 5000 bytes of head"):
            await whole(pool, HEAD, b"%13d" % 5001)


# Closing early


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize(
    ("start", "answered"),
    [
        (b"", False),
        (b"HTTP/1.1 2", True),
        (OK + b"a: b\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", True),
        (OK + b"content-length: 9\r\n\r\n", True),
        (OK + b"content-length: 9\r\n\r\nabcdefgh", True),
        (CHUNKED + chunk(b"abc"), True),
        (CHUNKED + chunk(b"abc") + b"0\r\n", True),
    ],
    ids=["nothing", "line", "headers", "interim", "head", "body", "chunk", "last-chunk"],
)
async def test_closed_early(start: bytes, answered: bool, way: str):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(start)
        await spin(5)  # the client has had a turn before the connection ends
        getattr(peer, way)()

    async with upstream(script) as (server, pool):
        with pytest.raises(ClosedEarly) as caught:
            await whole(pool)
        assert facts(caught.value) == (True, answered)
        assert len(server.requests) == 1  # on a fresh connection nothing is stale


async def test_reset_does_not_end_a_body_that_only_the_close_ends():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(OK + b"\r\nabc")
        await got.wait()
        peer.reset()

    got = asyncio.Event()
    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY)
        with pytest.raises(ClosedEarly):
            await exchange.stream(lambda piece: got.set())
        assert exchange.received == 3


async def test_what_arrived_before_the_failure_is_delivered_before_it():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"))

    async with upstream(script) as (server, pool):
        exchange = await pool.request(HEAD, BODY)
        await server.peers[0].gone.wait()
        await spin()
        pieces: list[bytes] = []
        with pytest.raises(ClosedEarly):
            await exchange.stream(pieces.append)
        assert pieces == [b"abc"]
        with pytest.raises(ClosedEarly):
            await exchange.read(LIMIT)
