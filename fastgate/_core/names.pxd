from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    SMALL_SLOTS = 32
    MAX_NAMES = 10_000          # in all sets of one document: what a client can make the gateway hold

cdef struct Name:
    uint64_t hash               # 0: an empty slot
    const uint8_t *text         # as written, between the quotes
    Py_ssize_t size
    Py_ssize_t owner            # offset of the object that the member belongs to
    bint escaped

cdef struct NameSet:            # member names of several objects; nothing allocated up to SMALL_SLOTS * 3 / 4 names
    Name *slots
    Py_ssize_t mask
    Py_ssize_t used
    Name small[SMALL_SLOTS]

cdef enum Added:
    NAME_NEW = 0
    NAME_TWICE = 1
    NAME_UNPAIRED = 2           # holds half of a surrogate pair
    NAME_NO_MEMORY = 3
    NAME_TOO_MANY = 4

cdef Py_ssize_t unescape(const uint8_t *text, Py_ssize_t size, uint8_t *out) noexcept nogil
cdef void names_begin(NameSet *names) noexcept nogil
cdef void names_end(NameSet *names) noexcept nogil
cdef int names_add(NameSet *names, Py_ssize_t owner, const uint8_t *text, Py_ssize_t size, bint escaped) noexcept nogil
