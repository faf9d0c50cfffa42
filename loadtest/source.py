"""The constant upstream of streams: ``python -m loadtest.source PORT CHUNKS CHUNK_MS``.

Every request is answered with so many chat completion chunks: the first at once, the second within ``CHUNK_MS``, so
that streams are out of step with each other, and then one each ``CHUNK_MS``. Each bears the moment at which it was
written, so that who reads it knows how long it was on its way.
"""

import asyncio
import itertools
import json
import sys
import time
from typing import Any, Final, cast

import httptools
import uvloop

MODEL: Final = "stream-1"
PROMPT_TOKENS: Final = 250
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT: Final = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"stream-1","choices":'
    '[{"index":0,"delta":{%s},"finish_reason":%s}]%s}\n\n'
)
_END: Final = b"0\r\n\r\n"
_GOLDEN: Final = 0.618034
"""Multiples of it, fractions only, are spread evenly however many there are."""
_numbers = itertools.count()


def text(chunks: int, *, wants_usage: bool) -> tuple[str, str]:
    """A stream, as who reads it can know it beforehand: so many times the first text, and then the second.

    The digits behind the ``@`` of the first are its time.
    """
    return _event(0, wants_usage), "".join(_last(chunks, wants_usage))


def _event(now_ns: int, wants_usage: bool) -> str:
    return _EVENT % (f'"content":"@{now_ns:020d}"', "null", ',"usage":null' if wants_usage else "")


def _last(chunks: int, wants_usage: bool) -> list[str]:
    """The events behind the chunks."""
    pieces = [_EVENT % ("", '"stop"', ',"usage":null' if wants_usage else "")]
    if wants_usage:
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": chunks, "total_tokens": PROMPT_TOKENS + chunks}
        head = (
            '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"stream-1","choices":[],"usage":'
        )
        pieces.append(f"data: {head}{json.dumps(usage)}}}\n\n")
    return [*pieces, "data: [DONE]\n\n"]


def _framed(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


class Source(asyncio.Protocol):
    """One connection: one stream after another."""

    _transport: asyncio.Transport

    def __init__(self, chunks: int, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._chunks = chunks
        self._seconds = seconds
        self._body = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what uvloop gives is one in all but name

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        asked: dict[str, Any] = json.loads(self._body)
        wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        self._transport.write(_HEAD)
        self._at = self._loop.time() + self._seconds * (next(_numbers) * _GOLDEN % 1.0 - 1.0)
        self._write(self._chunks, wants_usage)

    def _write(self, left: int, wants_usage: bool) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(b"".join(map(_framed, _last(self._chunks, wants_usage))) + _END)
            return
        self._transport.write(_framed(_event(time.monotonic_ns(), wants_usage)))
        self._at += self._seconds
        self._loop.call_at(self._at, self._write, left - 1, wants_usage)


async def main(port: int, chunks: int, chunk_ms: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Source(chunks, chunk_ms / 1000), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
