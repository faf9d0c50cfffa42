"""Reads HTTP/1.1 answers of which all is known beforehand but the moments at which their chunks were written.

A body is so many times one event, in which 20 digits are the time at which it was written (nanoseconds of the monotonic
clock), and then a tail; an answer that is no stream is a tail alone. Nothing is kept of what comes: each byte is
compared where it stands, however the answer was cut into pieces.
"""

from libc.string cimport memchr, memcmp, memcpy, memset

cdef enum:                          # stages
    STATUS_LINE
    HEADER
    SIZE                            # of a piece of a chunked body
    PIECE                           # of it, or all of a body that has a length
    PIECE_END
    END                             # of a chunked body

cdef enum:
    DIGITS = 20
    HEAD = 65536                    # bytes: heads that are longer are no heads
    MOST = 1_000_000_000            # bytes of a body: an answer is no larger

cdef unsigned long long LATEST = 9_000_000_000_000_000_000      # ns: no clock has come so far
cdef const char *SEPARATORS = b'"(),/:;<=>?@[\\]{}'

NAMES = (
    "more", "chunk", "whole",
    "malformed", "status", "length", "body", "order", "excess", "connect", "cut", "timeout",
    "unsent",
)  # fmt: skip
"""Of outcomes. The first three are no faults."""
assert len(NAMES) == OUTCOMES


cdef class Expected:
    """``Expected(tail, status=200, event=b"", stamp=0, count=0)``: what every answer has to be.

    ``tail`` None: any body will do. ``stamp``: the offset in ``event`` of the digits that are its time. Raises ValueError
    where they do not fit in, or where a stream has no end by which to know it.
    """

    def __cinit__(self, bytes tail, *, int status=200, bytes event=b"", Py_ssize_t stamp=0, long long count=0):
        if count and not (tail and 0 <= stamp <= len(event) - DIGITS):
            raise ValueError("a stream has a tail, and events with a place for the time")
        self.event, self.tail = event, tail
        self.wanted.status, self.wanted.count = status, count
        self.wanted.event, self.wanted.event_size, self.wanted.stamp = event, len(event), stamp
        self.wanted.tail_size = -1
        if tail is not None:
            self.wanted.tail, self.wanted.tail_size = tail, len(tail)

    def read(self, pieces):
        """What becomes of an answer that comes in ``pieces``: its outcome's name, the times of its chunks, whether the
        connection ends with it. What comes behind a whole answer is ``excess``."""
        cdef Answer answer
        cdef const char *at
        cdef const char *end
        cdef int outcome = MORE
        cdef bytes piece
        cdef list times = []
        expect(&answer)
        for piece in pieces:
            at = piece
            end = at + len(piece)
            outcome = read(&answer, &self.wanted, &at, end) if outcome != WHOLE else EXCESS if piece else WHOLE
            while outcome == CHUNK:
                times.append(answer.written)
                outcome = read(&answer, &self.wanted, &at, end)
            if outcome > WHOLE:
                break
        return NAMES[outcome], times, bool(answer.closes)


cdef void expect(Answer *self) noexcept nogil:
    """An answer of which nothing has come."""
    memset(self, 0, sizeof(Answer))


cdef int read(Answer *self, const Wanted *wanted, const char **at, const char *end) noexcept nogil:
    """Reads from ``at`` to ``end``, or to the end of a chunk or of the answer, and moves ``at`` there."""
    cdef int outcome = MORE
    while outcome == MORE and at[0] < end:
        if self.stage != PIECE:
            outcome = _read_line(self, wanted, at, end)
            continue
        outcome = _read_body(self, wanted, at, end)
        if self.left == 0:
            self.stage = PIECE_END
            if outcome == MORE and not self.chunked:
                outcome = WHOLE
    return EXCESS if outcome == WHOLE and at[0] < end else outcome


# Lines: of the head, and between the pieces of a chunked body

cdef int _read_line(Answer *self, const Wanted *wanted, const char **at, const char *end) noexcept nogil:
    cdef const char *stop = <const char *>memchr(at[0], 10, end - at[0])
    cdef Py_ssize_t size = (stop if stop != NULL else end) - at[0]
    cdef Py_ssize_t kept = min(size, LINE - self.line_size)
    memcpy(self.line + self.line_size, at[0], kept)
    self.line_size += <int>kept
    if not _is_text(self, at[0], size):
        return MALFORMED
    at[0] += size
    self.head += size
    if self.head > HEAD:
        return MALFORMED
    if stop == NULL:
        return MORE
    at[0] += 1
    if self.last != 13:
        return MALFORMED
    if self.line[self.line_size - 1] == 13:
        self.line_size -= 1
    kept, self.line_size, self.last = self.line_size, 0, 0
    return _take_line(self, wanted, self.line, <int>kept)


cdef bint _is_text(Answer *self, const char *text, Py_ssize_t size) noexcept nogil:
    """Whether a line may have these bytes: no control characters, but for tabs and a carriage return as the last."""
    cdef unsigned char byte, last = self.last
    cdef Py_ssize_t i
    for i in range(size):
        byte = text[i]
        if last == 13 or (byte < 32 and byte != 9 and byte != 13) or byte == 127:
            return False
        last = byte
    self.last = last
    return True


