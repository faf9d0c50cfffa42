"""What the traffic teaches of a model: for units that go by it."""

from libc.stdint cimport int64_t, uint32_t

from fastgate._core.arena cimport Arena


cdef class TokenRate:
    cdef Arena arena
    cdef uint32_t cell

    cpdef void observe(self, int64_t tokens, int64_t size)
    cpdef int64_t bound(self, int64_t size)


cdef class OutputRate:
    cdef Arena arena
    cdef uint32_t cell

    cpdef void observe(self, int64_t tokens, int64_t size, int64_t reasoning)
    cpdef int64_t bound(self, int64_t size)
    cpdef int64_t reach(self, int64_t tokens)
