from libc.stdint cimport int64_t, uint32_t

from fastgate._core.arena cimport Arena
from fastgate._core.journal cimport Draft, Event, Journal
from fastgate._core.layout cimport MAX_LEVELS, Record
from fastgate._core.owner cimport Owner
from fastgate._core.price cimport Usage


cdef class Levels:
    cdef readonly Arena arena
    cdef int count
    cdef uint32_t cells[MAX_LEVELS]
    cdef int64_t limits[MAX_LEVELS]
    cdef int kinds[MAX_LEVELS]
    cdef int every[MAX_LEVELS]
    cdef int64_t anchors[MAX_LEVELS]    # the window last seen: what it was counted from, its number, where it begins and ends
    cdef uint32_t numbers[MAX_LEVELS]
    cdef int64_t begins[MAX_LEVELS]
    cdef int64_t ends[MAX_LEVELS]


cdef class Hold:
    cdef Owner owner
    cdef Journal journal
    cdef uint32_t number
    cdef bint open

    cdef Record *record(self) noexcept nogil
    cdef void _write_event(self, Usage usage, int settlement, int outcome, int status, int64_t duration_us,
                           int64_t upstream_us, int64_t ttft_us, int64_t overhead_us, bytes error)
    cdef void _finish(self, int64_t actual)
    cdef void _book(self, Event *place)
    cdef void _void(self)


cdef Event *stage_event(Journal journal, Record *record, int64_t actual) noexcept
