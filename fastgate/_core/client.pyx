"""One connection of a client: bytes to requests, and answers to bytes; HTTP/1.1, one request at a time.

The protocol object of an asyncio or uvloop transport over llhttp's request parser. Requests that a client sends ahead wait
in line, and while one waits no more is read; none is begun while the client does not take the answers before it. What begins
with HTTP/2's preface is handed over as it is.
"""

from collections import deque

from httptools import (
    HttpParserCallbackError, HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser,
)

from fastgate._core.clock cimport monotonic_ns
from fastgate._core.head cimport header_name, method_name, plain, target

cdef int64_t CLOSING_NS = 2_000_000_000
cdef Py_ssize_t MOST_HEAD = 256 << 10
cdef Py_ssize_t MOST_DISCARDED = 64 << 20       # after the last answer
cdef int MOST_HEADERS = 100
cdef int MOST_AHEAD = 1024                      # requests of one connection that wait: all of one read, unless they are tiny
cdef frozenset FRAMING = frozenset({"content-length", "transfer-encoding"})
cdef bytes PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


cdef class Host:
    """Whose clients they are. ``Server`` is the one that there is."""

    cdef int came(self, Client client) except -1:
        raise NotImplementedError

    cdef int left(self, Client client) except -1:
        raise NotImplementedError

    cdef object hand_over(self, Client client, bytes data):
        """The protocol that goes on with a connection on which ``data`` came, the beginning of HTTP/2."""
        raise NotImplementedError


cdef class Service(Run):
    """The application at work on one request."""

    cdef int ended(self) except -1:
        return self.request.conclude()


