from libc.stdint cimport int64_t

cdef enum Window:
    LIFETIME = 0
    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    WEEK = 5
    MONTH = 6
    YEAR = 7

cdef int64_t window_index(int kind, int every, int64_t anchor_ns, int64_t now_ns) noexcept nogil
cdef int64_t window_start(int kind, int every, int64_t anchor_ns, int64_t index) noexcept nogil
