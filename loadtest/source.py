"""The constant upstream of streams: ``python -m loadtest.source PORT CHUNKS CHUNK_MS``.

Every request is answered with so many chat completion chunks: the first at once, the second within ``CHUNK_MS``, so
that streams are out of step with each other, and then one each ``CHUNK_MS``. Each bears the moment at which it was
written, so that who reads it knows how long it was on its way. The loop is ``loadtest/_source.pyx``.
"""

import json
import socket
import sys
from typing import Any, Final

import httptools

from loadtest import streamed
from loadtest._source import Form, Source

_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END: Final = b"0\r\n\r\n"


def _framed(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


class Reader:
    """Of the requests of one connection."""

    def __init__(self) -> None:
        self._whole: list[int] = []
        self._body = b""
        self._parser = httptools.HttpRequestParser(self)

    def __call__(self, data: bytes) -> list[int]:
        """The numbers of the forms that are asked for by what is whole now. Raises ValueError for any other request."""
        self._whole = []
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ValueError("it asks for no stream") from error
        return self._whole

    def on_message_begin(self) -> None:
        """The parser's."""
        self._body = b""

    def on_body(self, piece: bytes) -> None:
        """The parser's."""
        self._body += piece

    def on_message_complete(self) -> None:
        """The parser's."""
        asked: dict[str, Any] = json.loads(self._body)
        self._whole.append(int(bool((asked.get("stream_options") or {}).get("include_usage"))))


def form(chunks: int, *, wants_usage: bool) -> Form:
    """A stream as the loop writes it."""
    event = _framed(streamed.event(wants_usage=wants_usage))
    tail = b"".join(map(_framed, streamed.last(chunks, wants_usage=wants_usage))) + _END
    return Form(_HEAD, event, event.index(b"@") + 1, tail)


def main(port: int, chunks: int, chunk_ms: float) -> None:
    """Serve until the process is ended."""
    forms = (form(chunks, wants_usage=False), form(chunks, wants_usage=True))
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        listener.setblocking(False)
        Source(listener.fileno(), forms, Reader, chunks=chunks, seconds=chunk_ms / 1000).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
