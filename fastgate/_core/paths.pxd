from fastgate._core.walk cimport Table

cdef class Paths:
    cdef Table table
    cdef list _texts
    cdef list _children
    cdef int _node(self, tuple path) except -1
    cdef int _child(self, int parent, str name) except -1
