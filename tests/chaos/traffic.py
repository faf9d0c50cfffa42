"""Load that survives kills: both dialects, streamed and not, and a note of what became of each request."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tests.support.house import compact, secret

PATIENCE_SECONDS = 30
_TOKENS = 400


@dataclass
class Answer:
    """A request whose answer was whole and 200. ``cost`` in nano-USD; None: streamed, so that no header tells it."""

    request_id: str
    stream: bool
    cost: int | None


@dataclass
class Book:
    """What the clients know."""

    answers: list[Answer] = field(default_factory=list)
    failures: int = 0
    """Sent, and no whole answer came: in flight when something was killed."""
    refused: list[str] = field(default_factory=list)
    """Answered with something else than 200: there should be none."""


def request(
    number: int, keys: Sequence[str], model: str = "sim/sim-small", *, chunks: int = 4, thoughts: int = 0
) -> tuple[bytes, bool]:
    """A request that no other number makes: its numbers of prompt and output tokens, taken together, are its own.

    ``thoughts``: tokens of hidden reasoning for each token of output. What ``chunks`` and ``thoughts`` are of a number
    has to repeat after ``_TOKENS`` others.
    """
    stream, anthropic = number % 2 == 1, number % 4 >= 2
    tokens, length = 1 + number % _TOKENS, number // _TOKENS * 4
    pace = {"chunks": chunks, "ttft_ms": 20, "chunk_ms": 60 / chunks} if stream else {"latency_ms": 20 + number % 40}
    hidden = {"reasoning": thoughts * tokens} if thoughts else {}
    text = f"sim: {json.dumps({'tokens': tokens, **pace, **hidden})}"
    body = {
        "model": model,
        "max_tokens": (1 + thoughts) * _TOKENS + 1,
        "stream": stream,
        "messages": [{"role": "user", "content": text}],
    }
    if anthropic:
        body["system"] = "s" * (length + 4)
    else:
        body["messages"] = [{"role": "system", "content": "s" * (length + 4)}, {"role": "user", "content": text}]
    path = "/v1/messages" if anthropic else "/v1/chat/completions"
    payload = compact(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret(keys[number // 4 % len(keys)])}\r\n"
        f"content-type: application/json\r\nanthropic-version: 2023-06-01\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload, stream


class Traffic:
    """``with Traffic(port, 48, keys) as traffic``: load from a thread of its own, until the block ends.

    Then each request in the air is waited for.
    """

    def __init__(self, port: int, connections: int, keys: Sequence[str]) -> None:
        self.book = Book()
        self._port = port
        self._connections = connections
        self._keys = keys
        self._number = 0
        self._ending = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="traffic")

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join(2 * PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "a request was never answered"

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._connections)))

    async def _client(self) -> None:
        connection = None
        while not self._ending:
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.01)  # nobody listens: the next serve has not come yet
                continue
            self._number += 1
            if not await ask(connection, *request(self._number, self._keys), self.book):
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()


async def ask(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], raw: bytes, stream: bool, book: Book
) -> bool:
    """One request; what became of it is noted. False: the connection is of no further use."""
    reader, writer = connection
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            writer.write(raw)
            await writer.drain()
            status, headers = await read_head(reader)
            body = await read_body(reader, headers)
    except (OSError, EOFError):
        book.failures += 1
        return False
    if status != 200 or b"error" in body:
        book.refused.append(f"{status} {body[:300]!r}")
        return False
    cost = headers.get("x-fastgate-cost-usd")
    assert stream or cost is not None
    book.answers.append(
        Answer(headers["x-fastgate-request-id"], stream, None if cost is None else int(Decimal(cost).scaleb(9)))
    )
    return True


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    pairs = (line.partition(": ") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """To its very end: a stream whose last chunk did not come is no whole answer."""
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    assert headers["transfer-encoding"] == "chunked"
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
