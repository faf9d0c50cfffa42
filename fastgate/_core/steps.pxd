from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastgate._core.arena cimport Arena
from fastgate._core.layout cimport Cell, Record
from fastgate._core.owner cimport Owner

cdef void put_progress(Owner owner, Record *record, int state, int step, uint64_t sequence) noexcept nogil
cdef void free_record(Record *record) noexcept nogil
cdef void help_owner(Owner owner, uint64_t tag) noexcept nogil
cdef void settle_steps(Owner owner, Record *record, int first) noexcept nogil
cdef void void_steps(Owner owner, Record *record, int last) noexcept nogil
cdef bint was_applied(Arena arena, Record *record) noexcept nogil


cdef inline int state_of(uint64_t progress) noexcept nogil:
    return progress & 0xF


cdef inline int step_of(uint64_t progress) noexcept nogil:
    return (progress >> 4) & 0xFF


cdef inline uint32_t owner_of(uint64_t progress) noexcept nogil:
    return (progress >> 12) & 0x3FF


cdef inline uint64_t sequence_of(uint64_t progress) noexcept nogil:
    return (progress >> 22) & 0x3FFFFFF


cdef inline uint64_t make_tag(uint64_t window, uint64_t owner, uint64_t sequence) noexcept nogil:
    return window << 36 | owner << 26 | sequence
