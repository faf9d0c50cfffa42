"""One request to an upstream and its answer, as the caller sees it."""

from libc.stdint cimport int64_t

from fastgate._core.runner cimport Runner

cdef enum Phase:
    WAITING     # for a connection
    ASKED       # the request is written, no byte of an answer yet
    ANSWERING
    OVER        # whole, failed or aborted

cdef class Exchange:
    # what the caller reads
    cdef readonly int status
    cdef readonly list headers
    cdef readonly bint sent, answered, complete
    cdef readonly int64_t received                              # bytes of the body
    cdef readonly int64_t started_ns, sent_ns, answered_ns, ended_ns    # time.monotonic_ns()

    # what the pool and the connection keep here
    cdef Phase phase
    cdef bytes head, request_body           # kept until the first byte of the answer, for the one retry
    cdef bint bodiless                      # asked with HEAD
    cdef object dial                        # the task that makes our connection
    cdef int64_t mark_ns                    # last progress
    cdef int64_t connect_by_ns, total_by_ns
    cdef Py_ssize_t unwritten               # bytes of the request in the transport's buffer, when last looked at

    # the body between the connection and the caller
    cdef Runner runner
    cdef object transport, waiter, sink, error
    cdef bytes piece                        # the first unread piece as it came,
    cdef bytearray rest                     # or, from the second on, all of them
    cdef Py_ssize_t buffered, limit
    cdef int64_t announced                  # content-length, or UNKNOWN, ABSENT
    cdef bint head_arrived, held, stopped, delivering

    cdef int begin(self, object transport) except -1
    cdef int touch(self) except -1
    cdef int head_complete(self, int status, list headers) except -1
    cdef int add(self, bytes piece) except -1
    cdef int finish(self) except -1
    cdef int settle(self) except -1
    cdef int fail(self, object error) except -1
    cdef object failure(self, object kind, str message)

    cdef bytes gather(self)
    cdef bytes drain(self)
    cdef bytes take(self)
    cdef int deliver(self) except -1
    cdef bint exceeds(self, Py_ssize_t limit)
    cdef bint satisfied(self)
    cdef int regulate(self) except -1
    cdef object wait(self, Py_ssize_t limit)
    cdef int wake(self, object error) except -1
