from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastgate._core.layout cimport MAX_EVENT

cdef enum:
    EVENT_VERSION = 1
    STRINGS = 15
    TOKENS = 16
    SETTLEMENT_COUNT = 4
    OUTCOME_COUNT = 7
    TIER_COUNT = 6
    CACHE_COUNT = 5
    MEANING_COUNT = 7

cdef enum Text:
    KEY = 0
    TEAM = 1
    CUSTOMER = 2
    PROVIDER = 3
    PROVIDER_KEY = 4
    MODEL = 5
    UPSTREAM_MODEL = 6
    ROUTE = 7
    DIALECT = 8
    ENVIRONMENT = 9
    USER = 10
    SESSION = 11
    OPERATION = 12
    TAGS = 13
    ERROR = 14

cdef struct Event:
    uint32_t size               # of all, a multiple of 8
    uint16_t version
    uint16_t strings
    uint64_t sequence           # from 1 within its segment
    uint8_t request_id[16]
    int64_t started_us          # Unix
    int64_t duration_us
    int64_t upstream_us
    int64_t ttft_us
    int64_t overhead_us
    int64_t cost_nano
    int64_t hold_nano
    int64_t overrun_nano
    int64_t tokens[TOKENS]      # by bucket
    uint16_t status
    uint8_t attempts
    uint8_t stream
    uint8_t settlement
    uint8_t outcome
    uint8_t tier
    uint8_t geo
    uint16_t lengths[STRINGS]   # of the strings, which follow one after the other
    uint8_t cache               # zeros from here on in older events; any further field takes another version
    uint8_t meaning             # what the semantic cache decided
    int64_t saved_nano          # what a hit would have cost

cdef struct SegmentHeader:
    uint64_t magic
    uint32_t version
    uint32_t slot
    uint64_t serial
    uint64_t size
    uint64_t committed          # offset behind the last whole event
    uint64_t sealed             # nothing will be appended any more


cdef class Draft:
    cdef uint8_t raw[MAX_EVENT]
    cdef uint32_t length        # header and strings, not padded

    cdef Event *event(self) noexcept nogil


cdef class Segment:
    cdef readonly str path
    cdef char *base
    cdef uint64_t size
    cdef bint whole             # the file is as long as its head says

    cdef SegmentHeader *head(self) noexcept nogil


cdef class Journal:
    cdef readonly str folder
    cdef readonly uint32_t slot
    cdef readonly uint64_t serial
    cdef readonly uint64_t sequence
    cdef uint64_t segment_bytes
    cdef Segment current
    cdef Segment spare
    cdef object coming          # future of the path of the segment that is being allocated; None: none is
    cdef bint full              # the last try to allocate a segment failed

    cdef bint _resume(self, list paths) except -1
    cdef _allocate(self)
    cdef _take(self)
    cdef Event *reserve(self, uint32_t length) except NULL
    cdef void commit(self, Event *event) noexcept nogil


cdef uint32_t append_text(Event *event, uint32_t length, int which, const char *text, size_t size) noexcept nogil
cdef bint has_names(Event *event) noexcept nogil
cdef bint is_event(Event *event, uint64_t room) noexcept nogil
