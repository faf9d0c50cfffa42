"""The headers of an answer, as pairs of text: those of its provider's that go on to the client, and our own figures."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t

from fastgate._core.clock cimport realtime_ns
from fastgate._core.digits cimport digits_before
from fastgate._core.head cimport ascii

cdef extern from "Python.h":
    str PyUnicode_DecodeLatin1(const char *text, Py_ssize_t size, const char *errors)
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)
    void *PyUnicode_DATA(object text)

cdef enum:
    MOST_NAMES = 512                    # that are remembered
    LONGEST_NAME = 256
    BILLION = 1_000_000_000
    LONGEST = 32                        # characters of 64 bits in decimal digits, with a sign and a point

cdef const char *HEX = b"0123456789abcdef"


cdef class Passed:
    """``Passed(wanted)``: the headers of which ``wanted(name)`` is true, which is asked once for a name as a rule."""

    cdef object wanted
    cdef dict names                     # as they came -> as text, empty (as none is) where it is not wanted

    def __cinit__(self, wanted):
        self.wanted, self.names = wanted, {}

    def of(self, received):
        """Those among ``(name, value)`` in bytes, in their order, as text."""
        cdef list found = []
        cdef bytes raw, value
        cdef str name
        for raw, value in received:
            name = self.names.get(raw)
            if name is None:
                name = self.ask(raw)
            if name:
                found.append((name, PyUnicode_DecodeLatin1(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), NULL)))
        return found

    cdef str ask(self, bytes raw):
        cdef str name = raw.decode("latin-1")
        if not self.wanted(name):
            name = ""
        if len(self.names) >= MOST_NAMES:   # some provider makes up new ones
            self.names.clear()
        if len(raw) <= LONGEST_NAME:
            self.names[raw] = name
        return name


cdef class Figures:
    """``Figures(request_id, overhead_us, left_usd, cost_usd)``: the names under which an answer's figures are told."""

    cdef str request_id, overhead_us, left_usd, cost_usd

    def __cinit__(self, str request_id not None, str overhead_us not None, str left_usd not None, str cost_usd not None):
        self.request_id, self.overhead_us = request_id, overhead_us
        self.left_usd, self.cost_usd = left_usd, cost_usd

    def behind(self, tuple parts not None, bytes id not None, int64_t since_ns, left, cost):
        """The pairs of all ``parts``, and behind them those of the figures.

        ``since_ns``: when the gateway would have begun had it waited for nobody. Amounts in nano-USD, None: not to be said.
        """
        cdef list found = []
        for part in parts:
            found.extend(part)
        found.append((self.request_id, hexadecimal(id)))
        found.append((self.overhead_us, us_since(since_ns)))
        if left is not None:
            found.append((self.left_usd, usd(left)))
        if cost is not None:
            found.append((self.cost_usd, usd(cost)))
        return found


cdef str hexadecimal(bytes id):
    """Two digits for each byte of a request's id."""
    cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(id)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(id), i
    cdef str made = PyUnicode_New(2 * size, 127)
    cdef char *out = <char *>PyUnicode_DATA(made)
    for i in range(size):
        out[2 * i], out[2 * i + 1] = HEX[at[i] >> 4], HEX[at[i] & 15]
    return made


@cython.cdivision(False)
cdef str us_since(int64_t then_ns):
    """Whole microseconds, rounded down: a clock that was set back makes them negative."""
    cdef int64_t us = (realtime_ns() - then_ns) // 1000
    cdef char text[LONGEST]
    cdef char *end = text + LONGEST
    return signed(us < 0, digits_before(end, magnitude(us), 1), end)


cdef str usd(int64_t nano):
    """Nano-USD in USD, with all nine places."""
    cdef char text[LONGEST]
    cdef char *end = text + LONGEST
    cdef char *point = digits_before(end, magnitude(nano) % BILLION, 9) - 1
    point[0] = b"."
    return signed(nano < 0, digits_before(point, magnitude(nano) // BILLION, 1), end)


cdef inline uint64_t magnitude(int64_t number) noexcept nogil:
    return <uint64_t>number if number >= 0 else 0 - <uint64_t>number


cdef str signed(bint negative, char *begin, char *end):
    """The text between, with a sign in front of it."""
    if negative:
        begin -= 1
        begin[0] = b"-"
    return ascii(begin, end - begin)
