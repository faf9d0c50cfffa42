"""Which questions are being asked of providers, for all workers of a host to see: whoever asks the same can wait.

One word in the slab's file for each of so many places; a question has one place, and whoever finds it free takes it, until a
moment that it has to put off again and again. So a worker that is killed leaves nothing behind that anyone waits for in vain. Two
questions of one place know nothing of each other: the second is asked as if nobody could wait for it. A word says too little of
its question to tell it from all others; what that costs is a wait for the wrong answer, which is then not found.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastgate._core.slab cimport Slab
from fastgate._core.slab_layout cimport FLIGHTS, fg_cas, fg_load


cdef inline bint over(uint64_t word, int64_t now_ms) noexcept nogil:
    """Moments are the low 32 bits of milliseconds; nobody looks at one that is three weeks away."""
    return word == 0 or <int32_t>(<uint32_t>word - <uint32_t>now_ms) <= 0


cdef class Flights:
    """``Flights(slab)``: those in its file. ``key``: of a question, as :meth:`Slab.hash128` has it.

    Moments are milliseconds of the clock that never jumps (``CLOCK_MONOTONIC``), which all processes of a host share.
    """

    def __cinit__(self, Slab slab not None):
        self.slab = slab

    cdef uint64_t *place(self, bytes key, uint64_t *tag) except NULL:
        cdef uint64_t low, high
        if PyBytes_GET_SIZE(key) != 16:
            raise ValueError(f"a key has 16 bytes, not {PyBytes_GET_SIZE(key)}")
        memcpy(&low, PyBytes_AS_STRING(key), 8)
        memcpy(&high, PyBytes_AS_STRING(key) + 8, 8)
        tag[0] = high >> 32 | 1
        return self.slab.place.flights + (low & (FLIGHTS - 1))

    def claim(self, bytes key not None, int64_t now_ms, int64_t until_ms) -> bool:
        """Whether the caller is to ask it: nobody does, as far as can be seen. It is known as asked until then."""
        cdef uint64_t tag, word
        cdef uint64_t *place = self.place(key, &tag)
        while True:
            word = fg_load(place)
            if not over(word, now_ms):
                return word >> 32 != tag
            if fg_cas(place, word, tag << 32 | <uint32_t>until_ms):
                return True

    def extend(self, bytes key not None, int64_t until_ms) -> None:
        """It is still being asked, by the caller."""
        cdef uint64_t tag
        cdef uint64_t *place = self.place(key, &tag)
        cdef uint64_t word = fg_load(place)
        if word >> 32 == tag:
            fg_cas(place, word, tag << 32 | <uint32_t>until_ms)

    def release(self, bytes key not None) -> None:
        """It is no longer asked, by the caller."""
        cdef uint64_t tag
        cdef uint64_t *place = self.place(key, &tag)
        cdef uint64_t word = fg_load(place)
        if word >> 32 == tag:
            fg_cas(place, word, 0)

    def is_asked(self, bytes key not None, int64_t now_ms) -> bool:
        """Whether somebody asks it."""
        cdef uint64_t tag
        cdef uint64_t *place = self.place(key, &tag)
        cdef uint64_t word = fg_load(place)
        return word >> 32 == tag and not over(word, now_ms)
