"""Clients in crowds: some leave in the middle of a stream, some read a long one slowly, or not at all, some only wait.

All ask the simulator, through the gateway, for an answer that is theirs alone. What they asked for is billed in any
case, and the simulator says how much that is.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from itertools import count
from typing import Any, Final, cast

import uvloop

from loadtest.errors import RigError
from loadtest.house import KEY, SOURCE
from loadtest.streamed import MODEL

LEFT: Final = {"tokens": 40, "chunks": 10, "chunk_ms": 5}
"""What is asked of the simulator by who leaves: a stream that goes on for a moment."""
SLOW: Final = {"tokens": 500_000, "chunks": 64}
"""By who reads slowly: 2 MB as fast as they are taken, twice of what may wait in the gateway for one client."""
LONG: Final = {"tokens": 10, "latency_ms": 30_000}
"""By who only waits: an answer that is not streamed, of a provider that thinks."""
RECEIVE_BUFFER: Final = 16 << 10
NAP_SECONDS: Final = 0.01
"""Between two reads of a slow reader, each of which takes no more than its buffer has."""
DEAF_SECONDS: Final = 30.0
CROWD_SECONDS: Final = 120.0
"""More than any crowd takes."""
CHARACTERS_PER_TOKEN: Final = 4
_LAST: Final = b"data: [DONE]\n\n\r\n0\r\n\r\n"
_numbers = count()


def request(script: dict[str, Any], *, stream: bool = True) -> bytes:
    """A request for an answer that the simulator plays by ``script``; no two are alike."""
    asked = {
        "model": f"{SOURCE}/{MODEL}",
        "stream": stream,
        "max_tokens": script["tokens"],
        "messages": [{"role": "user", "content": f"sim: {json.dumps(script)} {next(_numbers)}"}],
    }
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Guest(asyncio.Protocol):
    """One client on a connection of its own; ``done`` fails where what it reads is not what it must be."""

    _transport: asyncio.Transport

    def __init__(self, asked: bytes) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked = asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what uvloop gives is one in all but name
        self._transport.write(self._asked)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("it was cut")

    def succeed(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self._transport.abort()

    def fail(self, how: str) -> None:
        if not self.done.done():
            self.done.set_exception(RigError(f"a stream was not relayed as it should: {how}"))


class Leaver(Guest):
    """Leaves when the first event has come."""

    def __init__(self) -> None:
        super().__init__(request(LEFT))
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._read.startswith(b"HTTP/1.1 200 "):
            self.fail(f"{self._read[:500]!r}")
        if b"data: {" in self._read:
            self.succeed()


class Dawdler(Guest):
    """Reads a little, naps, and reads on."""

    def __init__(self) -> None:
        super().__init__(request(SLOW))
        self._bytes = 0
        self._end = b""

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        self._end = (self._end + data)[-len(_LAST) :]
        if self._end == _LAST:
            if self._bytes < CHARACTERS_PER_TOKEN * SLOW["tokens"]:
                self.fail(f"it had only {self._bytes} bytes")
            self.succeed()
            return
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(NAP_SECONDS, self._wake)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"it was cut after {self._bytes} bytes: {self._end!r}")

    def _wake(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


class Patient(Guest):
    """Waits for an answer that takes long, and reads it to its end."""

    def __init__(self) -> None:
        super().__init__(request(LONG, stream=False))
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, blank, body = self._read.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            self.fail(f"{self._read[:500]!r}")
        if blank and body.endswith(b"}") and b"content-length: %d" % len(body) in head.lower():
            self.succeed()


class Deaf(Guest):
    """Reads nothing of a long stream, and leaves when it has waited for long enough."""

    def __init__(self) -> None:
        super().__init__(request(SLOW))

    def data_received(self, data: bytes) -> None:
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(DEAF_SECONDS, self.succeed)


def crowd(port: int, guest: Callable[[], Guest], guests: int, at_once: int) -> None:
    """So many guests, so many of them at once. Raises RigError where one of them is not served as it must be."""
    try:
        uvloop.run(asyncio.wait_for(_crowd(port, guest, guests, at_once), CROWD_SECONDS))
    except TimeoutError:
        raise RigError(f"{guests} streams did not end within {CROWD_SECONDS:g} s") from None


async def _crowd(port: int, guest: Callable[[], Guest], guests: int, at_once: int) -> None:
    loop = asyncio.get_running_loop()
    numbers = iter(range(guests))

    async def one_after_another() -> None:
        for _ in numbers:
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", port))
            _, came = await loop.create_connection(guest, sock=connection)
            await came.done

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
