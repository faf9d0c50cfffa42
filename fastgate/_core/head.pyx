"""What stands in heads: names and targets of requests, lines of answers. Clients repeat themselves, so much is kept."""

from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)

cdef extern from "bytescan.h":
    bint fg_is_ascii(const uint8_t *p, size_t size)
    uint64_t fg_hash(uint64_t seed, const uint8_t *p, size_t size)
    bint fg_has_controls(const uint8_t *p, size_t size)

cdef enum:
    MOST_KEPT = 512
    PLACES = 1024                               # for them
    LONGEST_KEPT = 256
cdef uint64_t SEED = hash(b"heads") & 0xFFFFFFFFFFFFFFFF  # as secret as the interpreter's: nobody can make names meet

cdef dict STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
cdef long dated = 0
cdef bytes dated_line = b""


@cython.final
cdef class Kept:
    """What was made of bytes in heads, for the next time that they come. Whatever others send takes little room."""

    def __cinit__(self):
        self.forget()

    cdef int forget(self) except -1:
        self.count = 0
        self.raw, self.made = [None] * PLACES, [None] * PLACES
        return 0

    cdef object find(self, bytes raw):
        """What was made of it; None: it is not known."""
        return self.made[self.place(raw)]

    cdef int keep(self, bytes raw, object made) except -1:
        """Know it the next time, unless it is long."""
        cdef Py_ssize_t at
        if self.count >= MOST_KEPT:
            self.forget()
        if PyBytes_GET_SIZE(raw) <= LONGEST_KEPT:
            at = self.place(raw)
            self.count += self.raw[at] is None
            self.raw[at], self.made[at] = raw, made
        return 0

    cdef Py_ssize_t place(self, bytes raw) noexcept:
        """Where it is, or would be."""
        cdef const char *data = PyBytes_AS_STRING(raw)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(raw)
        cdef Py_ssize_t at = fg_hash(SEED, <const uint8_t *>data, size) & (PLACES - 1)
        cdef bytes known
        while True:
            known = <bytes>self.raw[at]
            if known is None or PyBytes_GET_SIZE(known) == size and memcmp(PyBytes_AS_STRING(known), data, size) == 0:
                return at
            at = (at + 1) & (PLACES - 1)


cdef Kept NAMES = Kept()                        # names of requests' headers as they came -> as they are compared
cdef Kept LOWERED = Kept()                      # those of answers, likewise
cdef Kept TARGETS = Kept()                      # targets as they came -> path and query
cdef Kept METHODS = Kept()


cdef str header_name(bytes raw):
    """A header's name as it is compared."""
    cdef str name = NAMES.find(raw)
    if name is None:
        name = raw.decode("latin-1").lower()
        NAMES.keep(raw, name)
    return name


cdef bytes lowered(bytes raw):
    """A header's name as it is compared, where bytes serve."""
    cdef bytes name = LOWERED.find(raw)
    if name is None:
        name = raw.lower()
        LOWERED.keep(raw, name)
    return name


cdef inline Py_ssize_t size_without_blanks(bytes raw):
    """llhttp takes off a value only those that lead."""
    cdef const char *at = PyBytes_AS_STRING(raw)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw)
    while size and (at[size - 1] == b" " or at[size - 1] == b"\t"):
        size -= 1
    return size


cdef bytes trimmed(bytes raw):
    """A header's value without the blanks behind it."""
    cdef Py_ssize_t size = size_without_blanks(raw)
    return raw if size == PyBytes_GET_SIZE(raw) else raw[:size]


cdef str plain(bytes raw):
    """Likewise, as text; None where it is not ASCII."""
    cdef const char *at = PyBytes_AS_STRING(raw)
    cdef Py_ssize_t size = size_without_blanks(raw)
    return ascii(at, size) if fg_is_ascii(<const uint8_t *>at, size) else None


cdef str ascii(const char *text, Py_ssize_t size):
    """A text of so many bytes, all of which are ASCII."""
    cdef str made = PyUnicode_New(size, 127)
    memcpy(PyUnicode_DATA(made), text, size)
    return made


cdef tuple target(bytes url):
    """Path, percent-encoding undone, and query of what a request asks for, which may name this host before the path."""
    cdef tuple found = TARGETS.find(url)
    if found is None:
        path, _, query = url.partition(b"?")
        if path[:1] != b"/" and b"://" in path:
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        found = (unquote_to_bytes(path).decode("utf-8", "replace"), query.decode("latin-1"))
        TARGETS.keep(url, found)
    return found


cdef str method_name(bytes raw):
    """A request's method."""
    cdef str name = METHODS.find(raw)
    if name is None:
        name = raw.decode("ascii")
        METHODS.keep(raw, name)
    return name


cdef bytes status_line(int status):
    """The first line of an answer."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


cdef bytes date_line():
    """``date: ...`` of the present second."""
    global dated, dated_line
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    if now.tv_sec != dated:
        dated = now.tv_sec
        dated_line = b"date: %b\r\n" % formatdate(now.tv_sec, usegmt=True).encode()
    return dated_line


cdef Py_ssize_t line_size(str name, str value) except -1:
    """Bytes of ``name: value`` as a line. Raises ValueError for characters that have none."""
    if PyUnicode_KIND(name) != 1 or PyUnicode_KIND(value) != 1:
        raise ValueError(f"the header '{name}' has characters beyond Latin-1")
    return PyUnicode_GET_LENGTH(name) + PyUnicode_GET_LENGTH(value) + 4


cdef char *put_line(char *out, str name, str value) except NULL:
    """``name: value``, of characters that cannot end the line, at ``out``: where it ends. Raises ValueError for others."""
    cdef char *end = put(out, <const char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name))
    end = put(end, b": ", 2)
    end = put(end, <const char *>PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value))
    if fg_has_controls(<const uint8_t *>out, end - out):
        raise ValueError(f"the header '{name}' has control characters")
    return put(end, b"\r\n", 2)
