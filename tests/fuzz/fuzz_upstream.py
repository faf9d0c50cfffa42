"""Fuzzes the upstream client over real sockets: an answer is read exactly, or fails with an error; nothing hangs.

``python tests/fuzz/fuzz_upstream.py [SECONDS [SEED]]`` prints the number of cases.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import uvloop

from fastgate._core.exchange import Exchange
from fastgate._core.upstream import Pool
from fastgate._core.upstream_errors import UpstreamError

LIMIT = 1 << 22
HANG = 20.0  # seconds; the upstream always closes, so nothing may take long
PARALLEL = 8
STATUSES = [b"200 OK", b"201 Created", b"400 Bad Request", b"429 Too Many Requests", b"500", b"529 Overloaded"]
TOKENS = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"content-length: ", b"transfer-encoding: chunked\r\n",
    b"\r\n", b"\n", b"\r\n\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b": ", b"\0", b"18446744073709551616", b"-1",
    b"connection: close\r\n", b"upgrade: x\r\n",
]  # fmt: skip


class Promise(Enum):
    """What the client has to make of an answer."""

    EXACT = "exactly this body"
    ERROR = "an error"
    PREFIX = "the beginning of the body, or an error"
    ANY = "anything but a crash or a hang"


@dataclass
class Case:
    pieces: list[bytes]
    status: int
    body: bytes
    promise: Promise
    closes: bool


def make_case(rng: random.Random) -> Case:
    """A valid answer, cut anywhere; then, half of the time, spoilt."""
    status = rng.choice(STATUSES)
    body = make_body(rng)
    framing = rng.choice(["length", "length", "chunked", "chunked", "eof"])
    headers = make_headers(rng)
    closes = framing == "eof"
    if framing == "length":
        headers.append(b"Content-Length: %d\r\n" % len(body))
    elif framing == "chunked":
        headers.append(b"Transfer-Encoding: chunked\r\n")
    if rng.random() < 0.1:
        headers.append(b"Connection: close\r\n")
        closes = True
    rng.shuffle(headers)
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * (rng.random() < 0.1)
    head = interim + b"HTTP/1.1 " + status + b"\r\n" + b"".join(headers) + b"\r\n"
    reply = head + (make_chunks(rng, body) if framing == "chunked" else body)
    case = Case(cut(rng, reply), int(status[:3]), body, Promise.EXACT, closes)
    return case if rng.random() < 0.5 else spoil(rng, case, len(head) if framing == "eof" else None)


def make_body(rng: random.Random) -> bytes:
    large = rng.randrange(600_000 if rng.random() < 0.03 else 9)
    length = rng.choice([0, 1, 2, rng.randrange(100), rng.randrange(3000), large])
    return rng.randbytes(length) if rng.random() < 0.5 else (b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" * length)[:length]


def make_headers(rng: random.Random) -> list[bytes]:
    names = [b"X-Request-Id", b"content-type", b"a", b"Server", b"x" * rng.randrange(1, 300)]
    return [
        rng.choice(names) + b":" + b" " * rng.randrange(3) + b"v" * rng.randrange(60) + b"\r\n"
        for _ in range(rng.randrange(12))
    ]


def make_chunks(rng: random.Random, body: bytes) -> bytes:
    parts, at = [], 0
    while at < len(body):
        size = rng.choice([1, rng.randrange(1, 20), rng.randrange(1, 5000), len(body)])
        piece = body[at : at + (size if len(body) < 20_000 else size + 1000)]
        at += len(piece)
        form = rng.choice([b"%x", b"%X", b"000%x"]) % len(piece)
        parts.append(form + b";name=value" * (rng.random() < 0.1) + b"\r\n" + piece + b"\r\n")
    trailers = b"X-Trailer: 1\r\n" * (rng.random() < 0.2)
    return b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


def spoil(rng: random.Random, case: Case, eof_body_at: int | None) -> Case:
    """Another case; ``eof_body_at``: where a body begins that only the close ends."""
    reply = b"".join(case.pieces)
    way = rng.randrange(5)
    if way <= 1:  # cut off
        end = rng.randrange(len(reply))
        promise = Promise.PREFIX if eof_body_at is not None and end >= eof_body_at else Promise.ERROR
        return Case(cut(rng, reply[:end]), case.status, case.body, promise, closes=True)
    if way == 2:  # more in the same read: the answer itself stands, and what follows must not reach the next request
        if eof_body_at is None and len(reply) < 10_000:
            case.pieces[-1] += rng.choice([b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n!", b"\r\n", rng.randbytes(9)])
        return case
    if way == 3:
        return Case(cut(rng, rng.randbytes(rng.randrange(1, 200))), 0, b"", Promise.ANY, closes=True)
    damaged = bytearray(reply)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(damaged) + 1)
        damaged[at : at + rng.randrange(4)] = rng.choice([*TOKENS, rng.randbytes(2)])
    return Case(cut(rng, bytes(damaged)), 0, b"", Promise.ANY, closes=True)


def cut(rng: random.Random, reply: bytes) -> list[bytes]:
    """The reply in pieces, none empty."""
    if rng.random() < 0.1 and len(reply) < 300:
        return [bytes([byte]) for byte in reply]
    places = sorted(rng.randrange(len(reply) + 1) for _ in range(rng.choice([0, 1, 2, 5])))
    return [reply[start:end] for start, end in zip([0, *places], [*places, len(reply)], strict=True) if start < end]


class Upstream(asyncio.Protocol):
    """Answers request number n with case n, piece by piece, one turn of the loop after the other."""

    transport: asyncio.Transport

    def __init__(self, cases: dict[int, Case]) -> None:
        self.cases = cases
        self.unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.unread += data
        _, blank, body = self.unread.partition(b"\r\n\r\n")
        if blank and len(body) == 12:
            self.unread = b""
            case = self.cases[int(body)]
            self.play(list(case.pieces), case.closes)

    def play(self, pieces: list[bytes], closes: bool) -> None:
        if self.transport.is_closing():
            return
        if pieces:
            self.transport.write(pieces.pop(0))
            asyncio.get_running_loop().call_soon(self.play, pieces, closes)
        elif closes:
            self.transport.close()


async def receive(rng: random.Random, pool: Pool, number: int) -> tuple[Exchange, bytes]:
    """One request, its answer read in one of the ways there are."""
    limit = rng.choice([0, 10, LIMIT])
    head = b"POST / HTTP/1.1\r\nhost: u\r\ncontent-length: 12\r\n\r\n"
    exchange = await pool.request(head, b"%12d" % number, buffer_limit=limit)
    if rng.random() < 0.5:
        return exchange, await exchange.read(LIMIT)
    pieces: list[bytes] = []

    def sink(piece: bytes) -> None:
        pieces.append(piece)
        if rng.random() < 0.2:
            exchange.pause()
            asyncio.get_running_loop().call_soon(exchange.resume)

    await exchange.stream(sink)
    return exchange, b"".join(pieces)


@dataclass
class Pools:
    """``once`` keeps no connection: after nonsense that looked like a whole answer, more of it may come at any time."""

    kept: Pool
    once: Pool
    cases: dict[int, Case]


async def check(rng: random.Random, pools: Pools, number: int, case: Case) -> None:
    """Plays a case; AssertionError where the client does not keep the promise."""
    pools.cases[number] = case
    pool = pools.once if case.promise is Promise.ANY else pools.kept
    try:
        async with asyncio.timeout(HANG):
            exchange, body = await receive(rng, pool, number)
    except UpstreamError as error:
        if case.promise is Promise.EXACT:
            raise AssertionError(case) from error
        return
    assert case.promise is not Promise.ERROR, (case, body)
    if case.promise is Promise.EXACT:
        assert (exchange.status, body) == (case.status, case.body), (case, body)
    if case.promise is Promise.PREFIX:
        assert case.body.startswith(body), (case, body)
    assert exchange.complete
    assert exchange.received == len(body)


async def with_upstream(work: Callable[[Pools], Awaitable[None]]) -> None:
    """Runs ``work`` with connections to an upstream that plays the cases."""
    loop = asyncio.get_running_loop()
    cases: dict[int, Case] = {}
    server = await loop.create_server(lambda: Upstream(cases), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kept, once = (Pool(loop, "127.0.0.1", port, max_connections=PARALLEL - 2) for _ in range(2))
    pools = Pools(kept, once, cases)
    once.retire()
    try:
        await work(pools)
    finally:
        for pool in (kept, once):
            await pool.close()
        server.close()


def run(seconds: float, seed: int) -> int:
    """Fuzzes for that long; returns the number of cases, raises AssertionError for a promise broken."""
    count = 0

    async def work(pools: Pools) -> None:
        await asyncio.gather(*(worker(pools, random.Random(seed * PARALLEL + n)) for n in range(PARALLEL)))
        assert pools.kept.stats()["open"] == 0

    async def worker(pools: Pools, rng: random.Random) -> None:
        nonlocal count
        while time.monotonic() < end:
            number = count = count + 1
            await check(rng, pools, number, make_case(rng))
            del pools.cases[number]

    end = time.monotonic() + seconds
    uvloop.run(with_upstream(work))
    return count


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    print(run(float(given.get(1, "10")), int(given.get(2, "1"))))
