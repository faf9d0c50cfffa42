"""One connection of a client: bytes to requests, and answers to bytes."""

from libc.stdint cimport int64_t

from fastgate._core.headers cimport Headers
from fastgate._core.outbox cimport Outbox
from fastgate._core.request cimport Line, Request
from fastgate._core.runner cimport Run, Runner

cdef class Host:
    """Whose clients they are."""
    cdef object loop, application
    cdef Runner runner
    cdef Outbox outbox
    cdef set clients
    cdef int64_t head_ns, idle_ns           # how long a request's head may take, and how long none need come
    cdef bint leaving                       # no connection outlives the answer that is on its way on it
    cdef int came(self, Client client) except -1
    cdef int left(self, Client client) except -1
    cdef object hand_over(self, Client client, bytes data)

cdef class Service(Run):
    cdef Request request

cdef class Client(Line):
    cdef Host host
    cdef object transport, parser, feed, waiting
    cdef str address
    cdef Request serving, arriving          # the one that is being served; the one whose body is not whole
    cdef bytes url, opening
    cdef Headers headers                    # of the request that is arriving
    cdef Py_ssize_t fruitless               # bytes since the last that completed a head or were of a body
    cdef Py_ssize_t untaken                 # bytes that waited for the client at the last look, while it is choked
    cdef int64_t since_ns                   # of the last change between idle, asking, served, closing
    cdef bint known                         # it begins with HTTP/1
    cdef bint stopped                       # nothing is read
    cdef bint deaf                          # nothing that comes is a request any more
    cdef bint closing                       # it only remains to be seen that the client closes, too
    cdef bint choked                        # the client does not take what it is sent
    cdef int fault                          # the status for what breaks a rule of ours; 0: nothing does

    cdef bint begin(self, bytes data) except -1
    cdef int take(self, bytes data) except -1
    cdef int parse(self, object data) except -1
    cdef int read_on(self, Request request) except -1
    cdef int refuse(self, int status) except -1
    cdef int serve_next(self) except -1
    cdef int close(self) except -1
    cdef int dismiss(self) except -1
    cdef int announce(self) except -1
    cdef bint part(self, int64_t now, int64_t idle_ns, int64_t first_ns) except -1
    cdef int inspect(self, int64_t now) except -1
