"""One spelling for all JSON texts of which it can be proved, without knowing their fields, that they mean the same.

White space between tokens is dropped, each character of a string has one form, and the document's own members are in the order
of their names. All else stays as it is written: members further inside, whose order a model sees (a tool's schema is text to
it), and numbers (1.0 and 1 may be treated differently). So two texts that are spelt the same mean the same; of two that are
not, it is not known.

No spelling is longer than the text, so one buffer of its size is enough.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcmp, memcpy

from fastgate._core.names cimport unescape
from fastgate._core.paths cimport Paths
from fastgate._core.walk cimport Hit, Report, walk

cdef extern from "bytescan.h":
    const uint8_t *fg_plain_run(const uint8_t *p, const uint8_t *end) noexcept nogil

cdef enum:
    MOST_MEMBERS = 256

cdef struct Member:             # of the document, as it is spelt here
    const uint8_t *start
    const uint8_t *end
    Py_ssize_t size             # of the name with its quotes

cdef struct Spelling:
    const uint8_t *end          # of the text
    const uint8_t *kept         # from here on it is to be copied
    uint8_t *to                 # where to

cdef Paths GRAMMAR = Paths([])  # which fields there are is of no interest
cdef const char *DIGITS = b"0123456789abcdef"


cdef inline void _copy(Spelling *s, const uint8_t *p) noexcept nogil:
    """Copy what is kept as it is, up to ``p``."""
    memcpy(s.to, s.kept, p - s.kept)
    s.to += p - s.kept
    s.kept = p


cdef inline const uint8_t *_space(Spelling *s, const uint8_t *p) noexcept nogil:
    """Past white space, which is not kept."""
    if p < s.end and p[0] <= 32:
        _copy(s, p)
        while p < s.end and p[0] <= 32:
            p += 1
        s.kept = p
    return p


cdef inline uint8_t _short_form(uint8_t c) noexcept nogil:
    """What stands behind the backslash in a character's shortest escape, 0 where it has none but ``\\u``."""
    if c == c'"' or c == c'\\':
        return c
    if c == 8:
        return c'b'
    if c == 9:
        return c't'
    if c == 10:
        return c'n'
    if c == 12:
        return c'f'
    return c'r' if c == 13 else 0


cdef uint8_t *_put(uint8_t c, uint8_t *to) noexcept nogil:
    """The one form of an ASCII character: escaped where it has to be, then as shortly as possible."""
    cdef uint8_t form = _short_form(c)
    if form != 0:
        to[0], to[1] = c'\\', form
        return to + 2
    if c >= 32:
        to[0] = c
        return to + 1
    memcpy(to, <const char *>b"\\u00", 4)
    to[4], to[5] = DIGITS[c >> 4], DIGITS[c & 15]
    return to + 6


cdef const uint8_t *_escape(Spelling *s, const uint8_t *p) noexcept nogil:
    """Past the escape at ``p``, in its one form. Half a surrogate pair stays one, in small letters."""
    cdef uint8_t plain[12]
    cdef Py_ssize_t size = 6 if p[1] == c'u' else 2, length
    cdef int i
    _copy(s, p)
    if size == 6 and p[2] | 32 == c'd' and p[3] >= c'8' and s.end - p >= 12:
        size = 12
    length = unescape(p, size, plain)
    if length < 0:
        size = 6
        for i in range(6):
            s.to[i] = p[i] | 32 if p[i] >= c'A' and p[i] <= c'F' else p[i]
        s.to += 6
    elif length == 1:
        s.to = _put(plain[0], s.to)
    else:
        memcpy(s.to, plain, length)
        s.to += length
    s.kept = p + size
    return p + size


cdef const uint8_t *_string(Spelling *s, const uint8_t *p) noexcept nogil:
    """Past the string whose opening quote is at ``p``."""
    p += 1
    while True:
        p = fg_plain_run(p, s.end)
        while p[0] >= 0x80:
            p += 1
        if p[0] == c'"':
            return p + 1
        if p[0] == c'\\':
            p = _escape(s, p) if p[1] == c'u' or p[1] == c'/' else p + 2


