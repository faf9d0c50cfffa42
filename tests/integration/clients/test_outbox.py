"""What is written at once, and what together: by how often the server asks its loop for a later write."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import uvloop

from fastgate._core.server import Server
from tests.support.lines import Application, Line, echo, nothing

ASKED = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"
CROWD, ROUNDS = 50, 10


class Loop:
    """The running loop; counts the writes that are put off to the end of a pass."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.put_off = 0

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> object:
        self.put_off += getattr(callback, "__name__", "") == "flush"
        return self._loop.call_soon(callback, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def on_loop(work: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(asyncio.wait_for(work(), 20))  # type: ignore[arg-type]


@asynccontextmanager
async def serving(application: Application) -> AsyncIterator[tuple[Loop, int]]:
    loop = Loop()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(loop, application, nothing)  # type: ignore[arg-type]
    await server.listen(listener, 100)
    try:
        yield loop, port
    finally:
        await server.close(1)


async def crowd(port: int) -> None:
    """So many clients, which ask at the same time, a few times."""
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(Line(port)) for _ in range(CROWD)]
        for number in range(ROUNDS):
            for line in lines:
                line.send(ASKED % number)
            for line in lines:
                assert f" /{number} ".encode() in (await line.answer())[1]


def test_what_comes_seldom_is_written_at_once() -> None:
    async def work() -> None:
        async with serving(echo) as (loop, port), Line(port) as line:
            for number in range(20):
                line.send(ASKED % number)
                await line.answer()
                await asyncio.sleep(0.002)
            assert loop.put_off == 0

    on_loop(work)


def test_what_comes_often_is_written_together_and_seldom_again_at_once() -> None:
    async def work() -> None:
        async with serving(echo) as (loop, port), Line(port) as line:
            await crowd(port)
            together = loop.put_off
            assert 0 < together < CROWD * ROUNDS  # each of which is for one write
            for number in range(200):
                line.send(ASKED % number)
                await line.answer()
                await asyncio.sleep(0.002)
                if number == 150:
                    together = loop.put_off
            assert loop.put_off == together

    on_loop(work)


def test_a_head_goes_out_with_the_first_piece_before_what_waits_for_others() -> None:
    order: list[bytes] = []

    async def streamed(scope: Any, protocol: Any) -> None:
        if scope.path != "/":
            await echo(scope, protocol)
            return
        answer = protocol.response_stream(200, [])
        answer.send_bytes(b"first")
        await asyncio.sleep(0.05)
        answer.send_bytes(b"last")

    async def work() -> None:
        async with serving(streamed) as (_, port), Line(port) as line:
            await crowd(port)
            line.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            order.append(await line.reader.read(1 << 16))
            await line.reader.readuntil(b"0\r\n\r\n")

    on_loop(work)
    assert order[0].startswith(b"HTTP/1.1 200")
    assert order[0].endswith(b"\r\n\r\n5\r\nfirst\r\n")


def test_pieces_that_are_long_together_are_whole_and_in_order() -> None:
    pieces = [bytes([65 + number]) * 40_000 for number in range(5)]

    async def streamed(scope: Any, protocol: Any) -> None:
        answer = protocol.response_stream(200, [("content-length", str(200_000))])
        for piece in pieces:
            answer.send_bytes(piece)

    async def work() -> None:
        async with serving(streamed) as (_, port), Line(port) as line:
            for _ in range(100):
                line.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                await line.reader.readuntil(b"\r\n\r\n")
                assert await line.reader.readexactly(200_000) == b"".join(pieces)

    on_loop(work)
