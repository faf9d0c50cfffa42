"""An HTTP/1.1 server."""

from fastgate._core.client cimport Host

cdef class Server(Host):
    cdef object relay, listener, timer, emptied
    cdef Py_ssize_t most
