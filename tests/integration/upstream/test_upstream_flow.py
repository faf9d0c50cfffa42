"""Bounds: memory while nobody reads, connections, and the lives of idle ones."""

import asyncio
import gc
import tracemalloc
import weakref

import pytest
from upstream_server import (
    BODY,
    CHUNKED,
    HEAD,
    LIMIT,
    OK,
    Peer,
    answer,
    chunk,
    spin,
    streamed,
    upstream,
    whole,
)

from fastgate._core.connection import Connection
from fastgate._core.exchange import Exchange
from fastgate._core.upstream_errors import BodyTooLarge

READ = 256 * 1024  # the most that one read of either event loop brings
HIGH = 256 * 1024  # the most that waits unread before reading stops
GIGABYTE = 1 << 30


async def flood(peer: Peer, length: int = 5 * GIGABYTE) -> None:
    """Five gigabytes, or as many as the client takes."""
    await peer.request()
    await peer.send(OK + b"content-length: %d\r\n\r\n" % length)
    piece = b"x" * 65536
    while peer.sent < length:
        await peer.send(piece)


async def standstill(exchange: Exchange, peer: Peer) -> None:
    """Until the server cannot send and the client has taken what it will."""
    before = -1
    while exchange.received != before or not peer.blocked.is_set():
        before = exchange.received
        await spin()


async def test_body_that_nobody_reads_stops_at_the_bound():
    async with upstream(flood) as (server, pool):
        exchange = await pool.request(HEAD, BODY)
        await standstill(exchange, server.peers[0])
        assert HIGH < exchange.received <= HIGH + READ
        with pytest.raises(BodyTooLarge):
            await exchange.read(HIGH)
        exchange.abort()


async def test_what_took_a_stream_is_let_go_at_its_end():
    """It knows the exchange; if that kept it, each stream would stay in memory until somebody looks for circles."""

    class Sink:
        def __init__(self, exchange: Exchange) -> None:
            self.exchange = exchange

        def take(self, piece: bytes) -> None:
            pass

    async with upstream(lambda peer: flood(peer, 1 << 20)) as (_, pool):
        gc.disable()
        try:
            exchange = await pool.request(HEAD, BODY)
            sink = Sink(exchange)
            let_go = weakref.ref(sink)
            await exchange.stream(sink.take)
            del exchange, sink
            assert let_go() is None
        finally:
            gc.enable()


async def test_slow_sink_bounds_memory_over_a_huge_body():
    total = 256 << 20

    async with upstream(lambda peer: flood(peer, total)) as (server, pool):
        exchange = await pool.request(HEAD, BODY)
        await standstill(exchange, server.peers[0])
        tracemalloc.start()
        taken = longest = pauses = waiting = 0

        def sink(piece: bytes) -> None:
            nonlocal taken, longest, pauses, waiting
            taken += len(piece)
            waiting += len(piece)
            longest = max(longest, len(piece))
            if waiting >= 1 << 20:  # the client's bound
                exchange.pause()
                pauses += 1

        ended = exchange.stream(sink)
        while not ended.done():
            await asyncio.sleep(0)
            assert waiting <= (1 << 20) + READ
            assert exchange.received - taken <= HIGH + READ
            if waiting >= 1 << 20:
                await spin(3)  # the client is slower than the upstream
                waiting = 0
                exchange.resume()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (taken, exchange.received, exchange.complete) == (total, total, True)
        assert longest <= READ
        assert pauses > 100
        assert peak < 4 << 20


async def test_paused_exchange_takes_nothing_more():
    async with upstream(flood) as (server, pool):
        exchange = await pool.request(HEAD, BODY)
        taken: list[int] = []

        def sink(piece: bytes) -> None:
            taken.append(len(piece))
            if sum(taken) > LIMIT:
                exchange.pause()

        ended = exchange.stream(sink)
        await standstill(exchange, server.peers[0])
        assert LIMIT < sum(taken) <= LIMIT + READ
        assert exchange.received == sum(taken)
        exchange.resume()  # one piece, and the sink pauses again
        await standstill(exchange, server.peers[0])
        assert LIMIT < sum(taken) <= LIMIT + 2 * READ
        exchange.abort()
        with pytest.raises(Exception, match="aborted"):
            await ended


async def test_tiny_pieces_do_not_cost_more_than_their_bytes():
    pieces = 200_000

    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED)
        await peer.send(*([chunk(b"ab") * 2000] * (pieces // 2000)), chunk(b""))
        await peer.left()

    async with upstream(script) as (_, pool):
        tracemalloc.start()
        exchange = await pool.request(HEAD, BODY, buffer_limit=LIMIT)
        body = await exchange.read(LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert body == b"ab" * pieces
        assert peak < 4 << 20  # as objects of their own they would be 18 MB


async def test_sink_that_pauses_at_every_piece_gets_every_byte_in_order():
    text = bytes(range(256)) * 8000

    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, *(chunk(text[at : at + 40_000]) for at in range(0, len(text), 40_000)), chunk(b""))
        await peer.left()

    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY, buffer_limit=1_500_000)
        pieces: list[bytes] = []

        def sink(piece: bytes) -> None:
            pieces.append(piece)
            exchange.pause()
            asyncio.get_running_loop().call_soon(exchange.resume)

        await exchange.stream(sink)
        assert b"".join(pieces) == text
        assert max(map(len, pieces)) <= HIGH


async def test_resume_from_within_the_sink():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"), chunk(b"def"), chunk(b""))
        await peer.left()

    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY, buffer_limit=LIMIT)
        pieces: list[bytes] = []

        def sink(piece: bytes) -> None:
            exchange.pause()
            exchange.resume()
            pieces.append(piece)

        await exchange.stream(sink)
        assert b"".join(pieces) == b"abcdef"


async def test_connection_paused_at_the_end_is_reused():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"x" * 300_000))
        await held.wait()
        await peer.send(chunk(b""))
        await peer.request()
        await peer.send(answer(b"next"))
        await peer.left()

    held = asyncio.Event()
    async with upstream(script) as (server, pool):
        exchange = await pool.request(HEAD, BODY)
        await spin()
        held.set()
        assert await exchange.read(LIMIT) == b"x" * 300_000
        assert (await whole(pool))[1] == b"next"
        assert len(server.peers) == 1


