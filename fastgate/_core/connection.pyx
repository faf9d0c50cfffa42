"""One connection to an upstream: bytes to answers, one exchange at a time.

The protocol object of an asyncio or uvloop transport over llhttp's answer parser. It decides where an answer ends and
whether another may follow on the same connection; what is done with connections is the keeper's business (the pool's).
"""

import socket

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from fastgate._core.exchange cimport ANSWERING, OVER
from fastgate._core.head cimport lowered, trimmed
from fastgate._core.upstream_errors import ProtocolError

cdef Py_ssize_t JOIN = 64 * 1024            # below, one write of a copy is cheaper than two buffers
cdef object KEEPIDLE = getattr(socket, "TCP_KEEPIDLE", None)


cdef class Keeper:
    """Who owns connections. ``Pool`` is the one that there is."""

    cdef int released(self, Connection connection, Exchange exchange, bint reusable) except -1:
        """The answer is whole and read off the connection."""
        raise NotImplementedError

    cdef int lost(self, Connection connection, Exchange exchange, object reason) except -1:
        """The connection is gone; ``exchange`` is what it was busy with, or None."""
        raise NotImplementedError


cdef class Connection:
    """The protocol of one connection. Its public methods are called by the transport and by the parser, nobody else."""

    def __init__(self, Keeper keeper):
        self.keeper = keeper
        self.reset()
        self.renew_parser()

    cdef int start(self, Exchange exchange) except -1:
        """Sends the request of ``exchange``."""
        self.exchange = exchange
        self.uses += 1
        exchange.begin(self.transport)
        if len(exchange.head) + len(exchange.request_body) <= JOIN:
            self.keeper.outbox.put(self.transport, exchange.head + exchange.request_body)
        else:
            self.transport.writelines((exchange.head, exchange.request_body))
        return 0

    cdef bint usable(self):
        return self.transport is not None and not self.transport.is_closing()

    cdef int reset(self) except -1:
        """Ready for the next answer, or for the answer after an interim one."""
        self.stage = HEAD
        self.status = 0
        self.headers = []
        self.head_bytes = 0
        self.interim = self.framed = self.persistent = self.dirty = False
        self.fault = None
        return 0

    cdef int renew_parser(self) except -1:
        self.parser = HttpResponseParser(self)
        self.feed = self.parser.feed_data
        return 0

    cdef int refuse(self, str reason) except -1:
        """From within a parser callback: what came is no answer."""
        self.fault = reason
        raise HttpParserError(reason)

    # Called by the transport

    def connection_made(self, object transport):
        cdef object sock = transport.get_extra_info("socket")
        self.transport = transport
        # Models may think for minutes: what stands between must not forget the connection meanwhile.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if KEEPIDLE is not None:
            sock.setsockopt(socket.IPPROTO_TCP, KEEPIDLE, 60)

    def data_received(self, bytes data):
        cdef Exchange exchange = self.exchange
        if exchange is None or exchange.phase == OVER:      # nothing was asked, or the answer is no longer wanted
            self.transport.abort()
            return
        exchange.touch()
        self.fruitless += len(data)
        try:
            self.feed(data)
            if self.stage != ENDED and self.fruitless > self.keeper.max_head_bytes:
                self.refuse(f"more than {self.keeper.max_head_bytes} bytes of head or trailers")
        except HttpParserError as error:
            if isinstance(error, HttpParserCallbackError) and self.fault is None:
                raise                   # a fault of ours in a callback, not the upstream's
            if self.stage != ENDED:
                exchange.fail(exchange.failure(
                    ProtocolError, f"{self.keeper.address} sent what is not HTTP/1.1: {self.fault or error}"))
                return
            self.dirty = True           # the answer was whole before the garbage
        if self.stage == ENDED:
            self.conclude()
        exchange.settle()

    def eof_received(self):
        """An end that ends the body where nothing else does. The transport closes itself; ``connection_lost``
        follows."""
        cdef Exchange exchange = self.exchange
        if exchange is not None and exchange.phase == ANSWERING and self.stage == BODY and not self.framed:
            self.dirty = True
            self.conclude()
            exchange.settle()
        return False

    def connection_lost(self, object reason):
        cdef Exchange exchange = self.exchange
        self.exchange = None
        self.parser = self.feed = None      # they refer to us
        self.keeper.lost(self, exchange, reason)

    def pause_writing(self):
        """Nothing to pause: a request is one write of bytes that exist already."""

    def resume_writing(self):
        """See ``pause_writing``."""

    cdef int conclude(self) except -1:
        """The answer is whole: gives the connection back, or ends it."""
        cdef Exchange exchange = self.exchange
        cdef bint reusable = (
            self.persistent and not self.dirty and not self.transport.is_closing()
            # An answer that came before the request had left: the rest of the request is still on its way.
            and self.transport.get_write_buffer_size() == 0
        )
        self.exchange = None
        exchange.finish()
        if exchange.bodiless:
            self.renew_parser()             # llhttp would wait for the body that the head describes
        self.reset()
        self.fruitless = 0
        if not reusable:
            self.transport.abort()
        self.keeper.released(self, exchange, reusable)
        return 0

    # Called by the parser

    def on_message_begin(self):
        if self.stage == ENDED:
            self.dirty = True

    def on_header(self, bytes name, bytes value):
        if self.stage != HEAD:              # a trailer, or data after the answer
            return
        self.head_bytes += len(name) + len(value) + 4
        if self.head_bytes > self.keeper.max_head_bytes:
            self.refuse(f"more than {self.keeper.max_head_bytes} bytes of head")
        name = lowered(name)
        value = trimmed(value)
        if len(name) == 17 and name == b"transfer-encoding":
            self.framed = True
            if value.lower() != b"chunked":
                self.refuse("a transfer-encoding other than chunked")
        elif len(name) == 14 and name == b"content-length":
            self.framed = True
        self.headers.append((name, value))

    def on_headers_complete(self):
        if self.stage != HEAD:
            return
        self.status = self.parser.get_status_code()
        self.persistent = self.parser.should_keep_alive()
        if not self.persistent and not self.parser.get_http_version().startswith("1."):
            self.refuse("a version other than HTTP/1")
        if 100 < self.status < 200 and self.status != 101 or self.status == 100:
            self.interim = True
            return
        if self.status < 200:
            self.refuse(f"status {self.status}")
        self.stage = BODY
        self.fruitless = 0
        self.exchange.head_complete(self.status, self.headers)
        if self.exchange.bodiless:
            self.stage = ENDED

    def on_body(self, bytes piece):
        if self.stage == BODY:
            self.fruitless = 0
            self.exchange.add(piece)
        else:
            self.dirty = True

    def on_message_complete(self):
        if self.interim:
            self.reset()
        elif self.stage == BODY:
            self.stage = ENDED
