"""What a request may cost before it is sent: for units that hold for it."""

from libc.stdint cimport int64_t

from fastgate._core.learned cimport OutputRate, TokenRate
from fastgate._core.price cimport PriceTable


cdef class Bound:
    cdef readonly int64_t input_tokens
    cdef readonly int64_t output_tokens
    cdef readonly object cap            # int or None


cdef class Terms:
    cdef readonly PriceTable prices
    cdef readonly int price             # index into the table; -1: none
    cdef readonly TokenRate rate
    cdef readonly OutputRate answers
    cdef readonly OutputRate thoughts
    cdef readonly bint capped
    cdef readonly bint strict
    cdef readonly bint instalments
    cdef readonly int geo
    cdef readonly int64_t default_cap
    cdef int64_t most                   # the model's own cap; -1: not known
    cdef int64_t window                 # its context window, likewise
    cdef readonly tuple cap_fields
    cdef readonly object reasons        # bool or None
    cdef readonly tuple attempts

    cdef Bound _bound(self, object request, int64_t size, bint free)
    cdef int64_t _input_tokens(self, object request, int64_t size) except? -1
    cdef int64_t _nano(self, Bound bound, int64_t output_tokens, object request, int tier, int64_t now_ns) except -1
    cdef object _reasoning(self, object request)
