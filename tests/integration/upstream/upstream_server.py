"""An upstream that does what a test tells it, byte by byte, over real sockets, and a pool that talks to it."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fastgate._core.exchange import Exchange
from fastgate._core.upstream import Pool
from fastgate._core.upstream_errors import UpstreamError

BODY = b'{"model":"m"}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\ncontent-length: 13\r\n\r\n"
LIMIT = 1 << 20

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class Peer(asyncio.Protocol):
    """The server's end of one connection."""

    transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.number = len(server.peers)
        self.reader = asyncio.StreamReader()
        self.sent = 0
        self.blocked = asyncio.Event()
        self.writable = asyncio.Event()
        self.gone = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.server.peers.append(self)
        self.task = asyncio.get_running_loop().create_task(self.server.play(self))

    def data_received(self, data: bytes) -> None:
        self.reader.feed_data(data)

    def eof_received(self) -> bool:
        self.reader.feed_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.reader.feed_eof()
        self.gone.set()
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()
        self.blocked.set()

    def resume_writing(self) -> None:
        self.writable.set()
        self.blocked.clear()

    async def request(self) -> bytes:
        """One whole request, as it came; EOFError if the client left."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length" in head else 0
        request = head + await self.reader.readexactly(length)
        self.server.requests.append(request)
        return request

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a segment of its own, as far as TCP lets one say that."""
        for piece in pieces:
            await self.writable.wait()
            if self.transport.is_closing():
                raise ConnectionResetError
            self.transport.write(piece)
            self.sent += len(piece)
            await asyncio.sleep(0)

    async def left(self) -> None:
        """Until the client has closed."""
        await self.gone.wait()

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        """Ends the connection with a RST."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Server:
    script: Script
    port: int = 0
    listener: asyncio.Server | None = None
    peers: list[Peer] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    async def play(self, peer: Peer) -> None:
        try:
            await self.script(peer)
        except (EOFError, OSError):
            pass  # the client left; a test that minds looks at what was sent
        except Exception as failure:
            self.failures.append(failure)
        finally:
            peer.close()


@asynccontextmanager
async def serve(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that plays ``script`` on each connection and closes it after. What a script raises fails the test."""
    server = Server(script)
    listener = server.listener = await asyncio.get_running_loop().create_server(
        lambda: Peer(server), "127.0.0.1", 0, ssl=tls, backlog=1024
    )
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for peer in server.peers:
            peer.task.cancel()
            with suppress(asyncio.CancelledError):
                await peer.task
            if not peer.transport.is_closing():  # Python 3.11.2's TLS cannot end what has ended
                peer.transport.abort()
        await listener.wait_closed()
        if server.failures:
            raise server.failures[0]


@asynccontextmanager
async def open_pool(port: int, **options: Any) -> AsyncIterator[Pool]:
    pool = Pool(
        options.pop("loop", None) or asyncio.get_running_loop(), options.pop("host", "127.0.0.1"), port, **options
    )
    try:
        yield pool
    finally:
        await pool.close()
        assert pool.stats() == {"connections": 0, "idle": 0, "open": 0, "waiting": 0}


@asynccontextmanager
async def upstream(script: Script, **options: Any) -> AsyncIterator[tuple[Server, Pool]]:
    """A server that plays ``script`` and a pool for it."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(script))
        yield server, await stack.enter_async_context(open_pool(server.port, **options))


async def whole(pool: Pool, head: bytes = HEAD, body: bytes = BODY) -> tuple[Exchange, bytes]:
    """One request with its whole answer."""
    exchange = await pool.request(head, body, buffer_limit=LIMIT)
    return exchange, await exchange.read(LIMIT)


async def streamed(exchange: Exchange) -> bytes:
    pieces: list[bytes] = []
    await exchange.stream(pieces.append)
    return b"".join(pieces)


async def spin(rounds: int = 50) -> None:
    """Lets everything that is ready happen."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def facts(error: UpstreamError) -> tuple[bool, bool]:
    """What the money needs to know."""
    return error.sent, error.answered


def full_backlog(stack: ExitStack) -> int:
    """A port where connection attempts are neither accepted nor refused: the listener's queue is full."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return listener.getsockname()[1]
