"""One request of a client over HTTP/1.1, and the answer to it, as the application sees them.

It is both of what RSGI hands to an application: the scope (what is asked) and the protocol (the body, the answer). The
connection pushes the body in (``add``, ``finish`` or ``leave``); the application takes it out, whole or in pieces, and
answers once.

Bounds: at most ``HIGH`` bytes of a body wait for an application that has not asked for all of it; then no more is read
from the socket.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from fastgate._core.digits cimport put_digits
from fastgate._core.head cimport date_line, line_size, put, put_bytes, put_line, same, status_line

from fastgate._core.client_errors import ClientLeft

cdef Py_ssize_t HIGH = 64 * 1024
cdef Py_ssize_t UNSAID = -1

cdef enum:
    FRAMING = 128       # bytes of the lines that ``frame`` writes, and more

cdef bytes CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
cdef bytes LAST_CHUNK = b"0\r\n\r\n"


cdef inline bint is_bodiless(int status) noexcept:
    """Whether an answer with this status has no body."""
    return status == 204 or status == 304


cdef class Line:
    """A client's connection, as its requests need it. ``Client`` is the one that there is."""

    cdef int send(self, bytes data) except -1:
        """Hand bytes to the client; what it does not take yet waits."""
        raise NotImplementedError

    cdef int urge(self, bytes data) except -1:
        """Likewise, before whatever waits for others."""
        raise NotImplementedError

    cdef int regulate(self) except -1:
        """Stop or start reading from the socket."""
        raise NotImplementedError

    cdef int answered(self, Request request) except -1:
        """The answer is whole, though the application may still be at work."""
        raise NotImplementedError


cdef class Taken:
    """What ``send_bytes`` says of bytes that were taken: an awaitable that never waits."""

    def __await__(self):
        return self

    def __next__(self):
        raise StopIteration


cdef class Refused:
    """What it says of bytes that nobody takes any more: awaiting it raises ClientLeft."""

    def __await__(self):
        return self

    def __next__(self):
        raise ClientLeft("the client has left")


cdef Taken TAKEN = Taken()
cdef Refused REFUSED = Refused()


