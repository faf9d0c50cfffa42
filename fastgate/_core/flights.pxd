from libc.stdint cimport uint64_t

from fastgate._core.slab cimport Slab


cdef class Flights:
    cdef Slab slab

    cdef uint64_t *place(self, bytes key, uint64_t *tag) except NULL
