"""Usage in disjoint buckets, and the compiled price table."""

from libc.stdint cimport int32_t, int64_t, uint32_t


cdef enum:                  # in place of a tier
    EVERY_TIER = -1
    UNASKED = -2            # those that a provider may choose by itself
    EVERY_GEO = -1          # in place of a geography


cdef struct Span:
    uint32_t first
    uint32_t count


cdef struct Model:
    Span tiers[8]           # rows by served tier; in each, the first active row is the one in force


cdef struct Row:
    int64_t valid_from      # unix nanoseconds, inclusive
    int64_t valid_until     # exclusive
    int32_t day_from        # UTC second of the day, inclusive; -1: all day
    int32_t day_until       # exclusive; a window may pass midnight
    Span bands              # ascending; the first one starts at -1
    int64_t geo_permille


cdef struct Band:
    int64_t above           # in force when the prompt total is greater than this
    int64_t price[16]       # femto-USD per unit; -1: the model is not billed by it
    int64_t text_input      # the dearest bucket that a token of the prompt can be in, text only
    int64_t text_output
    int64_t any_input       # the same with audio and images
    int64_t any_output


cdef struct Most:           # upper bounds of what a request is billed for
    int64_t inputs          # tokens
    int64_t outputs
    int64_t searches
    int64_t audio_us
    int64_t characters


cdef class Usage:
    cdef int64_t n[16]
    cdef public int tier, geo
    cdef public bint estimated
    cpdef int64_t prompt_total(self)


cdef class PriceTable:
    cdef const Model *models
    cdef const Row *rows
    cdef const Band *bands
    cdef readonly int count
    cdef object owner       # keeps the memory alive

    cdef int64_t cost_nano(self, int model, Usage usage, int64_t at_ns) except -1
    cdef int64_t bound_nano(self, int model, Most most, int64_t at_ns, int tier, int geo, bint media) except -1
    cpdef object cost(self, int model, Usage usage, int64_t at_ns)
    cpdef object charge(self, int model, Usage usage, int64_t at_ns, int geo)
    cpdef object bound(
        self, int model, int64_t input_tokens, int64_t output_tokens, int64_t at_ns,
        int tier=*, int geo=*, int64_t searches=*, bint media=*, int64_t audio_us=*, int64_t characters=*,
    )
    cpdef list lines(self, int model, Usage usage, int64_t at_ns)
    cpdef bint has_tier(self, int model, int tier, int64_t at_ns) except -1
