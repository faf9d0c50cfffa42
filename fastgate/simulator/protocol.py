"""HTTP/1.1 over one connection: requests in, one reply after the other out, pipelined or not."""

import asyncio
from collections import deque
from typing import Any, cast

import httptools

from fastgate.simulator.heads import CONTINUE, JSON, head
from fastgate.simulator.replies import Reply
from fastgate.simulator.request import HEADERS, Request
from fastgate.simulator.service import Service

MAX_BODY = 256 << 20
MAX_TARGET = 64 << 10
MAX_WAITING = 64

# Header names worth lower-casing, by their length: every other header is passed over at once.
_LENGTHS = frozenset(len(name) for name in HEADERS)


class Connection(asyncio.Protocol):
    """One client's connection. Requests that come while a reply is being played wait their turn."""

    def __init__(self, service: Service, connections: "set[Connection]", loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self.loop = loop
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._reply: Reply | None = None
        self._waiting: deque[Request] = deque()
        self._closing = False
        self._reading = True
        self._is_behind = False
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, with the same methods
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left, or was left."""
        self._connections.discard(self)
        self._closing = True
        self._waiting.clear()
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.lost()

    def pause_writing(self) -> None:
        """The client reads too slowly: hold the reply up, and take no more requests."""
        self._is_behind = True
        if self._reply is not None:
            self._reply.pause()
        self._regulate()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._is_behind = False
        if self._reply is not None:
            self._reply.resume()
        self._regulate()

    def _regulate(self) -> None:
        """Reads on or not. While a reply is played, reading goes on: that is how a client that leaves is noticed."""
        reads = len(self._waiting) < MAX_WAITING and not (self._is_behind and self._reply is None)
        if reads == self._reading or self._transport.is_closing():
            return
        self._reading = reads
        if reads:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a bug of ours: the loop logs it and closes the connection
        except httptools.HttpParserUpgrade:
            self._refuse(426, b"upgrades are not supported")
        except httptools.HttpParserError as error:
            self._refuse(400, str(error).encode("ascii", "replace"))

    def _refuse(self, status: int, why: bytes) -> None:
        """Answers what is no request, and closes."""
        self._waiting.clear()
        message = why.replace(b'"', b"'").replace(b"\\", b"/")
        body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":null}}' % message
        self.write(head(status, JSON, {}, length=len(body), keep_alive=False) + body)
        self.close()

    # The parser calls these.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._target = self._target + url if self._target else url
        if len(self._target) > MAX_TARGET:
            self._refuse(414, b"the target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if len(name) in _LENGTHS:
            name = name.lower()
            if name in HEADERS:
                self._headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is complete."""
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)
        self._size += len(body)
        if self._size > MAX_BODY and not self._closing:
            self._refuse(413, b"the body is too large")

    def on_message_complete(self) -> None:
        """A request is complete."""
        parser, body = self._parser, self._body
        if self._closing or parser.should_upgrade():  # the parser raises for an upgrade as soon as this returns
            return
        request = Request(
            parser.get_method(),
            self._target,
            self._headers,
            body[0] if len(body) == 1 else b"".join(body),
            keep_alive=parser.should_keep_alive(),
            http10=parser.get_http_version() == "1.0",
        )
        if self._reply is None and not self._waiting:
            self._serve(request)
        else:
            self._waiting.append(request)
            self._regulate()

    def _serve(self, request: Request) -> None:
        reply = self.service.reply(request)
        if isinstance(reply, Reply):
            self._reply = reply
            if self._is_behind:
                reply.pause()
            reply.start(self)
        else:
            self._transport.write(reply)
            if not request.keep_alive:
                self.close()

    # A reply calls these.

    def write(self, data: bytes) -> None:
        """Sends bytes."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def done(self, close: bool) -> None:
        """The reply is over: the next request's turn."""
        self._reply = None
        if close:
            self.close()
            return
        # Not from here: a reply that ends as it starts would nest one call for each request that waits.
        if self._waiting:
            self.loop.call_soon(self._next)
        self._regulate()

    def _next(self) -> None:
        while self._waiting and self._reply is None and not self._closing:
            self._serve(self._waiting.popleft())
        self._regulate()

    def close(self) -> None:
        """Closes after what was written."""
        self._closing = True
        self._transport.close()


def connections_factory(service: Service, loop: asyncio.AbstractEventLoop) -> tuple[Any, set[Connection]]:
    """What a server calls for each connection, and the set of those that are open."""
    connections: set[Connection] = set()
    return (lambda: Connection(service, connections, loop)), connections