cdef class Client(Line):
    """The protocol of one connection. Its public methods are called by the transport and by the parser, nobody else."""

    def __init__(self, Host host):
        self.host = host
        self.waiting = deque()
        self.headers = Headers.__new__(Headers)
        self.url = b""
        self.parser = HttpRequestParser(self)
        self.feed = self.parser.feed_data

    # Called by the transport

    def connection_made(self, object transport):
        cdef object peer = transport.get_extra_info("peername")
        self.transport = transport
        self.since_ns = monotonic_ns()
        if peer is None:                        # gone already, but what it asked may be here
            self.address = ""
        else:
            self.address = f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
        self.host.came(self)

    def data_received(self, bytes data):
        if self.closing or self.deaf:           # thrown away, so that the client gets to read its answer
            self.fruitless += len(data)
            if self.fruitless > MOST_DISCARDED:
                self.transport.abort()
        elif self.known or self.begin(data):
            self.take(data)

    cdef bint begin(self, bytes data) except -1:
        """Whether the first bytes, which may come one by one, are of HTTP/1."""
        cdef bytes opening = data
        if self.opening is not None:
            opening = self.opening + data
            self.opening = None
        if opening[:len(PREFACE)] == PREFACE:
            self.transport.set_protocol(self.host.hand_over(self, opening))
            self.host.left(self)
            self.transport = self.parser = self.feed = None
            return False
        if len(opening) < len(PREFACE) and PREFACE.startswith(opening):
            self.opening = opening
            return False
        self.known = True
        if opening is not data:
            self.take(opening)
            return False
        return True

    cdef int take(self, bytes data) except -1:
        if self.fruitless == 0 and self.serving is None:
            self.since_ns = monotonic_ns()
        self.fruitless += len(data)
        try:
            self.parse(data)
        except HttpParserInvalidMethodError:
            self.refuse(501)
        except HttpParserError as error:
            if isinstance(error, HttpParserCallbackError) and not self.fault:
                raise                           # a fault of ours in a callback, not the client's
            self.refuse(self.fault or 400)
        if self.fruitless > MOST_HEAD and not self.deaf:
            self.refuse(431)
        self.serve_next()
        return self.regulate()

    cdef int parse(self, object data) except -1:
        """Hand it to the parser, which stops after a head that asks for another protocol; the answer is given in this one."""
        cdef Request request
        while True:
            try:
                self.feed(data)
                return 0
            except HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0]:]
            request = self.waiting[len(self.waiting) - 1]
            if request.method == "CONNECT":     # what follows is for somebody else
                self.deaf, request.persistent = True, False
                return 0
            self.read_on(request)

    cdef int read_on(self, Request request) except -1:
        """With another parser; it is told how the body is framed, which the one before left to the other protocol."""
        cdef str name, value
        self.parser = HttpRequestParser(self)
        self.feed = self.parser.feed_data
        framing = [f"{name}: {value}\r\n" for name, value in request.headers.items() if name in FRAMING]
        if framing:
            request.complete = False
            self.arriving = request
            self.feed(f"POST / HTTP/1.1\r\n{''.join(framing)}\r\n".encode("ascii"))
        return 0

    def eof_received(self):
        """The client sends no more. Where a request is not whole it is told so; else it has left."""
        cdef Request request = self.arriving
        self.host.outbox.empty()
        if request is None or self.closing:
            return False
        self.deaf = self.closing = True
        self.since_ns = monotonic_ns()
        self.arriving = None
        request.persistent = False
        request.end()
        return True

    def connection_lost(self, object reason):
        cdef Request request
        if self.transport is None:
            return
        self.transport = self.parser = self.feed = None     # they refer to us
        self.arriving = None
        if self.serving is not None:
            self.serving.leave()
        for request in self.waiting:
            request.leave()
        self.waiting.clear()
        self.host.left(self)

    def pause_writing(self):
        """No further request is begun; the one that is served goes on, as who relays long answers looks at what waits."""
        self.choked = True

    def resume_writing(self):
        """The client has taken nearly all."""
        self.choked = False
        if self.serving is None and not self.closing:
            self.since_ns = monotonic_ns()
            self.serve_next()
            self.regulate()

    # Called by the parser

    def on_message_begin(self):
        self.url = b""
        self.headers = Headers.__new__(Headers)

    def on_url(self, bytes piece):
        self.url += piece

    def on_header(self, bytes name, bytes value):
        if self.arriving is not None:           # a trailer
            return
        if self.headers.count >= MOST_HEADERS:
            self.fault = 431
            raise OverflowError
        self.headers.add(header_name(name), plain(value))

    def on_headers_complete(self):
        cdef Request request
        if self.arriving is not None:           # see ``read_on``
            return
        if len(self.waiting) >= MOST_AHEAD:
            self.fault = 431
            raise OverflowError
        request = Request.__new__(Request)
        request.line, request.runner, request.client = self, self.host.runner, self.address
        request.method = method_name(self.parser.get_method())
        request.path, request.query_string = target(self.url)
        request.http_version = self.parser.get_http_version()
        request.persistent = self.parser.should_keep_alive() and not self.host.leaving
        request.headers = self.headers
        if request.http_version == "1.1":
            request.expects = "expect" in self.headers.latest and self.headers.get("expect").lower() == "100-continue"
        elif request.http_version != "1.0" or "transfer-encoding" in request.headers:   # which is 1.1's
            self.fault = 400
            raise ValueError
        self.fruitless = 0
        self.arriving = request
        self.waiting.append(request)

    def on_body(self, bytes piece):
        self.fruitless = 0
        self.arriving.add(piece)

    def on_message_complete(self):
        cdef Request request = self.arriving
        self.fruitless = 0
        self.arriving = None
        request.finish()

    # Between the two

    cdef int refuse(self, int status) except -1:
        """What came is no request. Those before it are answered first."""
        cdef Request nothing
        self.deaf = True
        if self.arriving is not None:
            self.arriving.persistent = False
            self.arriving.end()
            self.arriving = None
        elif self.serving is None and not self.waiting:
            nothing = Request.__new__(Request)
            self.send(nothing.compose(status, (), 0, b""))
            self.close()
        return 0

    cdef int serve_next(self) except -1:
        """Begin the next request, where one waits and can be begun."""
        cdef Service service
        if self.serving is None and self.waiting and not self.choked:
            self.serving = self.waiting.popleft()
            service = Service.__new__(Service)
            service.runner, service.request = self.host.runner, self.serving
            service.coroutine = self.host.application(self.serving, self.serving)
            service.go_on()
        return 0

    cdef int answered(self, Request request) except -1:
        self.serving = None
        self.since_ns = monotonic_ns()
        if not request.persistent or not request.complete or self.deaf and not self.waiting:
            return self.close()
        self.serve_next()
        return self.regulate()

    cdef int close(self) except -1:
        """The last answer is given. What the client may still be sending is thrown away, else its answer would be."""
        cdef Request request
        for request in self.waiting:            # sent ahead of an answer that said that it is the last
            request.line = None
        self.waiting.clear()
        self.host.outbox.empty()
        if self.closing or self.arriving is None and not self.stopped and not self.deaf:
            self.transport.close()
            return 0
        self.closing = True
        self.since_ns = monotonic_ns()
        try:
            self.transport.write_eof()
        except OSError:                         # from asyncio's: the client is gone already
            self.transport.abort()
        return self.regulate()

    cdef int dismiss(self) except -1:
        """No further request on this connection: it ends now, or with the answer that is on its way."""
        cdef Request request
        if self.serving is None:
            self.host.outbox.empty()
            self.transport.close()
            return 0
        for request in (self.serving, *self.waiting):
            request.persistent = False
        return 0

    cdef int announce(self) except -1:
        """The next answer is the last on this connection, as far as its head has not gone out."""
        cdef Request request
        for request in (self.serving, *self.waiting):
            if request is not None and not request.begun:
                request.persistent = False
        return 0

    cdef bint part(self, int64_t now, int64_t idle_ns, int64_t first_ns) except -1:
        """End the connection where nothing came on it for so long; whether a request may still come.

        ``first_ns``: the same before the first request, and in the middle of one's head.
        """
        cdef bint idle = self.known and self.fruitless == 0 and not self.waiting
        if self.serving is not None or self.closing:
            return False
        if now - self.since_ns < (idle_ns if idle else first_ns):
            return True
        self.dismiss()
        return False

    cdef int send(self, bytes data) except -1:
        return self.host.outbox.put(self.transport, data)

    cdef int urge(self, bytes data) except -1:
        return self.host.outbox.urge(self.transport, data)

    cdef int regulate(self) except -1:
        cdef bint stop = not self.closing and (len(self.waiting) > 0 or self.arriving is not None and self.arriving.full())
        if self.transport is not None and stop != self.stopped and not self.transport.is_closing():
            self.stopped = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
        return 0

    cdef int inspect(self, int64_t now) except -1:
        """End a connection that waits for too long. Requests that are served have bounds of their own."""
        cdef int64_t patience = CLOSING_NS
        cdef Py_ssize_t untaken = self.transport.get_write_buffer_size() if self.choked else 0
        if untaken < self.untaken:              # the client is reading
            self.since_ns = now
        self.untaken = untaken
        if not self.closing:
            patience = self.host.head_ns if self.fruitless or not self.known else self.host.idle_ns
        if (self.closing or self.serving is None) and now - self.since_ns > patience:
            self.transport.abort()
        return 0
