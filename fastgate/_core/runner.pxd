"""Coroutines that run in the callbacks which they wait for."""

from fastgate._core.outbox cimport Outbox

cdef class Runner:
    cdef readonly object loop
    cdef Outbox requests, answers           # to upstreams, to clients
    cdef readonly Run running               # the one whose step this is, None between steps
    cdef object pause(self)

cdef class Run:
    cdef Runner runner
    cdef object coroutine                   # None when it has ended
    cdef object awaited                     # a Pause, or a future
    cdef bint due, cancelled                # its next step is on the loop's list; and begins with CancelledError

    cdef int go_on(self) except -1
    cdef int defer(self) except -1
    cdef int interrupt(self) except -1
    cdef int step(self) except -1
    cdef bint advance(self) except -1
    cdef int wait(self) except -1
    cdef int end(self, object fault) except -1
    cdef int ended(self) except -1

cdef class Pause:
    cdef Run run
    cdef bint over
    cdef object error

cdef int resume(object waiter) except -1
