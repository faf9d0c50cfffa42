from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from fastgate._core.layout cimport (
    CELL, CELLS_PER_CHUNK, CHUNK, CHUNKS_AT, COUNTS_AT, OWNER_COUNTS, OWNERS_AT, RECORD, RECORDS_PER_CHUNK, Cell, Header, Record, Slot,
)


cdef class Arena:
    cdef readonly str path
    cdef char *base
    cdef Header *header
    cdef int fd

    cdef uint64_t *directory(self) noexcept nogil
    cdef int64_t _allocate_cell(self) except -1
    cdef int64_t _make_cell(self, bytes text, uint16_t kind, bint *made) except -1
    cdef uint64_t _next_cell(self, uint64_t number, const char *prefix, size_t length, uint16_t kind) noexcept nogil
    cdef int64_t append_chunk(self, int kind, int slot) except -1 nogil
    cdef int64_t find_cell(self, const unsigned char *id, size_t length, uint64_t hash, uint32_t *head) noexcept nogil


cdef inline Slot *slot_at(Arena arena, uint32_t slot) noexcept nogil:
    return <Slot *>(arena.base + OWNERS_AT + slot * sizeof(Slot))


cdef inline uint64_t *counts_at(Arena arena, uint32_t slot) noexcept nogil:
    return <uint64_t *>(arena.base + COUNTS_AT) + slot * OWNER_COUNTS


cdef inline Cell *cell_at(Arena arena, uint32_t cell) noexcept nogil:
    cdef uint64_t chunk = cell // CELLS_PER_CHUNK
    return <Cell *>(arena.base + CHUNKS_AT + chunk * CHUNK + <uint64_t>(cell % CELLS_PER_CHUNK) * CELL)


cdef inline Record *record_at(Arena arena, uint32_t record) noexcept nogil:
    cdef uint64_t chunk = record // RECORDS_PER_CHUNK
    return <Record *>(arena.base + CHUNKS_AT + chunk * CHUNK + <uint64_t>(record % RECORDS_PER_CHUNK) * RECORD)
