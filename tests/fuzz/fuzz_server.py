"""Fuzzes the HTTP/1.1 server over real sockets: requests are answered exactly, anything else is answered or closed.

``python -m tests.fuzz.fuzz_server [SECONDS [SEED]]`` prints the number of cases.
"""

import asyncio
import random
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import uvloop

from fastgate._core.client_errors import ClientLeft
from fastgate._core.server import Server
from tests.fuzz.fuzz_upstream import HANG, PARALLEL, cut, make_body, make_chunks, make_headers
from tests.fuzz.harness import mutated

TOKENS = [
    b"GET / HTTP/1.1\r\n", b"HTTP/1.0", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n",
    b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: x\r\n",
    b"CONNECT ", b"\t", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Expect: 100-continue\r\n", b"18446744073709551616",
    b": ", b" ", b"+", b";",
]  # fmt: skip


@dataclass
class Case:
    pieces: list[bytes]
    bodies: list[bytes] | None
    """Of the answers, in order; None: nobody knows what there is to answer."""


async def echo(scope: Any, protocol: Any) -> None:
    """Answers with what it was asked."""
    with suppress(ClientLeft):
        body = await protocol()
        protocol.response_bytes(200, [], said(scope.method, scope.path, body))
        return
    protocol.response_bytes(400, [("connection", "close")], b"")


def said(method: str, path: str, body: bytes) -> bytes:
    """The body of an answer."""
    return f"{method} {path} ".encode() + body


def make_case(rng: random.Random) -> Case:
    """Requests one behind the other, cut anywhere; then, half of the time, spoilt."""
    made = [make_request(rng) for _ in range(rng.choice([1, 1, 2, 5]))]
    asked = b"".join(request for request, _ in made)
    if rng.random() < 0.5:
        return Case(cut(rng, asked), [body for _, body in made])
    if rng.random() < 0.1:
        return Case(cut(rng, rng.randbytes(rng.randrange(1, 200))), None)
    return Case(cut(rng, mutated(rng, asked, [asked], TOKENS)), None)


def make_request(rng: random.Random) -> tuple[bytes, bytes]:
    """A request, and the body of the answer to it."""
    method, path = rng.choice(["GET", "POST", "PUT", "OPTIONS"]), f"/{rng.randrange(1 << rng.randrange(60))}"
    body = b"" if rng.random() < 0.3 else make_body(rng)
    headers = make_headers(rng)
    payload = body
    if rng.random() < 0.5:
        headers.append(b"Transfer-Encoding: chunked\r\n")
        payload = make_chunks(rng, body)
    elif body or rng.random() < 0.5:
        headers.append(b"Content-Length: %d\r\n" % len(body))
    if rng.random() < 0.1:
        headers.append(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")
    if rng.random() < 0.1:
        headers.append(b"Expect: 100-continue\r\n")
    rng.shuffle(headers)
    target = "http://host" * (rng.random() < 0.1) + path
    head = f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(headers) + b"\r\n"
    return head + payload, said(method, path, body)


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer. Raises IncompleteReadError where there is none, ``partial`` being empty."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100 "):
        return await answer(reader)
    assert head.startswith(b"HTTP/1.1 "), head
    length = int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


async def check(port: int, case: Case) -> None:
    """Plays a case; AssertionError where the server does not keep the promise, TimeoutError where it hangs."""
    async with asyncio.timeout(HANG):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await play(writer, case)
            if case.bodies is None:
                await take_all(reader)
            for body in case.bodies or ():
                assert await answer(reader) == body, case
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def play(writer: asyncio.StreamWriter, case: Case) -> None:
    """Piece by piece, one turn of the loop after the other; where anything may follow, no more does."""
    with suppress(ConnectionError):
        for piece in case.pieces:
            if writer.is_closing():  # the server has had enough
                return
            writer.write(piece)
            await asyncio.sleep(0)
        if case.bodies is None and not writer.is_closing():
            writer.write_eof()


async def take_all(reader: asyncio.StreamReader) -> None:
    """Whole answers, until the server closes."""
    try:
        while True:
            await answer(reader)
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise AssertionError(end.partial) from end
    except ConnectionError:
        return


def refuse_http2(transport: Any, address: str, data: bytes) -> asyncio.Protocol:
    """What goes on with HTTP/2: nothing."""
    transport.abort()
    return asyncio.Protocol()


async def with_server(work: Callable[[int], Awaitable[None]]) -> None:
    """Runs ``work`` with a server's port; AssertionError where an exception left a callback, or a client is left."""
    loop = asyncio.get_running_loop()
    faults: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(loop, echo, refuse_http2)
    await server.listen(listener, PARALLEL)
    try:
        await work(port)
    finally:
        await server.close(1)
    assert not faults, faults
    assert server.connections == 0


def run(seconds: float, seed: int) -> int:
    """Fuzzes for that long; returns the number of cases, raises AssertionError for a promise broken."""
    count = 0

    async def work(port: int) -> None:
        await asyncio.gather(*(worker(port, random.Random(seed * PARALLEL + n)) for n in range(PARALLEL)))

    async def worker(port: int, rng: random.Random) -> None:
        nonlocal count
        while time.monotonic() < end:
            await check(port, make_case(rng))
            count += 1

    end = time.monotonic() + seconds
    uvloop.run(with_server(work))
    return count


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    print(run(float(given.get(1, "10")), int(given.get(2, "1"))))
