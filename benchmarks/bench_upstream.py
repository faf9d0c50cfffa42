"""The upstream client against the least that an asyncio client can do: write bytes, wake a future on the first read.

Both talk to the same constant server in another process, 64 exchanges in flight; what is timed is this process's CPU.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from benchmarks.turns import Compare, Operation
from fastgate._core.upstream import Pool

IN_FLIGHT = 64
EXCHANGES = 20  # of each
CHUNKS = 100
ROUNDS = 11

PROMPT = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 950 + b'"}]}'
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\nauthorization: Bearer sk-" + b"x" * 40 + b"\r\n"
    b"content-type: application/json\r\naccept-encoding: identity\r\ncontent-length: %d\r\n\r\n" % len(PROMPT)
)
STREAM_HEAD = HEAD.replace(b"/v1/chat", b"/stream/v1/chat")

STATUS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\nopenai-processing-ms: 12\r\n"
ANSWER = STATUS + b"content-length: 400\r\n\r\n" + b"x" * 400
START = STATUS + b"transfer-encoding: chunked\r\n\r\n"
CHUNK = b"c8\r\n" + b"x" * 200 + b"\r\n"

SERVER = f"""
import asyncio, uvloop
ANSWER, START, CHUNK, CHUNKS = {ANSWER!r}, {START!r}, {CHUNK!r}, {CHUNKS}

class Constant(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        if data.startswith(b"POST /stream"):
            self.transport.write(START)
            self.more(CHUNKS)
        else:
            self.transport.write(ANSWER)
    def more(self, left):
        if not self.transport.is_closing():
            self.transport.write(CHUNK if left else b"0\\r\\n\\r\\n")
            if left:
                asyncio.get_running_loop().call_soon(self.more, left - 1)

async def main():
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

uvloop.run(main())
"""


class Bare(asyncio.Protocol):
    """One connection; an exchange ends when ``length`` bytes have come."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes, length: int) -> asyncio.Future[None]:
        self.left = length
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiter

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left <= 0:
            self.waiter.set_result(None)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.terminate()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


@contextmanager
def bare(
    loop: asyncio.AbstractEventLoop, port: int, request: bytes, length: int, exchanges: int
) -> Iterator[Operation]:
    """The reference: the same bytes through ``Bare``."""

    async def connect() -> list[Bare]:
        return [(await loop.create_connection(Bare, "127.0.0.1", port))[1] for _ in range(IN_FLIGHT)]

    async def one(connection: Bare) -> None:
        for _ in range(exchanges):
            await connection.ask(request, length)

    async def work() -> None:
        await asyncio.gather(*map(one, connections))

    async def disconnect() -> None:
        for connection in connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    connections = loop.run_until_complete(connect())
    yield lambda: loop.run_until_complete(work())
    loop.run_until_complete(disconnect())


@contextmanager
def pooled(
    loop: asyncio.AbstractEventLoop, port: int, one: Callable[[Pool], Coroutine[Any, Any, None]]
) -> Iterator[Operation]:
    """``one`` so often at once, through a pool."""
    pool = Pool(loop, "127.0.0.1", port, max_connections=IN_FLIGHT)

    async def work() -> None:
        await asyncio.gather(*(one(pool) for _ in range(IN_FLIGHT)))

    yield lambda: loop.run_until_complete(work())
    loop.run_until_complete(pool.close())


def test_exchange_costs_little_more_than_its_bytes(
    compare: Compare, loop: asyncio.AbstractEventLoop, port: int
) -> None:
    async def exchange(pool: Pool) -> None:
        for _ in range(EXCHANGES):
            exchange = await pool.request(HEAD, PROMPT, buffer_limit=1 << 20)
            assert len(await exchange.read(1 << 20)) == 400

    with (
        bare(loop, port, HEAD + PROMPT, len(ANSWER), EXCHANGES) as reference,
        pooled(loop, port, exchange) as ours,
    ):
        compare("upstream: an exchange", ours, reference, number=1, rounds=ROUNDS)


def test_streamed_piece_costs_little_more_than_its_bytes(
    compare: Compare, loop: asyncio.AbstractEventLoop, port: int
) -> None:
    async def stream(pool: Pool) -> None:
        pieces: list[bytes] = []
        await (await pool.request(STREAM_HEAD, PROMPT)).stream(pieces.append)
        assert sum(map(len, pieces)) == CHUNKS * 200

    length = len(START) + CHUNKS * len(CHUNK) + 5
    with (
        bare(loop, port, STREAM_HEAD + PROMPT, length, 1) as reference,
        pooled(loop, port, stream) as ours,
    ):
        compare("upstream: a streamed piece", ours, reference, number=1, rounds=ROUNDS)
