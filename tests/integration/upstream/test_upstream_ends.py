"""Connections that had gone stale, and exchanges that are ended from here."""

import asyncio
import time
from contextlib import ExitStack

import pytest
from upstream_server import (
    BODY,
    CHUNKED,
    HEAD,
    Peer,
    answer,
    chunk,
    facts,
    full_backlog,
    open_pool,
    spin,
    streamed,
    upstream,
    whole,
)

from fastgate._core.upstream import Pool
from fastgate._core.upstream_errors import (
    ClosedEarly,
    ConnectError,
    FirstByteTimeout,
)

# Stale connections


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_stale_connection_is_replaced_once(way: str):
    async def script(peer: Peer):
        await peer.request()
        if peer.number == 0:
            await peer.send(answer(b"first"))
            await peer.request()
        if peer.number < closing:
            getattr(peer, way)()
        else:
            await peer.send(answer(b"after"))
            await peer.left()

    closing = 1
    async with upstream(script) as (server, pool):
        assert (await whole(pool))[1] == b"first"
        assert (await whole(pool))[1] == b"after"
        assert len(server.peers) == 2
        assert len(server.requests) == 3

    closing = 2
    async with upstream(script) as (server, pool):
        assert (await whole(pool))[1] == b"first"
        with pytest.raises(ClosedEarly) as caught:
            await whole(pool)
        assert facts(caught.value) == (True, False)
        assert len(server.requests) == 3  # the replacement is not replaced


async def test_no_second_try_after_a_byte_of_an_answer():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"first"))
        await peer.request()
        await peer.send(b"H")
        await spin(5)

    async with upstream(script) as (server, pool):
        await whole(pool)
        with pytest.raises(ClosedEarly) as caught:
            await whole(pool)
        assert facts(caught.value) == (True, True)
        assert len(server.requests) == 2


async def test_no_second_try_where_the_upstream_had_the_request_for_long():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"first"))
        await peer.request()
        while time.monotonic_ns() - started < 50_000_000:
            await asyncio.sleep(0)

    async with upstream(script, stale_seconds=0.04) as (server, pool):
        await whole(pool)
        started = time.monotonic_ns()
        with pytest.raises(ClosedEarly) as caught:
            await whole(pool)
        assert facts(caught.value) == (True, False)
        assert len(server.requests) == 2


async def test_no_second_try_after_a_timeout():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"first"))
        await peer.request()
        await peer.left()

    async with upstream(script, first_byte_timeout=0.1) as (server, pool):
        await whole(pool)
        with pytest.raises(FirstByteTimeout):
            await whole(pool)
        await spin()
        assert len(server.requests) == 2


async def test_replacement_that_cannot_connect_still_counts_as_sent():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"first"))
        await peer.request()
        assert peer.server.listener is not None
        peer.server.listener.close()
        peer.close()

    async with upstream(script) as (_, pool):
        await whole(pool)
        with pytest.raises(ConnectError) as caught:
            await whole(pool)
        assert facts(caught.value) == (True, False)


async def test_connection_that_ended_while_idle_is_not_used():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"one"))

    async with upstream(script) as (server, pool):
        for _ in range(3):
            await whole(pool)
            await server.peers[-1].gone.wait()
            await spin()
            assert pool.stats()["idle"] == 0
        assert len(server.requests) == len(server.peers) == 3


# Ends that come from here


async def test_close_while_in_flight():
    async def script(peer: Peer):
        await peer.request()
        asked.set()
        if peer.number == 1:
            await peer.send(CHUNKED, chunk(b"abc"))
        await peer.left()

    asked = asyncio.Event()
    async with upstream(script, max_connections=2) as (_, pool):
        silent = asyncio.ensure_future(whole(pool))
        await asked.wait()
        exchange = await pool.request(HEAD, BODY)
        waiting = asyncio.ensure_future(whole(pool))
        ended = asyncio.ensure_future(streamed(exchange))
        await spin()
        await pool.close()
        with pytest.raises(ClosedEarly) as caught:
            await silent
        assert facts(caught.value) == (True, False)
        with pytest.raises(ClosedEarly) as caught:
            await ended
        assert facts(caught.value) == (True, True)
        with pytest.raises(ConnectError) as connect:
            await waiting
        assert facts(connect.value) == (False, False)
        with pytest.raises(ConnectError, match="closed"):
            await whole(pool)
        await pool.close()


