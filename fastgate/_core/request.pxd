"""One request of a client over HTTP/1.1, and the answer to it, as the application sees them."""

from fastgate._core.headers cimport Headers
from fastgate._core.runner cimport Runner

cdef class Request

cdef class Line:
    """A client's connection, as its requests need it."""
    cdef int send(self, bytes data) except -1
    cdef int urge(self, bytes data) except -1
    cdef int regulate(self) except -1
    cdef int answered(self, Request request) except -1

cdef class Request:
    # what is asked
    cdef readonly str method, path, query_string, http_version, client
    cdef readonly Headers headers

    # the connection, None when it is gone
    cdef Line line
    cdef bint persistent                    # another request may follow on it

    # the body between the connection and the application
    cdef Runner runner
    cdef object waiter, departure
    cdef bytes piece                        # the first piece as it came,
    cdef bytearray rest                     # or, from the second on, all of them
    cdef Py_ssize_t buffered
    cdef bint complete, broken, wanted, expects

    # the answer
    cdef bint begun, over, chunked
    cdef Py_ssize_t left                    # bytes that were announced and have not come yet; -1: nobody said

    cdef int add(self, bytes piece) except -1
    cdef int finish(self) except -1
    cdef int end(self) except -1
    cdef int leave(self) except -1
    cdef bint full(self)
    cdef object wait(self)
    cdef int wake(self) except -1
    cdef bytes drain(self)
    cdef int put(self, bytes data) except -1
    cdef bytes compose(self, int status, object headers, Py_ssize_t length, bytes body)
    cdef char *frame(self, char *out, int status, Py_ssize_t length, bint chunked, bint persistent) except NULL
    cdef int complete_answer(self) except -1
    cdef int conclude(self) except -1

cdef class Answer:
    cdef Request request
    cdef bint awaited                       # nothing of its body has been given yet
