"""A file, read where it lies."""

cdef class Mapping:
    cdef void *start
    cdef readonly Py_ssize_t size