async def test_close_while_connecting():
    with ExitStack() as stack:
        async with open_pool(full_backlog(stack)) as pool:
            request = asyncio.ensure_future(whole(pool))
            await spin()
            await pool.close()
            with pytest.raises(ConnectError):
                await request


async def test_abort():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"))
        await peer.left()

    async with upstream(script) as (server, pool):
        exchange = await pool.request(HEAD, BODY)
        ended = exchange.stream(lambda piece: None)
        exchange.abort()
        with pytest.raises(ClosedEarly, match="aborted"):
            await ended
        exchange.abort()
        await server.peers[0].gone.wait()
        await spin()
        assert pool.stats()["open"] == 0


async def test_abort_from_within_the_sink():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"), chunk(b"def"), chunk(b""))
        await peer.left()

    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY)
        pieces: list[bytes] = []

        def sink(piece: bytes) -> None:
            pieces.append(piece)
            exchange.abort()

        with pytest.raises(ClosedEarly, match="aborted"):
            await exchange.stream(sink)
        assert len(pieces) == 1


async def test_what_the_sink_raises_ends_the_exchange():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"abc"))
        await peer.left()

    def sink(piece: bytes) -> None:
        raise ZeroDivisionError

    async with upstream(script) as (server, pool):
        exchange = await pool.request(HEAD, BODY)
        with pytest.raises(ZeroDivisionError):
            await exchange.stream(sink)
        await server.peers[0].gone.wait()


async def test_cancelled_request_ends_its_connection():
    async def script(peer: Peer):
        await peer.request()
        asked.set()
        await peer.left()
        left.set()

    asked, left = asyncio.Event(), asyncio.Event()
    async with upstream(script) as (_, pool):
        request = asyncio.ensure_future(whole(pool))
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await left.wait()
        await spin()
        assert pool.stats()["connections"] == 0


async def test_cancelled_while_waiting_in_line_keeps_the_order():
    async def script(peer: Peer):
        while True:
            request = await peer.request()
            await go.get()
            await peer.send(answer(request[-13:]))

    go: asyncio.Queue[None] = asyncio.Queue()
    async with upstream(script, max_connections=1) as (server, pool):
        requests = []
        for number in range(4):
            requests.append(asyncio.ensure_future(whole(pool, HEAD, b"%13d" % number)))
            await spin(2)
        assert pool.stats()["waiting"] == 3
        requests[1].cancel()
        await spin(2)
        assert pool.stats()["waiting"] == 2
        for _ in range(3):
            go.put_nowait(None)
        assert [int((await requests[number])[1]) for number in (0, 2, 3)] == [0, 2, 3]
        assert [int(request[-13:]) for request in server.requests] == [0, 2, 3]
        assert len(server.peers) == 1


async def test_cancelled_while_connecting_leaves_nothing():
    async def script(peer: Peer):
        await peer.left()

    async with upstream(script) as (_, pool):
        for rounds in range(6):
            request = asyncio.ensure_future(whole(pool))
            await spin(rounds)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            await pool_is_empty(pool)


async def pool_is_empty(pool: Pool) -> None:
    while pool.stats()["connections"] > pool.stats()["idle"] or pool.stats()["open"]:
        await asyncio.sleep(0)


def test_timeouts_are_checked():
    loop = asyncio.new_event_loop()
    try:
        for name in ("connect_timeout", "first_byte_timeout", "idle_timeout", "total_timeout", "keepalive_seconds"):
            for value in (0, -1, float("nan")):
                with pytest.raises(ValueError, match="above zero"):
                    Pool(loop, "127.0.0.1", 1, **{name: value})
            Pool(loop, "127.0.0.1", 1, **{name: float("inf")})
        with pytest.raises(ValueError, match="max_connections"):
            Pool(loop, "127.0.0.1", 1, max_connections=0)
    finally:
        loop.close()
