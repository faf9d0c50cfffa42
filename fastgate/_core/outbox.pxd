"""What one pass of the loop has to write, written together."""

from libc.stdint cimport int64_t

cdef class Outbox:
    cdef object loop
    cdef Outbox requests
    cdef dict waiting                       # transport -> bytes
    cdef int64_t put_ns                     # when it last had something to write
    cdef int64_t pause_ns                   # how long it had nothing, on average

    cdef int put(self, object transport, bytes data) except -1
    cdef bint is_seldom(self) noexcept
    cdef int urge(self, object transport, bytes data) except -1
    cdef int empty(self) except -1
