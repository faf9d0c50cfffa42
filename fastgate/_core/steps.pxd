from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastgate._core.arena cimport Arena
from fastgate._core.layout cimport OWNER_SHIFT, SEQUENCES, WINDOW_SHIFT, Cell, Record, fg_word
from fastgate._core.owner cimport Owner

cdef void put_progress(Owner owner, Record *record, int state, int step, uint64_t sequence) noexcept nogil
cdef void turn_side(Owner owner, Record *record) noexcept nogil
cdef void free_record(Record *record) noexcept nogil
cdef void help_owner(Owner owner, uint64_t tag) noexcept nogil
cdef bint close_window(Owner owner, Cell *cell, fg_word seen) noexcept nogil
cdef fg_word *word_of(Cell *cell, uint32_t window) noexcept nogil
cdef void settle_steps(Owner owner, Record *record, int first) noexcept nogil
cdef void void_steps(Owner owner, Record *record, int last) noexcept nogil
cdef void shrink_steps(Owner owner, Record *record, int last) noexcept nogil
cdef bint was_applied(Arena arena, Record *record) noexcept nogil


cdef inline int state_of(uint64_t progress) noexcept nogil:
    return progress & 0xF


cdef inline int step_of(uint64_t progress) noexcept nogil:
    return (progress >> 4) & 0xFF


cdef inline uint32_t owner_of(uint64_t progress) noexcept nogil:
    return (progress >> 12) & 0x3FF


cdef inline uint64_t sequence_of(uint64_t progress) noexcept nogil:
    return (progress >> 22) & SEQUENCES


cdef inline int side_of(uint64_t progress) noexcept nogil:
    return (progress >> 46) & 1


cdef inline uint32_t generation_of(uint64_t progress) noexcept nogil:
    """How often the record was freed, in so many bits as there are."""
    return progress >> 47


cdef inline int64_t *held_of(Record *record) noexcept nogil:
    """What is held, by unit."""
    return record.amounts[side_of(record.progress)]


cdef inline int64_t *grown_of(Record *record) noexcept nogil:
    """What would be held, by unit, when a growth has ended."""
    return record.amounts[1 - side_of(record.progress)]


cdef inline uint64_t make_tag(uint64_t window, uint64_t owner, uint64_t sequence) noexcept nogil:
    return window << WINDOW_SHIFT | owner << OWNER_SHIFT | sequence


cdef inline uint64_t window_of(fg_word word) noexcept nogil:
    return word.tag >> WINDOW_SHIFT
