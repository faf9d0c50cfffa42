"""The clients of streams: ``python -m loadtest.reader '{"port": ..., ...}'``; prints one JSON line.

So many connections, each of which reads so many streams one after another and notes how old each chunk is when it
comes.
"""

import asyncio
import json
import re
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from typing import Final, cast

import httptools
import uvloop

from loadtest import prompts

_STAMP: Final = re.compile(rb'"@(\d{20})"')
_TAIL: Final = 23
"""A stamp cut by the end of a piece is at most so long."""
_LAST: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Wanted:
    """What to read; ``stagger`` seconds pass between the first connection and the last."""

    port: int
    path: str
    streams: int
    repeat: int
    chunks: int
    stagger: float
    include_usage: bool
    headers: dict[str, str]

    def request(self) -> bytes:
        before, after = prompts.stream(self.chunks, self.path, include_usage=self.include_usage, headers=self.headers)
        return prompts.numbered(before, 0, after)


@dataclass
class Seen:
    """What came; ``delays`` in nanoseconds, one for each chunk."""

    delays: "array[int]"
    streams: int = 0
    failed: int = 0
    seconds: float = 0.0


class Reader(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.Transport
    _parser: httptools.HttpResponseParser
    _tail: bytes
    _last: bytes
    _chunks: int

    def __init__(self, wanted: Wanted, seen: Seen) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted = wanted
        self._seen = seen
        self._request = wanted.request()
        self._left = wanted.repeat
        self._now = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what uvloop gives is one in all but name
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._seen.failed += 1
            self._transport.abort()

    def on_body(self, piece: bytes) -> None:
        text = self._tail + piece
        end = 0
        for found in _STAMP.finditer(text):
            self._seen.delays.append(self._now - int(found[1]))
            self._chunks += 1
            end = found.end()
        self._tail = text[max(end, len(text) - _TAIL) :]
        self._last = (self._last + piece)[-len(_LAST) :]

    def on_message_complete(self) -> None:
        good = self._parser.get_status_code() == 200 and self._chunks == self._wanted.chunks and self._last == _LAST
        self._seen.streams += good
        self._seen.failed += not good
        self._left -= 1
        if self._left:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.failed += self._left  # streams that were never read
        self.done.set_result(None)

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._tail = self._last = b""
        self._chunks = 0
        self._transport.write(self._request)


async def read(wanted: Wanted) -> Seen:
    loop = asyncio.get_running_loop()
    seen, began = Seen(array("q")), time.monotonic()

    async def one(number: int) -> None:
        await asyncio.sleep(number * wanted.stagger / wanted.streams)
        _, reader = await loop.create_connection(lambda: Reader(wanted, seen), "127.0.0.1", wanted.port)
        await reader.done

    await asyncio.gather(*map(one, range(wanted.streams)))
    seen.seconds = time.monotonic() - began
    return seen


def summary(seen: Seen) -> dict[str, float]:
    delays = sorted(seen.delays)

    def microseconds(share: float) -> float:
        return delays[min(len(delays) - 1, int(share * len(delays)))] / 1000 if delays else 0.0

    return {
        "streams": seen.streams,
        "failed": seen.failed,
        "chunks": len(delays),
        "seconds": seen.seconds,
        "p50": microseconds(0.5),
        "p99": microseconds(0.99),
        "p999": microseconds(0.999),
        "longest": microseconds(1),
    }


def command(wanted: Wanted) -> list[str]:
    """How to run it."""
    return [sys.executable, "-m", "loadtest.reader", json.dumps(asdict(wanted))]


if __name__ == "__main__":
    print(json.dumps(summary(uvloop.run(read(Wanted(**json.loads(sys.argv[1])))))))