cdef inline const uint8_t *_word(const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Past a number, ``true``, ``false`` or ``null``."""
    while p < end and p[0] > 32 and p[0] != c',' and p[0] != c']' and p[0] != c'}':
        p += 1
    return p


cdef const uint8_t *_value(Spelling *s, const uint8_t *p) noexcept nogil:
    """Past the value that begins at ``p``."""
    cdef int depth = 0
    while True:
        if p[0] == c'"':
            p = _string(s, p)
        elif p[0] == c',' or p[0] == c':':
            p += 1
        elif p[0] == c'{' or p[0] == c'[':
            depth += 1
            p += 1
        elif p[0] == c'}' or p[0] == c']':
            depth -= 1
            p += 1
        else:
            p = _word(p, s.end)
        if depth == 0:
            return p
        p = _space(s, p)


cdef int _read_members(Spelling *s, const uint8_t *p, Member *members) noexcept nogil:
    """Spell the members of the object at ``p``; how many there are, -1 where they are too many."""
    cdef int count = 0
    p = _space(s, p + 1)
    while p[0] != c'}':
        if count == MOST_MEMBERS:
            return -1
        if p[0] == c',':
            p = _space(s, p + 1)
        s.kept = p
        members[count].start = s.to
        p = _string(s, p)
        _copy(s, p)
        members[count].size = s.to - members[count].start
        p = _space(s, _space(s, p) + 1)
        p = _value(s, p)
        _copy(s, p)
        members[count].end = s.to
        p = _space(s, p)
        count += 1
    return count


cdef int _compare(const void *left, const void *right) noexcept nogil:
    """By name; 0 where both have the same."""
    cdef const Member *a = <const Member *>left
    cdef const Member *b = <const Member *>right
    cdef int order = memcmp(a.start, b.start, min(a.size, b.size))
    return order if order != 0 else (a.size > b.size) - (a.size < b.size)


cdef bint _is_left_out(const Member *member, tuple leave_out) except -1:
    cdef Py_ssize_t size
    cdef const char *text
    for name in leave_out:
        text = PyUnicode_AsUTF8AndSize(name, &size)
        if member.size == size + 2 and memcmp(member.start + 1, text, size) == 0:
            return True
    return False


cdef bytes _joined(Member *members, int count, tuple leave_out):
    """The object of these members, in order; None where a name comes twice."""
    cdef Py_ssize_t size = 2
    cdef int i, kept = 0
    cdef bytes text
    cdef char *to
    qsort(members, count, sizeof(Member), _compare)
    for i in range(1, count):
        if _compare(&members[i - 1], &members[i]) == 0:
            return None
    for i in range(count):
        if not _is_left_out(&members[i], leave_out):
            members[kept] = members[i]
            size += members[i].end - members[i].start + (kept > 0)
            kept += 1
    text = PyBytes_FromStringAndSize(NULL, size)
    to = PyBytes_AS_STRING(text)
    to[0], to[size - 1] = c'{', c'}'
    to += 1
    for i in range(kept):
        if i:
            to[0] = c','
            to += 1
        memcpy(to, members[i].start, members[i].end - members[i].start)
        to += members[i].end - members[i].start
    return text


def canonical(bytes body not None, tuple leave_out not None=()) -> bytes | None:
    """The spelling of a JSON text without the document's members of those names, which are plain text.

    None where it is no JSON, where a name comes twice in the document, or where that has more than 256 members.
    """
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body)
    cdef Member members[MOST_MEMBERS]
    cdef Spelling s
    cdef Report report
    cdef Hit hit
    cdef int count
    cdef uint8_t *spelt
    if walk(p, size, &GRAMMAR.table, &hit, &report):
        return None
    spelt = <uint8_t *>malloc(size)
    if spelt == NULL:
        raise MemoryError
    s.end, s.kept, s.to = p + size, p, spelt
    try:
        p = _space(&s, p)
        if p[0] == c'{':
            count = _read_members(&s, p, members)
            return None if count < 0 else _joined(members, count, leave_out)
        _copy(&s, _value(&s, p))
        return PyBytes_FromStringAndSize(<char *>spelt, s.to - spelt)
    finally:
        free(spelt)
