"""What one pass of the loop has to write, written together where there is much of it.

A transport writes at once. Under load a pass serves many requests, some 30 µs after each other, and whoever waits at the other
end, if it is a process of this host, would be woken for each of them, only to sleep again: a fifth of a request's CPU. Where
there is less to do nobody gains by waiting for the end of the pass. Nor does the beginning of an answer gain by waiting for the
middle of all others: it comes before them, and where requests are few the loop looks for what has come after each write.
"""

from fastgate._core.clock cimport monotonic_ns

cdef int64_t OFTEN_NS = 150_000             # between two writes, on average: what comes less often is written at once
cdef int64_t LONGEST_NS = 1_000_000         # a pause that is longer counts as this
cdef int WEIGHT = 64                        # of all pauses before, against one
cdef Py_ssize_t JOIN = 64 * 1024            # below, one write of a copy is cheaper than two


cdef class Outbox:
    """Of the connections to upstreams, or to clients: those have ``requests``, the outbox of the others."""

    def __cinit__(self, object loop, Outbox requests=None):
        self.loop = loop
        self.requests = requests
        self.waiting = {}
        self.pause_ns = LONGEST_NS

    cdef int put(self, object transport, bytes data) except -1:
        """Write: at once, or when the pass has ended."""
        cdef int64_t now = monotonic_ns()
        cdef bytes first
        self.pause_ns += (min(now - self.put_ns, LONGEST_NS) - self.pause_ns) // WEIGHT
        self.put_ns = now
        if not self.waiting:
            if self.is_seldom():
                transport.write(data)
                return 0
            self.loop.call_soon(self.flush)
        first = self.waiting.get(transport)
        if first is not None:
            if len(first) + len(data) <= JOIN:
                data = first + data
            else:
                transport.write(first)
        self.waiting[transport] = data
        return 0

    cdef bint is_seldom(self) noexcept:
        """Whether a write comes alone, usually."""
        return self.pause_ns > OFTEN_NS

    cdef int urge(self, object transport, bytes data) except -1:
        """Write now, with what waits for this one."""
        cdef bytes first = self.waiting.pop(transport, None) if self.waiting else None
        transport.write(data if first is None else first + data)
        return 0

    cdef int empty(self) except -1:
        """Write now. To be called before a transport is closed that shall write what it was given first."""
        cdef dict waiting = self.waiting
        if waiting:
            self.waiting = {}
            for transport, data in waiting.items():
                if not transport.is_closing():
                    transport.write(data)
        return 0

    def flush(self):
        """The loop's callback: all of it, or one piece, and the rest after what has come meanwhile is read."""
        if len(self.waiting) <= 1 or self.requests is None or not self.requests.is_seldom():
            self.empty()
            return
        self.loop.call_soon(self.flush)     # before anything can go wrong: what waits has a flush to come
        transport = next(iter(self.waiting))
        data = self.waiting.pop(transport)
        if not transport.is_closing():
            transport.write(data)
