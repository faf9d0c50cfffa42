"""The HTTP/1.1 server and clients that leave, wait, read slowly or are too many; its own end."""

import asyncio
import os
import random
import socket
import struct
from contextlib import suppress
from typing import Any

import pytest

from fastgate._core.client_errors import ClientLeft
from tests.support.lines import ONE, Line, echo, serving


async def test_a_body_that_nobody_takes_is_not_read() -> None:
    done = asyncio.Event()

    async def absent(scope: Any, protocol: Any) -> None:
        await done.wait()
        protocol.response_empty(200, [])

    async with serving(absent) as (_, port), Line(port) as line:
        line.send(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (64 << 20))
        line.send(bytes(64 << 20))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.writer.drain(), 0.3)
        done.set()
        assert b"connection: close" in (await line.answer())[0]
        assert await line.rest() == b""


@pytest.mark.parametrize("pieces", [False, True])
async def test_a_client_that_leaves_before_its_body_is_whole(pieces: bool) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def reading(scope: Any, protocol: Any) -> None:
        try:
            if pieces:
                async for _ in protocol:
                    pass
            else:
                await protocol()
        except ClientLeft as left:
            seen.put_nowait(str(left))

    async with serving(reading) as (_, port):
        async with Line(port) as line:
            line.send(ONE[:-1])
            await line.writer.drain()
        assert await seen.get() == "the request ended before its body was whole"


async def test_clients_that_are_gone_at_any_moment() -> None:
    """Reset or half closed, before, in and after what is answered: nothing is raised, and nothing is left."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    rng = random.Random(5)

    async def hasty(scope: Any, protocol: Any) -> None:
        with suppress(ClientLeft):
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            if scope.path == "/stream":
                transport = protocol.response_stream(200, [])
                for _ in range(3):
                    await transport.send_bytes(bytes(100_000))
            else:
                await echo(scope, protocol)

    async with serving(hasty) as (server, port):
        for _ in range(300):
            asked = b"POST /stream HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello" * rng.randrange(2) + ONE * 2
            client = socket.create_connection(("127.0.0.1", port))
            client.send(asked[: rng.randrange(len(asked))])
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            if rng.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
                await asyncio.sleep(0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", rng.randrange(2), 0))
            client.close()
        while server.connections:
            await asyncio.sleep(0.01)
    assert not faults, faults[0]


async def test_a_client_that_leaves_before_its_answer() -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def slow(scope: Any, protocol: Any) -> None:
        transport = protocol.response_stream(200, [])
        await transport.send_bytes(b"begun")
        await protocol.client_disconnect()
        with pytest.raises(ClientLeft):
            await transport.send_bytes(b"more")
        seen.put_nowait("gone")

    async with serving(slow) as (_, port):
        async with Line(port) as line:
            line.send(b"GET / HTTP/1.1\r\n\r\n")
            await line.reader.readuntil(b"begun")
        assert await seen.get() == "gone"


async def test_what_waits_for_too_long_is_closed() -> None:
    """A head that does not end, a connection that says nothing, and one between two requests."""
    settings = {"head_seconds": 0.2, "idle_seconds": 2.5}
    async with serving(**settings) as (_, port), Line(port) as half, Line(port) as silent, Line(port) as idle:
        half.send(b"GET / HTTP/1.1\r\n")
        idle.send(ONE)
        await idle.answer()
        assert await asyncio.wait_for(half.rest(), 20) == b""
        assert await asyncio.wait_for(silent.rest(), 20) == b""
        assert await asyncio.wait_for(idle.rest(), 20) == b""


async def test_who_reads_slowly_is_not_idle() -> None:
    """The answer was given long ago, but the client still takes it."""
    size, pieces = 32 << 20, 30

    async def long(scope: Any, protocol: Any) -> None:
        protocol.response_bytes(200, [], bytes(size))

    async with serving(long, idle_seconds=1.5) as (_, port), Line(port) as line:
        line.send(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        await line.reader.readuntil(b"\r\n\r\n")
        for _ in range(pieces):
            await line.reader.readexactly(size // pieces)
            await asyncio.sleep(0.1)
        assert len(await line.rest()) == size % pieces


async def test_more_clients_than_there_may_be() -> None:
    async with serving(most=2) as (_, port), Line(port) as one, Line(port) as two, Line(port) as three:
        for line in (one, two):
            line.send(ONE)
            await line.answer()
        assert await three.rest() == b""


async def test_the_end_waits_for_answers() -> None:
    going = asyncio.Event()

    async def slow(scope: Any, protocol: Any) -> None:
        await going.wait()
        protocol.response_bytes(200, [], b"done")

    async with serving(slow) as (server, port), Line(port) as busy, Line(port) as idle:
        busy.send(b"GET / HTTP/1.1\r\n\r\n")
        while server.connections < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(server.close(10))
        assert await idle.rest() == b""
        going.set()
        head, body = await busy.answer()
        assert (b"connection: close" in head, body) == (True, b"done")
        await asyncio.wait_for(closing, 5)


async def test_what_has_come_before_the_end_is_answered() -> None:
    """Though nobody has read it yet."""
    async with serving() as (server, port), Line(port) as line:
        line.send(ONE)
        await line.answer()
        os.write(line.writer.get_extra_info("socket").fileno(), ONE)  # at once, not with the end of the pass
        await server.close(5)
        head, body = await line.answer()
        assert (b"connection: close" in head, body[-6:]) == (True, b" hello")
