"""A provider whose streams say when each piece was sent, in a process of its own: ``python -m tests.support.ticker``.

Prints its port. A stream has as many pieces as the request's ``max_tokens``, 5 ms apart; each is an event of OpenAI's
chat API whose text is the clock at its sending (``CLOCK_MONOTONIC``, which all processes share), in nanoseconds.
"""

import asyncio
import sys
from time import monotonic_ns
from typing import Any

import httptools
import msgspec
import uvloop

GAP = 0.005
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10}}\n\ndata: [DONE]\n\n'


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Ticker(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        self._left = msgspec.json.decode(body)["max_tokens"]
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._transport.write(_HEAD)
        self._tick()

    def _tick(self) -> None:
        if not self._left:
            self._transport.write(_chunk(_USAGE) + b"0\r\n\r\n")
            return
        self._left -= 1
        event = b'data: {"choices":[{"index":0,"delta":{"content":"%d"},"finish_reason":null}]}\n\n' % monotonic_ns()
        self._transport.write(_chunk(event))
        self._due += GAP
        self._loop.call_at(self._due, self._tick)


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Ticker, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    async with server:
        await ended.wait()


if __name__ == "__main__":
    uvloop.run(main())
