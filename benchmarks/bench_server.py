"""What the HTTP/1.1 server takes for a request: its head and body read, its answer's head composed; no socket.

The reference is the least that a server in Python can do over the same parser: headers into a dictionary, a task for
the application, one write of its answer. It checks nothing, pipelines nothing, and never closes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest
import uvloop
from httptools import HttpRequestParser

from benchmarks.turns import Compare
from fastgate._core.client import Client
from fastgate._core.server import Server

BATCH: Final = 200
PIECE: Final = 64 << 10
"""What a transport reads at once."""
ANSWER: Final = b"x" * 400
HEADERS: Final = [
    ("content-type", "application/json"),
    *[(f"x-fastgate-header-{number}", "a value of some length") for number in range(10)],
]


def request(size: int) -> list[bytes]:
    """A request as the transport hands it over, with a body of ``size`` bytes."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer sk-fg-{'x' * 43}\r\n"
        "Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 3.52.0\r\n"
        f"X-Stainless-Lang: python\r\nX-Stainless-Os: Linux\r\nContent-Length: {size}\r\n\r\n"
    )
    whole = head.encode() + b"x" * size
    return [whole[start : start + PIECE] for start in range(0, len(whole), PIECE)]


async def application(scope: Any, protocol: Any) -> None:
    """Reads the body and answers."""
    await protocol()
    protocol.response_bytes(200, HEADERS, ANSWER)


class Transport:
    """The client's end: it asks again when it is answered, until it was answered often enough."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pieces: list[bytes]) -> None:
        self._loop = loop
        self._pieces = pieces
        self.protocol: Any = None
        self.written = b""

    def ask(self, count: int) -> None:
        self._left, self._done = count, self._loop.create_future()
        self._send()
        self._loop.run_until_complete(self._done)

    def _send(self, at: int = 0) -> None:
        self.protocol.data_received(self._pieces[at])
        if at + 1 < len(self._pieces):
            self._loop.call_soon(self._send, at + 1)

    def write(self, data: bytes) -> None:
        self.written = data
        self._left -= 1
        if self._left:
            self._loop.call_soon(self._send)
        else:
            self._done.set_result(None)

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 50000)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        raise AssertionError("the server stopped reading")


class Plain:
    """The reference: the protocol of a connection, and what an application sees of a request."""

    def __init__(
        self, transport: Transport, loop: asyncio.AbstractEventLoop, serve: Callable[[Any, Any], Awaitable[None]]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._serve = serve
        self.data_received = HttpRequestParser(self).feed_data

    def on_message_begin(self) -> None:
        self.headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.path = url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        self._loop.create_task(self._serve(self, self))  # type: ignore[arg-type]

    async def __call__(self) -> bytes:
        return b"".join(self._body)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        lines = [
            f"HTTP/1.1 {status} OK",
            *(f"{name}: {value}" for name, value in headers),
            f"content-length: {len(body)}",
        ]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("kilobytes", [1, 200])
def test_a_request_read_and_answered(compare: Compare, loop: asyncio.AbstractEventLoop, kilobytes: int) -> None:
    ours, plain = (Transport(loop, request(kilobytes << 10)) for _ in range(2))
    ours.protocol = Client(Server(loop, application, lambda *_: None))  # type: ignore[arg-type,call-arg]
    ours.protocol.connection_made(ours)
    plain.protocol = Plain(plain, loop, application)
    compare(f"server: {kilobytes} KB", partial(ours.ask, BATCH), partial(plain.ask, BATCH), number=1)
    assert ours.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert ours.written.count(b"a value of some length") == 10
    assert ours.written.endswith(b"\r\n\r\n" + ANSWER)
