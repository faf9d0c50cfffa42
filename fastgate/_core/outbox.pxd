"""What one pass of the loop has to write, written together."""

cdef class Outbox:
    cdef object loop
    cdef list waiting                       # pairs of transport and bytes

    cdef int put(self, object transport, bytes data) except -1
    cdef int empty(self) except -1
