"""What stands in heads: names and targets of requests, lines of answers. Clients repeat themselves, so much is kept."""

from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef Py_ssize_t MOST_KEPT = 1024, LONGEST_KEPT = 256
cdef dict NAMES = {}                            # names of requests' headers as they came -> as they are compared
cdef dict LOWERED = {}                          # those of answers, likewise
cdef dict TARGETS = {}                          # targets as they came -> path and query
cdef dict METHODS = {name.encode(): name for name in ("POST", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")}

cdef dict STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
cdef long dated = 0
cdef bytes dated_line = b""


cdef int keep(dict known, bytes raw, object found) except -1:
    """Know it the next time; whatever clients send takes little room."""
    if len(known) >= MOST_KEPT:
        known.clear()
    if len(raw) <= LONGEST_KEPT:
        known[raw] = found
    return 0


cdef str header_name(bytes raw):
    """A header's name as it is compared."""
    cdef str name = NAMES.get(raw)
    if name is None:
        name = raw.decode("latin-1").lower()
        keep(NAMES, raw, name)
    return name


cdef bytes lowered(bytes raw):
    """A header's name as it is compared, where bytes serve."""
    cdef bytes name = LOWERED.get(raw)
    if name is None:
        name = raw.lower()
        keep(LOWERED, raw, name)
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
    cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(raw)
    cdef Py_ssize_t size = size_without_blanks(raw), i
    cdef unsigned char seen = 0
    for i in range(size):
        seen |= at[i]
    return at[:size].decode("ascii") if seen < 128 else None


cdef tuple target(bytes url):
    """Path, percent-encoding undone, and query of what a request asks for, which may name this host before the path."""
    cdef tuple found = TARGETS.get(url)
    if found is None:
        path, _, query = url.partition(b"?")
        if path[:1] != b"/" and b"://" in path:
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        found = (unquote_to_bytes(path).decode("utf-8", "replace"), query.decode("latin-1"))
        keep(TARGETS, url, found)
    return found


cdef str method_name(bytes raw):
    """A request's method."""
    return METHODS.get(raw) or raw.decode("ascii")


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


cdef bytes header_line(str name, str value):
    """``name: value``, of characters that cannot end the line. Raises ValueError for others."""
    cdef Py_ssize_t name_size = PyUnicode_GET_LENGTH(name), size = PyUnicode_GET_LENGTH(value), i
    cdef bytes line = PyBytes_FromStringAndSize(NULL, name_size + size + 4)
    cdef unsigned char *out = <unsigned char *>PyBytes_AS_STRING(line)
    cdef bint bad = False
    if PyUnicode_KIND(name) != 1 or PyUnicode_KIND(value) != 1:
        raise ValueError(f"the header '{name}' has characters beyond Latin-1")
    memcpy(out, PyUnicode_DATA(name), name_size)
    memcpy(out + name_size, b": ", 2)
    memcpy(out + name_size + 2, PyUnicode_DATA(value), size)
    for i in range(name_size + 2 + size):
        bad |= out[i] < 32 and out[i] != 9 or out[i] == 127
    if bad:
        raise ValueError(f"the header '{name}' has control characters")
    memcpy(out + name_size + 2 + size, b"\r\n", 2)
    return line
