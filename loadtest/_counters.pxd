"""Counters of times, as HDR histograms have them: each power of two in as many steps, so that three digits are exact."""

from libc.stdint cimport int64_t

cdef extern from *:
    int __builtin_clzll(unsigned long long) nogil

cdef enum:
    SUB = 1024                      # half of the steps that a power of two is divided into
    COUNTERS = 28 * SUB             # up to 137 s


cdef inline Py_ssize_t bucket(int64_t ns) noexcept nogil:
    """Which counter of a histogram a time belongs to."""
    cdef int shift
    if ns < 2 * SUB:
        return max(ns, 0)
    shift = 53 - __builtin_clzll(ns)
    return min(shift * SUB + (ns >> shift), COUNTERS - 1)
