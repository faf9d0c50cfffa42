"""An HTTP/1.1 server."""

from fastgate._core.client cimport Host

cdef class Server(Host):
    cdef object relay, timer, emptied
    cdef list listeners
    cdef Py_ssize_t most
