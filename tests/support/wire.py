"""HTTP/1.1 by hand: what an SDK would never send, and many requests at once at little cost."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Self

import httptools


class Answer:
    """What came back on a connection."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = False
        self._pieces: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True
        self.body = b"".join(self._pieces)

    @property
    def received(self) -> bytes:
        """The body so far, where it is not complete."""
        return b"".join(self._pieces)


class Reader:
    """Parses one answer."""

    def __init__(self) -> None:
        self.answer = Answer()
        self._parser = httptools.HttpResponseParser(self.answer)

    def feed(self, data: bytes) -> bool:
        """Whether the answer is complete."""
        self._parser.feed_data(data)
        self.answer.status = self._parser.get_status_code()
        return self.answer.complete


def head(
    path: str, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), *, method: str = "POST", length: int | None
) -> bytes:
    """A request's head; ``length`` None: none is declared."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if length is not None:
        pairs.append(("content-length", str(length)))
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", *(f"{name}: {value}" for name, value in pairs)]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"


def read_answer(connection: socket.socket) -> Answer:
    """The answer on a connection, or what came of it before the connection closed (``complete`` tells)."""
    reader = Reader()
    try:
        while data := connection.recv(65_536):
            if reader.feed(data):
                break
    except ConnectionError:
        pass
    return reader.answer


def exchange(port: int, request: bytes, timeout: float = 10, source: str = "127.0.0.1") -> Answer:
    """Send bytes on a connection of their own, from an address of this host, and read what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout, (source, 0)) as connection:
        connection.sendall(request)
        return read_answer(connection)


class Line:
    """A kept-alive connection of an asyncio client. ``async with Line(port) as line``."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = (host, port)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(*self._address)

    def close(self) -> None:
        """End the connection at once, whatever is under way on it."""
        self.writer.transport.abort()

    async def ask(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request, and its whole answer."""
        self.writer.write(head(path, headers, length=len(body)) + body)
        reader = Reader()
        while True:
            data = await self.reader.read(65_536)
            if not data:
                raise ConnectionError(f"closed after {len(reader.answer.received)} bytes of a body")
            if reader.feed(data):
                break
        if reader.answer.headers.get("connection") == "close":
            self.close()
            await self.open()
        return reader.answer


async def parallel(port: int, requests: list[tuple[str, Mapping[str, str], bytes]]) -> list[Answer]:
    """All requests at once, each on a connection of its own: connected first, then all are sent."""
    lines = [Line(port) for _ in requests]
    try:
        for start in range(0, len(lines), 100):
            await asyncio.gather(*(line.open() for line in lines[start : start + 100]))
        return await asyncio.gather(*(line.ask(*request) for line, request in zip(lines, requests, strict=True)))
    finally:
        for line in lines:
            if hasattr(line, "writer"):
                line.close()
