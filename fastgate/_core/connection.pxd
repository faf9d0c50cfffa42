"""One connection to an upstream: bytes to answers, one exchange at a time."""

from libc.stdint cimport int64_t

from fastgate._core.exchange cimport Exchange
from fastgate._core.outbox cimport Outbox

cdef class Keeper:
    """Who owns connections."""
    cdef str address                        # for messages
    cdef Py_ssize_t max_head_bytes
    cdef Outbox outbox
    cdef int released(self, Connection connection, Exchange exchange, bint reusable) except -1
    cdef int lost(self, Connection connection, Exchange exchange, object reason) except -1

cdef enum Stage:
    HEAD
    BODY
    ENDED

cdef class Connection:
    cdef Keeper keeper
    cdef object transport, parser, feed
    cdef Exchange exchange                  # None while idle
    cdef int64_t uses, idle_since_ns
    cdef Stage stage
    cdef int status
    cdef list headers
    cdef Py_ssize_t head_bytes              # of the head being read
    cdef Py_ssize_t fruitless               # bytes since the last that were head or body of the answer
    cdef bint interim, framed, persistent, dirty
    cdef str fault

    cdef int start(self, Exchange exchange) except -1
    cdef bint usable(self)
    cdef int reset(self) except -1
    cdef int renew_parser(self) except -1
    cdef int refuse(self, str reason) except -1
    cdef int conclude(self) except -1
