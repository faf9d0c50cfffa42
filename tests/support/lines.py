"""Our HTTP/1.1 server by itself, and connections to it over which a test says what it likes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastgate._core.client_errors import ClientLeft
from fastgate._core.server import Server

Application = Callable[[Any, Any], Awaitable[None]]
ONE = b"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-One: 1 \r\nX-One: 2\r\nX-Two: \xff\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


async def echo(scope: Any, protocol: Any) -> None:
    """Answers with what it was asked."""
    try:
        body = await protocol()
    except ClientLeft:
        protocol.response_bytes(400, [("connection", "close")], b"not whole")
        return
    said = f"{scope.method} {scope.path} {scope.query_string} {scope.http_version} {scope.headers.items()} "
    protocol.response_bytes(200, [("content-type", "text/plain")], said.encode() + body)


def nothing(transport: Any, address: str, data: bytes) -> asyncio.Protocol:
    transport.abort()
    return asyncio.Protocol()


@asynccontextmanager
async def serving(application: Application = echo, **settings: float) -> AsyncIterator[tuple[Server, int]]:
    """The server and its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(asyncio.get_running_loop(), application, nothing, **settings)  # type: ignore[arg-type]
    await server.listen(listener, 100)
    try:
        yield server, port
    finally:
        await server.close(1)
        assert server.connections == 0


class Line:
    """A client's connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Line":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[bytes, bytes]:
        """Head without its date, and body, of one answer with a length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"date: ")]
        length = next((int(line[16:]) for line in lines if line.startswith(b"content-length: ")), 0)
        return b"\r\n".join(lines), await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""