cdef int _take_line(Answer *self, const Wanted *wanted, const char *line, int size) noexcept nogil:
    """A line without its end; what is beyond ``LINE`` is cut off."""
    if self.stage == STATUS_LINE:
        return _take_status(self, wanted, line, size)
    if self.stage == HEADER:
        return _take_header(self, line, size) if size else _begin_body(self, wanted)
    if self.stage == SIZE:
        return _take_size(self, line, size)
    if self.stage == PIECE_END:
        self.stage, self.head = SIZE, 0
        return MALFORMED if size else MORE
    if size:
        return MALFORMED                                                    # no subject sends trailers
    return WHOLE if _is_whole(self, wanted) else LENGTH


cdef int _take_status(Answer *self, const Wanted *wanted, const char *line, int size) noexcept nogil:
    cdef int status = 0, i
    if size < 12 or memcmp(line, b"HTTP/1.1 ", 9) or (size > 12 and line[12] != 32):
        return MALFORMED
    for i in range(9, 12):
        if not 48 <= line[i] <= 57:
            return MALFORMED
        status = status * 10 + line[i] - 48
    if status != wanted.status:
        return STATUS
    self.stage = HEADER
    return MORE


cdef int _take_header(Answer *self, const char *line, int size) noexcept nogil:
    cdef int at, i
    cdef Py_ssize_t length = 0
    if not _has_name(line, size):
        return MALFORMED
    if (at := _value_of(line, size, b"content-length:", 15)):
        if self.sized or self.chunked or at == size:
            return MALFORMED
        for i in range(at, size):
            if not 48 <= line[i] <= 57 or length > MOST:
                return MALFORMED
            length = length * 10 + line[i] - 48
        self.sized, self.left = True, length
    elif (at := _value_of(line, size, b"transfer-encoding:", 18)):
        if self.sized or self.chunked or not _says(line, at, size, b"chunked", 7):
            return MALFORMED
        self.chunked = True
    elif (at := _value_of(line, size, b"connection:", 11)):
        self.closes |= _says(line, at, size, b"close", 5)
    return MORE


cdef bint _has_name(const char *line, int size) noexcept nogil:
    """Whether a colon stands behind letters, digits and what else a name may have."""
    cdef int i
    for i in range(size):
        if line[i] == 58:
            return i > 0
        if line[i] <= 32 or memchr(SEPARATORS, line[i], 17) != NULL:
            return False
    return False


cdef int _value_of(const char *line, int size, const char *name, int length) noexcept nogil:
    """Where the value of a header begins, 0 where it is another's; ``name`` is in small letters, with its colon."""
    if size < length or not _says(line, 0, length, name, length):
        return 0
    while length < size and (line[length] == 32 or line[length] == 9):
        length += 1
    return length


cdef bint _says(const char *line, int at, int end, const char *text, int length) noexcept nogil:
    """Whether from ``at`` to ``end`` there stands ``text``, which is in small letters, in letters of any size."""
    cdef int i
    if end - at != length:
        return False
    for i in range(length):
        if (line[at + i] | 32 if 65 <= line[at + i] <= 90 else line[at + i]) != text[i]:
            return False
    return True


cdef int _begin_body(Answer *self, const Wanted *wanted) noexcept nogil:
    if self.chunked:
        self.stage, self.head = SIZE, 0
        return MORE
    if not self.sized:
        return MALFORMED
    if wanted.tail_size >= 0 and self.left != wanted.count * wanted.event_size + wanted.tail_size:
        return LENGTH
    self.stage = PIECE
    return MORE if self.left else WHOLE


cdef int _take_size(Answer *self, const char *line, int size) noexcept nogil:
    """Digits alone: no subject sends extensions."""
    cdef int i, digit
    if not 0 < size <= 8:
        return MALFORMED
    for i in range(size):
        digit = line[i] | 32
        if 48 <= line[i] <= 57:
            digit = line[i] - 48
        elif 97 <= digit <= 102:
            digit -= 87
        else:
            return MALFORMED
        self.left = self.left * 16 + digit
    self.stage = PIECE if self.left else END
    return MORE


# Bodies

cdef bint _is_whole(const Answer *self, const Wanted *wanted) noexcept nogil:
    return wanted.tail_size < 0 or (self.chunks == wanted.count and self.at == wanted.tail_size)


cdef int _read_body(Answer *self, const Wanted *wanted, const char **at, const char *end) noexcept nogil:
    """Reads as far as one comparison goes: to the time of an event, through it, to the event's end, or the tail."""
    cdef Py_ssize_t size = min(end - at[0], self.left), stop = wanted.tail_size
    cdef bint in_event = self.chunks < wanted.count, in_time = False
    if in_event:
        in_time = wanted.stamp <= self.at < wanted.stamp + DIGITS
        stop = wanted.stamp if self.at < wanted.stamp else wanted.stamp + DIGITS if in_time else wanted.event_size
    if stop >= 0:
        if self.at == stop:
            return LENGTH                                                   # more than there should be
        size = min(size, stop - self.at)
        if in_time:
            if not _take_digits(self, wanted, at[0], size):
                return BODY
        elif memcmp(at[0], (wanted.event if in_event else wanted.tail) + self.at, size):
            return BODY
    self.at += size
    self.left -= size
    at[0] += size
    return _end_event(self) if in_event and self.at == wanted.event_size else MORE


cdef bint _take_digits(Answer *self, const Wanted *wanted, const char *text, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    if self.at == wanted.stamp:
        self.written = 0
    for i in range(size):
        if not 48 <= text[i] <= 57 or self.written > LATEST // 10:
            return False
        self.written = self.written * 10 + text[i] - 48
    return True


cdef int _end_event(Answer *self) noexcept nogil:
    self.at = 0
    self.chunks += 1
    if self.written <= self.before:
        return ORDER
    self.before = self.written
    return CHUNK
