from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastgate._core.arena cimport Arena
from fastgate._core.layout cimport SEQUENCES, Slot


cdef class Owner:
    cdef readonly Arena arena
    cdef readonly uint32_t slot
    cdef Slot *me
    cdef uint64_t sequence
    cdef uint32_t *free         # numbers of records that are not in use
    cdef uint32_t free_count
    cdef uint32_t free_room
    cdef int lock_fd
    cdef list owed              # numbers of records that keep an event which the journal had no space for

    cdef bint _claim(self, uint32_t slot, int kind) except -1
    cdef int64_t take_record(self) except -1
    cdef void give_record(self, uint32_t record) noexcept nogil
    cdef uint32_t take_out(self) noexcept nogil
    cdef void put_back(self, uint32_t record) noexcept nogil


cdef inline uint64_t next_sequence(Owner owner) noexcept nogil:
    """A number for the next change of a word; kept in the slot, so that the next owner of the slot goes on from it."""
    owner.sequence += 1
    if owner.sequence & SEQUENCES == 0:  # 0 means "nobody" in a tag
        owner.sequence += 1
    owner.me.sequence = owner.sequence
    return owner.sequence & SEQUENCES
