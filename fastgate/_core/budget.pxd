from libc.stdint cimport int64_t, uint32_t

from fastgate._core.journal cimport Draft, Event, Journal
from fastgate._core.layout cimport Record
from fastgate._core.levels cimport Levels
from fastgate._core.owner cimport Owner
from fastgate._core.price cimport Usage


cdef class Hold:
    cdef Owner owner
    cdef Journal journal
    cdef Levels levels
    cdef uint32_t number
    cdef bint open

    cdef Record *record(self) noexcept nogil
    cdef void _write_event(self, Usage usage, int settlement, int outcome, int status, int64_t duration_us,
                           int64_t upstream_us, int64_t ttft_us, int64_t overhead_us, bytes error)
    cdef void _finish(self, int64_t actual)
    cdef void _book(self, Event *place)
    cdef void _void(self)


cdef void count_actuals(Record *record, int64_t actual) noexcept nogil
