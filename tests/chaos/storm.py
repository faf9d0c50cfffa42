"""Load that does all that clients do: both dialects, streamed and not, hidden reasoning, some leave at any piece."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tests.chaos.traffic import PATIENCE_SECONDS, Answer, Book, read_head, request

MODEL, REASONING = "sim-small", "sim-reasoning"
"""Public names: keys have the first, each from a provider of its own; the second is for ``LEARNED``."""
LEARNED = "roomy"
"""The key that is held for by experience."""
_CHUNKS = (2, 4, 4, 16)
"""Of streams, in turn; there are a few pieces more."""
_LEAVES = 0.12
_ENOUGH = 256 << 10
"""Bytes of an answer after which a client leaves: no model says as much."""
ERRORS = frozenset({402, 429, 500, 502, 503, 504})
"""What may be answered in place of 200: a spent budget, the provider's failures, and what became of a request to it."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request_of(number: int, keys: Sequence[str]) -> tuple[bytes, bool, int]:
    """A request, whether it is streamed, and the most pieces of its answer."""
    turn = number // (4 * len(keys))  # each kind of request of each key comes once in a turn
    chunks = _CHUNKS[turn % len(_CHUNKS)]
    if keys[number // 4 % len(keys)] == LEARNED:
        raw, stream = request(number, keys, REASONING, chunks=chunks, thoughts=2)
    else:
        raw, stream = request(number, keys, MODEL, chunks=chunks, thoughts=int(turn % 5 == 0))
    return raw, stream, chunks + 4


@dataclass
class Weather(Book):
    """What the clients know, and what else became of their requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    left: int = 0
    """Clients that left in the middle of an answer."""
    asked: int = 0


class Storm:
    """``with Storm(port, count, connections, keys) as storm``: ``count`` requests, from a thread of its own."""

    def __init__(self, port: int, count: int, connections: int, keys: Sequence[str]) -> None:
        self.book = Weather()
        self._port = port
        self._count = count
        self._connections = connections
        self._keys = keys
        self._chance = random.Random(count)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="storm")

    def __enter__(self) -> "Storm":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._count = 0
        self._thread.join()

    @property
    def over(self) -> bool:
        """Whether all have asked."""
        return self.book.asked >= self._count

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._connections)))

    async def _client(self) -> None:
        connection: Streams | None = None
        while not self.over:
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.01)  # nobody listens: the next serve has not come yet
                continue
            self.book.asked += 1
            if not await self._ask(connection, self.book.asked):
                connection[1].transport.abort()
                connection = None
        if connection is not None:
            connection[1].close()

    async def _ask(self, connection: Streams, number: int) -> bool:
        """One request; what became of it is noted. False: the connection is of no further use."""
        raw, stream, pieces = request_of(number, self._keys)
        leaves_after = self._chance.randrange(pieces) if stream and self._chance.random() < _LEAVES else None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                connection[1].write(raw)
                await connection[1].drain()
                return await self._read(connection[0], stream, leaves_after)
        except (OSError, EOFError):
            self.book.failures += 1
            return False

    async def _read(self, reader: asyncio.StreamReader, stream: bool, leaves_after: int | None) -> bool:
        if leaves_after == 0:
            self.book.left += 1
            return False
        status, headers = await read_head(reader)
        body = await self._body(reader, headers, leaves_after)
        if body is None:
            self.book.left += 1
            return False
        self.book.statuses[status] += 1
        if status != 200:
            if status not in ERRORS:
                self.book.refused.append(f"{status} {body[:300]!r}")
            return True
        if stream and b"error" in body[-400:]:  # the provider broke off, and the stream says so
            self.book.failures += 1
            return True
        cost = headers.get("x-fastgate-cost-usd")
        nano = None if cost is None else int(Decimal(cost).scaleb(9))
        self.book.answers.append(Answer(headers["x-fastgate-request-id"], stream, nano))
        return True

    async def _body(
        self, reader: asyncio.StreamReader, headers: dict[str, str], leaves_after: int | None
    ) -> bytes | None:
        """To its very end; None: this client does not wait for it."""
        if "content-length" in headers:
            length = int(headers["content-length"])
            return await reader.readexactly(length) if length <= _ENOUGH else None
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
            if leaves_after is not None:
                leaves_after -= 1
            if leaves_after == 0 or len(body) > _ENOUGH:
                return None
        await reader.readexactly(2)
        return body