async def test_one_reader_at_a_time():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"))
        await go.wait()
        await peer.send(chunk(b""))
        await peer.left()

    go = asyncio.Event()
    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY)
        reading = asyncio.ensure_future(exchange.read(LIMIT))
        await spin()
        with pytest.raises(RuntimeError, match="already being read"):
            exchange.stream(lambda piece: None)
        with pytest.raises(RuntimeError, match="already being read"):
            await exchange.read(LIMIT)
        go.set()
        assert await reading == b"abc"


async def test_cancelled_read_leaves_the_body_to_the_next():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"))
        await go.wait()
        await peer.send(chunk(b"def"), chunk(b""))
        await peer.left()

    go = asyncio.Event()
    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY)
        reading = asyncio.ensure_future(exchange.read(LIMIT))
        await spin()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        go.set()
        assert await streamed(exchange) == b"abcdef"


# Connections


async def test_at_most_max_connections_and_first_come_first_served():
    async def script(peer: Peer):
        nonlocal busy, most
        while True:
            request = await peer.request()
            busy += 1
            most = max(most, busy)
            await spin(3)
            busy -= 1
            await peer.send(answer(request[-13:]))

    busy = most = 0
    async with upstream(script, max_connections=4) as (server, pool):
        requests = [whole(pool, HEAD, b"%13d" % number) for number in range(100)]
        bodies = [int(body) for _, body in await asyncio.gather(*requests)]
        assert bodies == list(range(100))
        assert (len(server.peers), most) == (4, 4)
        asked = [int(request[-13:]) for request in server.requests]
        assert all(abs(number - place) < 8 for place, number in enumerate(asked))


async def test_requests_in_line_go_on_when_connections_end():
    async def script(peer: Peer):
        request = await peer.request()
        await peer.send(answer(request[-13:], b"connection: close"))

    async with upstream(script, max_connections=2) as (server, pool):
        results = await asyncio.gather(*(whole(pool, HEAD, b"%13d" % number) for number in range(20)))
        assert [int(body) for _, body in results] == list(range(20))
        assert len(server.peers) == 20


async def test_idle_connections_end_after_keepalive_seconds():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"one"))
        await peer.left()

    async with upstream(script, keepalive_seconds=0.05) as (server, pool):
        await asyncio.gather(*(whole(pool) for _ in range(3)))
        assert pool.stats()["idle"] == 3
        await asyncio.gather(*(peer.gone.wait() for peer in server.peers))
        await spin()
        assert pool.stats() == {"connections": 0, "idle": 0, "open": 0, "waiting": 0}


async def test_sweeper_stops_with_the_last_connection():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"one", b"connection: close"))

    loop = asyncio.get_running_loop()
    calls: list[float] = []

    class Loop:
        """The running loop, counting timers."""

        def __getattr__(self, name: str) -> object:
            return getattr(loop, name)

        def call_later(self, delay: float, callback: object, *args: object) -> asyncio.TimerHandle:
            calls.append(delay)
            fired.clear()
            return loop.call_later(delay, lambda: (callback(*args), fired.set()))  # type: ignore[operator]

    fired = asyncio.Event()
    async with upstream(script, loop=Loop(), idle_timeout=0.04) as (_, pool):
        assert calls == []
        await asyncio.gather(*(whole(pool) for _ in range(50)))
        await fired.wait()
        assert len(calls) < 5  # one for all, not one for each
        assert pool.stats()["connections"] == 0
        assert fired.is_set()  # and none since


async def test_retired_pool_finishes_what_is_open_and_keeps_nothing():
    async def script(peer: Peer):
        await peer.request()
        if peer.number == 0:
            await peer.send(answer(b"idle"))
            await peer.left()
        await peer.send(CHUNKED, chunk(b"abc"))
        await go.wait()
        await peer.send(chunk(b"def"), chunk(b""))
        await peer.left()

    go = asyncio.Event()
    async with upstream(script) as (server, pool):
        await whole(pool)
        assert pool.stats()["idle"] == 1
        pool.retire()
        await server.peers[0].gone.wait()
        exchange = await pool.request(HEAD, BODY)
        go.set()
        assert await streamed(exchange) == b"abcdef"
        await server.peers[1].gone.wait()
        await spin()
        assert pool.stats()["connections"] == 0


async def test_nothing_is_left_for_the_garbage_collector():
    async def script(peer: Peer):
        for _ in range(3):
            await peer.request()
            await peer.send(CHUNKED, chunk(b"abc"), chunk(b""))
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"))
        await peer.left()

    def alive() -> int:
        return sum(isinstance(thing, Exchange | Connection) for thing in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        async with upstream(script) as (server, pool):
            await whole(pool)
            await streamed(await pool.request(HEAD, BODY))
            await (await pool.request(HEAD, BODY)).stream(lambda piece: None)
            (await pool.request(HEAD, BODY)).abort()
            await server.peers[0].gone.wait()
            await spin()
            assert alive() == before
    finally:
        gc.enable()
