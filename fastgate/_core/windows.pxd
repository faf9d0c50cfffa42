from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t

from fastgate._core.layout cimport WINDOWS

cdef enum:
    SECOND_NS = 1_000_000_000
    EPOCH = 1_577_836_800       # Unix seconds of 2020-01-01: windows are numbered by the seconds from then to their ends

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
    int64_t begin_ns
    int64_t end_ns              # the next one's begin


cdef class Period:
    cdef readonly int kind
    cdef readonly int every
    cdef readonly object calendar
    cdef Window latest          # of the calendar

    cdef int find(self, int64_t anchor_ns, int64_t now_ns, Window *found) except -1


cdef inline uint32_t number_of(int64_t end_ns) noexcept nogil:
    """The number of the window that ends then: a later one has a higher one."""
    cdef int64_t second = end_ns / SECOND_NS - EPOCH
    return <uint32_t>(1 if second < 1 else WINDOWS if second > WINDOWS else second)


cdef inline uint32_t tick_of(int64_t now_ns) noexcept nogil:
    """The present second as windows are numbered: what ends behind it lasts."""
    return number_of(now_ns) if now_ns / SECOND_NS > EPOCH else 0


cdef inline uint64_t present(uint64_t have, uint32_t number, uint32_t tick) noexcept nogil:
    """The window that counts in a cell: the one that it has while that lasts, however time is cut by now; else ``number``."""
    return have if have > tick else number


cdef inline int64_t end_of(uint64_t have, uint32_t number, int64_t end_ns) noexcept nogil:
    """When the present window ends, given that of ``number`` ends at ``end_ns``."""
    if have == number:
        return end_ns
    return INT64_MAX if have >= WINDOWS else (<int64_t>have + EPOCH) * SECOND_NS
