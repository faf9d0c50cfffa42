from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastgate._core.paths cimport Paths
from fastgate._core.walk cimport MAX_RULES, Hit

cdef enum:
    MAX_ACTIONS = 32

cdef struct Buffer:
    uint8_t *data
    Py_ssize_t size
    Py_ssize_t room

cdef class EventTable:
    cdef Paths paths
    cdef int size                       # rules of the dialect; two more follow where something is stripped
    cdef bint strips
    cdef unsigned char actions[MAX_RULES]

cdef class EventScanner:
    cdef readonly int64_t events, output_bytes, reported, malformed
    cdef readonly uint64_t opened, closed
    cdef readonly bint done, failed, overflow, due
    cdef EventTable table
    cdef int64_t _due_bytes, _due_tokens
    cdef bint _whole, _strip, _line_start, _after_cr, _dropped, _skipping, _started, _no_memory
    cdef Buffer _pending                # the beginning of an event whose end has not come
    cdef Buffer _joined                 # data of an event with several data lines
    cdef Buffer _out                    # what feed gives out, where it is not a run of the chunk
    cdef const uint8_t *_run            # bytes of the chunk that are given out as they are
    cdef const uint8_t *_run_end
    cdef Hit _hits[MAX_RULES]
    cdef Buffer _captures[MAX_ACTIONS]

    cdef void _consume(self, const uint8_t *p, const uint8_t *end) noexcept nogil
    cdef void _end_event(self, const uint8_t *start, const uint8_t *end) noexcept nogil
    cdef void _keep_tail(self, const uint8_t *start, const uint8_t *end) noexcept nogil
    cdef void _process(self, const uint8_t *raw, Py_ssize_t size, bint in_chunk) noexcept nogil
    cdef const uint8_t *_data_of(self, const uint8_t *raw, Py_ssize_t size, Py_ssize_t *length) noexcept nogil
    cdef void _apply(self, const uint8_t *text) noexcept nogil
    cdef void _look(self) noexcept nogil
    cdef bint _strips_event(self) noexcept nogil
    cdef void _give_stripped(
        self, const uint8_t *raw, Py_ssize_t size, const uint8_t *text, Py_ssize_t length, bint in_chunk
    ) noexcept nogil
    cdef void _give_rebuilt(
        self, const uint8_t *raw, Py_ssize_t size, Py_ssize_t a, Py_ssize_t b, Py_ssize_t length
    ) noexcept nogil
    cdef void _give(self, const uint8_t *p, Py_ssize_t size, bint in_chunk) noexcept nogil
    cdef void _put(self, Buffer *buffer, const uint8_t *p, Py_ssize_t size) noexcept nogil
    cdef bytes _taken(self, bytes chunk)
