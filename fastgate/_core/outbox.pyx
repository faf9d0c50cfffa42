"""What one pass of the loop has to write, written together.

A transport writes at once. Under load a pass serves many requests, some 30 µs after each other, and whoever waits at the other
end, if it is a process of this host, would be woken for each of them, only to sleep again: a fifth of a request's CPU.
"""


cdef class Outbox:
    """Of the connections of one server, or of one pool."""

    def __cinit__(self, object loop):
        self.loop = loop
        self.waiting = []

    cdef int put(self, object transport, bytes data) except -1:
        """Write when the pass has ended."""
        if not self.waiting:
            self.loop.call_soon(self.flush)
        self.waiting.append((transport, data))
        return 0

    cdef int empty(self) except -1:
        """Write now. To be called before a transport is closed that shall write what it was given first."""
        cdef list waiting = self.waiting
        if waiting:
            self.waiting = []
            for transport, data in waiting:
                if not transport.is_closing():
                    transport.write(data)
        return 0

    def flush(self):
        """The loop's callback."""
        self.empty()
