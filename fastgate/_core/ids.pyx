"""Ids of requests."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef extern from "endian.h":
    uint64_t htobe64(uint64_t number) nogil


cdef class RequestIds:
    """``RequestIds(start)``: 16 bytes each, that no other request has: the time, so that ids sort by it, and a count.

    ``start``: from which it counts; a random one, as other workers count, too.
    """

    cdef uint64_t number
    cdef readonly uint64_t made             # so many, so far

    def __cinit__(self, uint64_t start):
        self.number = start

    cpdef bytes next(self, uint64_t now_ns):
        """Of a request that came at ``now_ns``, in Unix nanoseconds."""
        cdef bytes id = PyBytes_FromStringAndSize(NULL, 16)
        cdef uint64_t words[2]
        self.made += 1
        self.number += 1
        words[0], words[1] = htobe64(now_ns), htobe64(self.number)
        memcpy(PyBytes_AS_STRING(id), words, 16)
        return id
