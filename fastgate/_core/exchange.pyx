"""One request to an upstream and its answer, as the caller sees it.

The connection pushes the answer in (``touch``, ``head_complete``, ``add``, ``finish`` or ``fail``) and calls
``settle`` once per read; the caller takes it out with ``read`` or ``stream``. There is at most one future at a time,
and none per piece.

Bounds: at most ``HIGH`` bytes wait here for a caller that has asked for nothing, then reading from the socket stops
until fewer than ``LOW`` wait. Only ``request(buffer_limit=...)`` and ``read(limit)`` raise the bound, to the limit
they name.
"""

cimport cython

from fastgate._core.clock cimport monotonic_ns
from fastgate._core.runner cimport resume
from fastgate._core.upstream_errors import BodyTooLarge, ClosedEarly

cdef Py_ssize_t HIGH = 256 * 1024
cdef Py_ssize_t LOW = 128 * 1024
cdef int64_t LONGEST = 1 << 62
cdef int64_t UNKNOWN = -1
cdef int64_t ABSENT = -2


@cython.freelist(256)
cdef class Exchange:
    """A request that was sent, and its answer. Made by ``Pool.request``."""

    def __cinit__(self):
        self.phase = WAITING
        self.announced = UNKNOWN
        self.headers = []

    def header(self, bytes name):
        """The first value of a header (name in lower case), or None."""
        cdef tuple pair
        for pair in self.headers:
            if pair[0] == name:
                return pair[1]
        return None

    async def read(self, Py_ssize_t limit):
        """The whole body, or the rest of it after an earlier ``read``.

        Raises BodyTooLarge as soon as the body is known to be longer than ``limit`` bytes (nothing is lost then,
        ``stream`` still gives it from the start), and whatever ended the answer early.
        """
        if not self.complete and self.error is None and not self.exceeds(limit):
            await self.wait(max(limit, 1))
        if self.error is not None:
            raise self.error
        if self.exceeds(limit):
            raise BodyTooLarge(f"the answer's body is longer than {limit} bytes", partial=self.gather())
        return self.drain()

    def at_hand(self, Py_ssize_t limit):
        """What ``read`` would give without waiting; None where it would wait, or raise."""
        if not self.complete or self.error is not None or self.buffered > limit:
            return None
        return self.drain()

    def stream(self, object sink):
        """Calls ``sink(piece)`` for each piece of the body, what has already arrived first, straight from the socket's
        read callback. The future resolves (to None) after the last piece, or fails with what ended the answer early,
        or with what ``sink`` raised (which aborts the exchange).
        """
        cdef object ended = self.wait(0)
        self.sink = sink
        self.settle()
        if self.error is not None:      # it had failed before: what had arrived is delivered first, then the failure
            self.wake(self.error)
        return ended

    def pause(self):
        """Stops the answer: no ``sink`` call follows until ``resume``, and no more is read from the socket."""
        self.held = True
        self.regulate()

    def resume(self):
        """Goes on after ``pause``; what waited here is delivered before this returns."""
        self.held = False
        self.settle()

    def abort(self):
        """Ends the exchange and its connection now. Does nothing when it is over."""
        self.fail(self.failure(ClosedEarly, "the exchange was aborted here"))

    # From the pool and the connection

    cdef int begin(self, object transport) except -1:
        self.transport = transport
        self.phase = ASKED
        self.dial = None
        self.sent = True
        self.mark_ns = self.sent_ns = monotonic_ns()
        self.unwritten = -1
        return 0

    cdef int touch(self) except -1:
        """A read brought something."""
        self.mark_ns = monotonic_ns()
        if self.phase == ASKED:
            self.phase = ANSWERING
            self.answered = True
            self.answered_ns = self.mark_ns
            self.head = self.request_body = None
        return 0

    cdef int head_complete(self, int status, list headers) except -1:
        self.status = status
        self.headers = headers
        self.head_arrived = True
        return 0

    cdef int add(self, bytes piece) except -1:
        """A piece of the body. The first is kept as it is; more are gathered, so that a million tiny ones stay
        small."""
        if self.buffered == 0:
            self.piece = piece
        else:
            if self.rest is None:
                self.rest = bytearray(self.piece)
                self.piece = None
            self.rest += piece
        self.buffered += len(piece)
        self.received += len(piece)
        return 0

    cdef int finish(self) except -1:
        """The answer is whole; the transport goes back to its connection, reading."""
        cdef object transport = self.transport
        self.phase = OVER
        self.complete = True
        self.ended_ns = self.mark_ns
        self.transport = None
        if self.stopped:
            self.stopped = False
            transport.resume_reading()
        return 0

    cdef int settle(self) except -1:
        """After each read and each change of the caller's mind: deliver, wake, stop or start reading."""
        if self.sink is not None:
            self.deliver()
        if self.waiter is not None and not self.delivering and self.satisfied():
            self.wake(None)
        self.regulate()
        return 0

    cdef int fail(self, object error) except -1:
        """Ends an exchange that is not over. Whoever waits gets the error now, others when they come."""
        cdef object transport = self.transport
        cdef object dial = self.dial
        if self.phase == OVER and self.waiter is None:
            return 0
        self.phase = OVER
        self.ended_ns = monotonic_ns()
        self.error = error
        self.transport = self.dial = self.sink = self.head = self.request_body = None
        if dial is not None:
            dial.cancel()
        if transport is not None:
            transport.abort()
        return self.wake(error)

    cdef object failure(self, object kind, str message):
        return kind(message, sent=self.sent, answered=self.answered)

    # The body between the connection and the caller

    cdef bytes gather(self):
        """What waits, in one piece, and leaves it there."""
        if self.rest is not None:
            self.piece = bytes(self.rest)
            self.rest = None
        return self.piece if self.buffered else b""

    cdef bytes drain(self):
        """What waits, in one piece."""
        cdef bytes body = self.gather()
        self.piece = None
        self.buffered = 0
        return body

    cdef bytes take(self):
        """The next piece for the sink: what waits, at most HIGH bytes of it."""
        cdef bytes piece
        if self.buffered <= HIGH:
            return self.drain()
        if self.rest is None:
            self.rest = bytearray(self.piece)
            self.piece = None
        piece = bytes(self.rest[:HIGH])
        del self.rest[:HIGH]
        self.buffered -= HIGH
        return piece

    cdef int deliver(self) except -1:
        if self.delivering:             # the sink called resume()
            return 0
        self.delivering = True
        try:
            while self.buffered and not self.held and self.sink is not None:
                self.sink(self.take())
        except Exception as error:      # the caller's own: it goes to the caller's future, the read callback goes on
            self.fail(error)
        finally:
            self.delivering = False
        return 0

    cdef bint exceeds(self, Py_ssize_t limit):
        """Whether the body is known to be longer than ``limit``."""
        cdef object value
        if self.complete or not self.head_arrived:
            return self.buffered > limit
        if self.announced == UNKNOWN:
            value = self.header(b"content-length")
            self.announced = ABSENT if value is None else min(int(value), LONGEST)
        return self.buffered > limit or self.announced > limit

    cdef bint satisfied(self):
        """Whether what the waiter waits for is here: the end of the stream, the body within its limit, or the head."""
        if self.sink is not None:
            return self.complete and self.buffered == 0
        return self.complete or (self.head_arrived and (self.limit == 0 or self.exceeds(self.limit)))

    cdef int regulate(self) except -1:
        """Stops or starts reading from the socket."""
        cdef Py_ssize_t bound = LOW if self.stopped else HIGH
        cdef bint stop
        if self.transport is None:
            return 0
        if self.waiter is not None and self.sink is None and self.limit > bound:
            bound = self.limit
        stop = self.held or self.buffered > bound
        if stop != self.stopped:
            self.stopped = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.mark_ns = monotonic_ns()       # the silence was ours
                self.transport.resume_reading()
        return 0

    cdef object wait(self, Py_ssize_t limit):
        """The future of the next event; ``limit``: how much of the body may gather meanwhile, 0 for the head alone."""
        if self.waiter is not None and not self.waiter.done():     # done: its reader was cancelled
            raise RuntimeError("the answer is already being read")
        self.limit = limit
        self.waiter = self.runner.pause()
        self.regulate()
        return self.waiter

    cdef int wake(self, object error) except -1:
        cdef object waiter = self.waiter
        self.waiter = None
        self.sink = None                # has had all of it, and refers to us
        if waiter is not None and not waiter.done():        # done: cancelled
            if error is None:
                resume(waiter)
            else:
                waiter.set_exception(error)
        return 0
