from libc.stdint cimport int64_t

cdef enum Kind:
    LIFETIME = 0
    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    WEEK = 5
    MONTH = 6
    YEAR = 7

cdef struct Window:
    int64_t number              # from 1
    int64_t begin_ns
    int64_t end_ns              # the next one's begin


cdef class Period:
    cdef readonly int kind
    cdef readonly int every
    cdef readonly object calendar
    cdef Window latest          # of the calendar

    cdef int find(self, int64_t anchor_ns, int64_t now_ns, Window *found) except -1