@cython.freelist(256)
cdef class Request:
    """What a client asks, its body, and the way to answer it. Made by its connection."""

    def __cinit__(self):
        self.left = UNSAID

    # The body

    def __call__(self):
        """The whole body. Raises ClientLeft where it does not come to its end."""
        return self.whole()

    async def whole(self):
        """See ``__call__``."""
        while not self.complete:
            self.wanted = True
            await self.wait()
        return self.drain()

    def at_hand(self):
        """The whole body, taken out, where it has come already; else None."""
        return self.drain() if self.complete else None

    def __aiter__(self):
        return self

    def __anext__(self):
        """The body, piece by piece. Raises ClientLeft where it does not come to its end."""
        return self.next_piece()

    async def next_piece(self):
        """See ``__anext__``."""
        while self.buffered == 0:
            if self.complete:
                raise StopAsyncIteration
            await self.wait()
        piece = self.drain()
        if self.line is not None:
            self.line.regulate()
        return piece

    async def client_disconnect(self):
        """Returns when the client has left."""
        if self.line is not None:
            if self.departure is None or self.departure.done():     # done: who waited was cancelled
                self.departure = self.runner.loop.create_future()
            await self.departure

    # The answer, which is given once

    def response_empty(self, int status, headers):
        """Answer without a body."""
        self.response_bytes(status, headers, b"")

    def response_bytes(self, int status, headers, bytes body):
        """The whole answer. Raises ValueError for a header that cannot be one."""
        cdef bint bodiless = is_bodiless(status)
        if self.begun:
            return
        answer = self.compose(
            status, headers, 0 if bodiless else len(body), b"" if bodiless or self.method == "HEAD" else body)
        self.begun = True
        self.put(answer)
        self.complete_answer()

    def response_stream(self, int status, headers):
        """The beginning of an answer, to be given in pieces. Raises ValueError as above."""
        cdef Answer answer
        head = self.compose(status, headers, UNSAID, b"")
        self.begun = True
        self.put(head)
        answer = Answer.__new__(Answer)     # not before: one that has no request yet must not be dropped
        answer.request = self
        answer.awaited = True
        return answer

    # From the connection

    cdef int add(self, bytes piece) except -1:
        """A piece of the body."""
        if self.buffered == 0:
            self.piece = piece
        else:
            if self.rest is None:
                self.rest = bytearray(self.piece)
                self.piece = None
            self.rest += piece
        self.buffered += len(piece)
        if not self.wanted:
            self.wake()
        return 0

    cdef int finish(self) except -1:
        """The body is whole."""
        self.complete = True
        return self.wake()

    cdef int end(self) except -1:
        """No more of the body comes."""
        self.broken = not self.complete
        return self.wake()

    cdef int leave(self) except -1:
        """The connection is gone."""
        self.line = None
        if self.departure is not None and not self.departure.done():
            self.departure.set_result(None)
        return self.end()

    cdef bint full(self):
        """Whether no more of the body should be read now."""
        return self.buffered > HIGH and not self.wanted

    cdef int complete_answer(self) except -1:
        """No more of the answer comes."""
        if self.over:
            return 0
        self.over = True
        if self.chunked and self.method != "HEAD":
            self.put(LAST_CHUNK)
        elif self.left > 0 and self.method != "HEAD":   # fewer than announced: only the end tells
            self.persistent = False
        return self.line.answered(self) if self.line is not None else 0

    cdef int conclude(self) except -1:
        """The application is done: whatever it left open of its answer is ended."""
        if not self.begun:
            self.response_bytes(500, (("connection", "close"),), b"")
        return self.complete_answer()

    # Between the two

    cdef object wait(self):
        """The future of the next piece, or of the end."""
        if self.broken:
            raise ClientLeft("the request ended before its body was whole")
        if self.expects and not self.begun:
            self.expects = False
            self.put(CONTINUE)
        self.waiter = self.runner.pause()
        self.line.regulate()
        return self.waiter

    cdef int wake(self) except -1:
        cdef object waiter = self.waiter
        self.waiter = None
        if waiter is not None and not waiter.done():    # done: cancelled
            waiter.set_result(None)
        return 0

    cdef bytes drain(self):
        """What waits of the body, in one piece."""
        cdef bytes body = self.piece if self.buffered else b""
        if self.rest is not None:
            body = bytes(self.rest)
        self.piece = self.rest = None
        self.buffered = 0
        return body

    cdef int put(self, bytes data) except -1:
        if self.line is not None:
            self.line.send(data)
        return 0

    cdef bytes compose(self, int status, object headers, Py_ssize_t length, bytes body):
        """The head of an answer whose body has ``length`` bytes, and what comes with it of the body.

        UNSAID: the headers say how long it is, or it goes out in chunks.
        """
        cdef list pairs = headers if type(headers) is list else list(headers)
        cdef bytes first = status_line(status), date = date_line(), answer
        cdef Py_ssize_t size = len(first) + len(date) + len(body), framed
        cdef bint persistent = self.persistent and self.complete    # else a next request cannot be told from the body's rest
        cdef bint chunked
        cdef char framing[FRAMING]
        cdef char *out
        cdef str name, value
        for name, value in pairs:
            if same(name, "connection"):    # said by ``frame``
                persistent = persistent and value != "close"
                continue
            if same(name, "content-length"):
                self.left = int(value)
            size += line_size(name, value)
        chunked = length == UNSAID and self.left == UNSAID
        if chunked and self.http_version != "1.1":
            chunked = persistent = False
        framed = self.frame(framing, status, length, chunked, persistent) - framing
        answer = PyBytes_FromStringAndSize(NULL, size + framed)
        out = put_bytes(put_bytes(PyBytes_AS_STRING(answer), first), date)
        for name, value in pairs:
            if not same(name, "connection"):
                out = put_line(out, name, value)
        put_bytes(put(out, framing, framed), body)
        self.chunked, self.persistent = chunked, persistent
        return answer

    cdef char *frame(self, char *out, int status, Py_ssize_t length, bint chunked, bint persistent) except NULL:
        """The last lines of a head, at ``out``: how its body is framed, and whether another answer may follow."""
        if chunked:
            out = put_bytes(out, b"transfer-encoding: chunked\r\n")
        elif length != UNSAID and not is_bodiless(status):
            out = put_bytes(put_digits(put_bytes(out, b"content-length: "), length), b"\r\n")
        if not persistent:
            out = put_bytes(out, b"connection: close\r\n")
        elif self.http_version == "1.0":
            out = put_bytes(out, b"connection: keep-alive\r\n")
        return put_bytes(out, b"\r\n")


@cython.no_gc  # it ends its answer when it is dropped: what it needs for that must not be cleared before
cdef class Answer:
    """An answer that is given in pieces. It ends when this is dropped, or with the application's call."""

    def send_bytes(self, bytes data not None):
        """A piece of the answer. Never waits; awaiting it raises ClientLeft where the client has left."""
        cdef Request request = self.request
        cdef Py_ssize_t size = len(data)
        if request.line is None or request.over:
            return REFUSED
        if size and request.method != "HEAD":
            if request.chunked:
                data = b"%x\r\n%b\r\n" % (size, data)
            else:
                request.left -= size if request.left > 0 else 0
            if self.awaited:
                self.awaited = False
                request.line.urge(data)
            else:
                request.line.send(data)
        return TAKEN

    def __dealloc__(self):
        self.request.complete_answer()
