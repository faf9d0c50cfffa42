from libc.stdint cimport uint32_t

from fastgate._core.journal cimport Event, Journal
from fastgate._core.layout cimport Record
from fastgate._core.owner cimport Owner

cdef Event *stage_event(Journal journal, Record *record) noexcept
cdef void owe(Owner owner, uint32_t number) noexcept
cdef bint pay_record(Journal journal, Record *record) noexcept
cdef void take_over(Owner owner, Record *total) noexcept nogil
