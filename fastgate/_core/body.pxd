from fastgate._core.paths cimport Paths
from fastgate._core.walk cimport MAX_RULES, Hit

cdef class Fields:
    cdef Paths paths
    cdef readonly tuple names
    cdef int size

cdef class Scan:
    cdef readonly bytes data
    cdef readonly Fields fields
    cdef readonly long long string_bytes
    cdef Hit hits[MAX_RULES]
    cdef Hit *_hit(self, int field) except NULL
