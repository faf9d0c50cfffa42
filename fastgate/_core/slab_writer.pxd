from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastgate._core.slab_layout cimport Entry, Place

cdef struct Content:            # of an entry, in the order in which it lies there
    const uint8_t *fingerprint
    const uint8_t *usage
    const uint8_t *about
    const uint8_t *answer

cdef bint store(Place *place, Entry *head, const Content *content) noexcept nogil
cdef bint is_owned(const Place *place, uint64_t number) noexcept nogil
cdef uint64_t withdraw(Place *place, uint64_t low, uint64_t high, const uint8_t *fingerprint, size_t size) noexcept nogil
