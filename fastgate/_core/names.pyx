"""Member names of JSON objects: unescaping, and a set that tells when one comes twice.

Names are compared after unescaping, so ``"mod\\u0065l"`` equals ``"model"``. The hash is seeded per process, so that a
client cannot choose names that collide.
"""

import os

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memset

cdef extern from "bytescan.h":
    uint64_t fg_hash(uint64_t seed, const uint8_t *p, size_t size) noexcept nogil

cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little")


cdef inline int _digit(uint8_t c) noexcept nogil:
    if c <= 57:
        return c - 48
    return (c | 32) - 87


cdef inline unsigned int _hex4(const uint8_t *p) noexcept nogil:
    return (_digit(p[0]) << 12) | (_digit(p[1]) << 8) | (_digit(p[2]) << 4) | _digit(p[3])


cdef inline uint8_t _short_escape(uint8_t c) noexcept nogil:
    if c == c'n':
        return 10
    if c == c't':
        return 9
    if c == c'r':
        return 13
    if c == c'b':
        return 8
    if c == c'f':
        return 12
    return c


cdef inline uint8_t *_put(uint8_t *out, unsigned int code) noexcept nogil:
    """Writes one code point as UTF-8."""
    if code < 0x80:
        out[0] = <uint8_t>code
        return out + 1
    if code < 0x800:
        out[0] = <uint8_t>(0xC0 | (code >> 6))
        out[1] = <uint8_t>(0x80 | (code & 63))
        return out + 2
    if code < 0x10000:
        out[0] = <uint8_t>(0xE0 | (code >> 12))
        out[1] = <uint8_t>(0x80 | ((code >> 6) & 63))
        out[2] = <uint8_t>(0x80 | (code & 63))
        return out + 3
    out[0] = <uint8_t>(0xF0 | (code >> 18))
    out[1] = <uint8_t>(0x80 | ((code >> 12) & 63))
    out[2] = <uint8_t>(0x80 | ((code >> 6) & 63))
    out[3] = <uint8_t>(0x80 | (code & 63))
    return out + 4


cdef Py_ssize_t unescape(const uint8_t *text, Py_ssize_t size, uint8_t *out) noexcept nogil:
    """The UTF-8 of a string that was already found valid. Returns its length, or -1 for half a surrogate pair.

    ``out`` needs room for ``size`` bytes: unescaping never lengthens.
    """
    cdef const uint8_t *p = text
    cdef const uint8_t *end = text + size
    cdef uint8_t *into = out
    cdef unsigned int code, low
    while p < end:
        if p[0] != c'\\':
            into[0] = p[0]
            into += 1
            p += 1
            continue
        if p[1] != c'u':
            into[0] = _short_escape(p[1])
            into += 1
            p += 2
            continue
        code = _hex4(p + 2)
        p += 6
        if 0xD800 <= code < 0xE000:
            if code >= 0xDC00 or end - p < 6 or p[0] != c'\\' or p[1] != c'u':
                return -1
            low = _hex4(p + 2)
            if low < 0xDC00 or low >= 0xE000:
                return -1
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            p += 6
        into = _put(into, code)
    return into - out


cdef void names_begin(NameSet *names) noexcept nogil:
    """Makes an empty set of uninitialised memory."""
    names.slots = names.small
    names.mask = SMALL_SLOTS - 1
    names.used = 0
    memset(names.small, 0, sizeof(names.small))


cdef void names_end(NameSet *names) noexcept nogil:
    """Gives back what the set allocated."""
    if names.slots != names.small:
        free(names.slots)
        names.slots = names.small


cdef bint _same(const Name *a, const Name *b) noexcept nogil:
    """Whether two names with equal hashes are the same text; ``False`` also where memory for that is lacking."""
    cdef uint8_t *left
    cdef Py_ssize_t length, other
    cdef bint same = False
    if a.owner != b.owner:
        return False
    if not a.escaped and not b.escaped:
        return a.size == b.size and memcmp(a.text, b.text, a.size) == 0
    left = <uint8_t *>malloc(a.size + b.size + 1)
    if left != NULL:
        length = unescape(a.text, a.size, left)
        other = unescape(b.text, b.size, left + a.size)
        same = length == other and memcmp(left, left + a.size, length) == 0
        free(left)
    return same


cdef bint _grow(NameSet *names) noexcept nogil:
    cdef Py_ssize_t mask = names.mask * 2 + 1
    cdef Py_ssize_t at, i
    cdef Name *slots = <Name *>calloc(mask + 1, sizeof(Name))
    if slots == NULL:
        return False
    for i in range(names.mask + 1):
        if names.slots[i].hash != 0:
            at = <Py_ssize_t>(names.slots[i].hash & <uint64_t>mask)
            while slots[at].hash != 0:
                at = (at + 1) & mask
            slots[at] = names.slots[i]
    names_end(names)
    names.slots = slots
    names.mask = mask
    return True


cdef uint64_t _hash(const Name *name, int *outcome) noexcept nogil:
    cdef uint8_t buffer[256]
    cdef uint8_t *plain = buffer
    cdef Py_ssize_t length
    cdef uint64_t hash
    cdef uint64_t seed = SEED ^ (<uint64_t>name.owner * 0x9E3779B97F4A7C15ULL)
    if not name.escaped:
        return fg_hash(seed, name.text, name.size)
    if name.size > <Py_ssize_t>sizeof(buffer):
        plain = <uint8_t *>malloc(name.size)
        if plain == NULL:
            outcome[0] = NAME_NO_MEMORY
            return 0
    length = unescape(name.text, name.size, plain)
    if length < 0:
        outcome[0] = NAME_UNPAIRED
        hash = 0
    else:
        hash = fg_hash(seed, plain, length)
    if plain != buffer:
        free(plain)
    return hash


cdef int names_add(NameSet *names, Py_ssize_t owner, const uint8_t *text, Py_ssize_t size, bint escaped) noexcept nogil:
    """Adds a member's name (as written, already found valid) of the object at ``owner``; returns an ``Added``."""
    cdef Name name
    cdef Py_ssize_t at
    cdef int outcome = NAME_NEW
    name.text = text
    name.size = size
    name.owner = owner
    name.escaped = escaped
    name.hash = _hash(&name, &outcome)
    if outcome != NAME_NEW:
        return outcome
    if names.used == MAX_NAMES:
        return NAME_TOO_MANY
    if names.used * 4 >= (names.mask + 1) * 3 and not _grow(names):
        return NAME_NO_MEMORY
    at = <Py_ssize_t>(name.hash & <uint64_t>names.mask)
    while names.slots[at].hash != 0:
        if names.slots[at].hash == name.hash and _same(&names.slots[at], &name):
            return NAME_TWICE
        at = (at + 1) & names.mask
    names.slots[at] = name
    names.used += 1
    return NAME_NEW
