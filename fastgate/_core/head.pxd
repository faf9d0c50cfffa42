"""What stands in heads: names and targets of requests, lines of answers."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy

cdef extern from "Python.h":
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef class Kept:
    cdef list raw, made                     # both by place; None where it is free
    cdef int count
    cdef int forget(self) except -1
    cdef object find(self, bytes raw)
    cdef int keep(self, bytes raw, object made) except -1
    cdef Py_ssize_t place(self, bytes raw) noexcept

cdef str header_name(bytes raw)
cdef bytes lowered(bytes raw)
cdef bytes trimmed(bytes raw)
cdef str plain(bytes raw)
cdef str ascii(const char *text, Py_ssize_t size)
cdef str method_name(bytes raw)
cdef tuple target(bytes url)
cdef bytes status_line(int status)
cdef bytes date_line()
cdef Py_ssize_t line_size(str name, str value) except -1
cdef char *put_line(char *out, str name, str value) except NULL


cdef inline char *put(char *out, const char *data, Py_ssize_t size) noexcept nogil:
    """So many bytes, at ``out``: where they end."""
    memcpy(out, data, size)
    return out + size


cdef inline char *put_bytes(char *out, bytes data) noexcept:
    """All of them, likewise."""
    return put(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef inline bint same(str name, str other) except -1:
    """Whether they are one name; most differ in their length already."""
    return PyUnicode_GET_LENGTH(name) == PyUnicode_GET_LENGTH(other) and name == other
