"""Integers as they are written."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef enum:
    MOST_DIGITS = 20            # of 64 bits


cdef inline char *digits_before(char *end, uint64_t number, int least) noexcept nogil:
    """Its decimal digits, at least so many, so that they end at ``end``: where they begin."""
    while number or least > 0:
        end -= 1
        end[0] = <char>(48 + number % 10)
        number //= 10
        least -= 1
    return end


cdef inline char *put_digits(char *out, uint64_t number) noexcept nogil:
    """Its decimal digits, at ``out``: where they end."""
    cdef char digits[MOST_DIGITS]
    cdef char *end = digits + MOST_DIGITS
    cdef char *begin = digits_before(end, number, 1)
    memcpy(out, begin, end - begin)
    return out + (end - begin)
