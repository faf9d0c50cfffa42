from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastgate._core.slab_layout cimport Entry, Place


cdef class Hit:
    cdef readonly bytes answer
    cdef readonly bytes usage
    cdef readonly int kind
    cdef readonly int64_t created_ms
    cdef readonly int64_t expires_ms
    cdef bytes key
    cdef uint64_t sequence


cdef class Slab:
    cdef readonly str path
    cdef Place place
    cdef size_t size

    cdef Hit _hit(self, uint64_t word, bytes key, bytes fingerprint, int64_t now_ms)
    cdef const uint8_t *_entry_of(self, uint64_t word, Entry *head, uint64_t *generation)
