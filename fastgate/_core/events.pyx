"""Server-sent events: a stream is metered as it passes, in chunks that are split anywhere.

Of each event the scanner takes what its ``EventTable`` asks for: how long the output was, how many tokens are reported of it,
which parts of the answer are open, and the last value of some fields. It holds at most one unfinished event (``MAX_EVENT``
bytes). What it finds and gives out depends only on the bytes, never on where chunks begin and end.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from fastgate._core.paths cimport Paths
from fastgate._core.walk cimport (
    KIND_ABSENT, KIND_ARRAY, KIND_NULL, KIND_NUMBER, KIND_OBJECT, MAX_RULES, Hit, Report, walk,
)

cdef extern from "bytescan.h":
    const uint8_t *fg_line_run(const uint8_t *p, const uint8_t *end) noexcept nogil

cdef enum:
    _OUTPUT = 0
    _DONE = 1
    _ERROR = 2
    _TOKENS = 3
    _PART = 4
    _OPENS = 5
    _CLOSES = 6
    _FIRST_CAPTURE = 7
    _MAX_EVENT = 1 << 20
    _PARTS = 64             # of an answer that are told apart
    _DIGITS = 18

OUTPUT, DONE, ERROR, TOKENS, PART, OPENS, CLOSES = _OUTPUT, _DONE, _ERROR, _TOKENS, _PART, _OPENS, _CLOSES
FIRST_CAPTURE = _FIRST_CAPTURE
MAX_EVENT = _MAX_EVENT


cdef class EventTable:
    """What a dialect wants to know of its events.

    ``rules`` are ``(path, action)``, with paths as in ``body.Fields``. ``OUTPUT`` adds up the UTF-8 bytes of strings,
    ``DONE`` says that the stream is complete, ``ERROR`` that it failed. ``TOKENS`` is a count of all output so far, ``PART`` the
    number of the part that an event is about, which ``OPENS`` and ``CLOSES`` begin and end. ``DONE``, ``ERROR`` and every number
    from ``FIRST_CAPTURE`` to 31 keep the last value that is not null. ``strip`` names a member of the event that is taken out when asked for; an event
    where it is an object, beside an empty array as the member ``only``, is taken out as a whole.
    """

    def __init__(self, rules, *, strip=None, only=None):
        cdef int i
        rules = list(rules)
        self.size = len(rules)
        self.strips = strip is not None
        if self.size + 2 > MAX_RULES:
            raise ValueError(f"at most {MAX_RULES - 2} rules")
        paths = []
        for i, (name, action) in enumerate(rules):
            if not 0 <= action < MAX_ACTIONS:
                raise ValueError(f"an action is below {MAX_ACTIONS}")
            path, condition, value = name.partition("=")
            paths.append((path, value.encode() if condition else None))
            self.actions[i] = action
        if self.strips:
            paths += [(strip, None), (only or strip, None)]
        self.paths = Paths(paths, False)


cdef int64_t _count(const uint8_t *text, const Hit *hit) noexcept nogil:
    """A number that is a count; -1 for another one."""
    cdef int64_t value = 0
    cdef Py_ssize_t i
    if hit.kind != KIND_NUMBER or hit.end - hit.start > _DIGITS:
        return -1
    for i in range(hit.start, hit.end):
        if not c'0' <= text[i] <= c'9':
            return -1
        value = value * 10 + (text[i] - c'0')
    return value


cdef class EventScanner:
    """Meters one stream; see the attributes in the ``.pyi``."""

    def __cinit__(self, EventTable table not None, bint strip_usage=False, bint whole=False):
        self.table = table
        self._strip = strip_usage and table.strips
        self._whole = whole or self._strip
        self._line_start = True
        self._due_bytes = self._due_tokens = INT64_MAX

    def __dealloc__(self):
        cdef int i
        free(self._pending.data)
        free(self._joined.data)
        free(self._out.data)
        for i in range(MAX_ACTIONS):
            free(self._captures[i].data)

    def feed(self, bytes chunk not None):
        """Takes the next bytes; returns what to pass on now, the chunk itself where nothing is taken out."""
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(chunk)
        self._consume(data, data + PyBytes_GET_SIZE(chunk))
        if self._no_memory:
            raise MemoryError
        return self._taken(chunk) if self._whole else chunk

    def watch(self, int64_t output_bytes, int64_t tokens):
        """``due`` from the event on with which there are so many bytes of output, or so many tokens reported of it."""
        self._due_bytes, self._due_tokens = output_bytes, tokens
        self._look()

    def finish(self):
        """Ends the stream: an event without its blank line counts too. Returns what is left to pass on."""
        cdef Py_ssize_t size = self._pending.size
        self._pending.size = 0
        if size:
            self._process(self._pending.data, size, False)
        if self._no_memory:
            raise MemoryError
        return self._taken(b"") if self._whole else b""

    @property
    def captures(self):
        """The last value, as JSON text, by action; null counts as none."""
        return {
            i: PyBytes_FromStringAndSize(<char *>self._captures[i].data, self._captures[i].size)
            for i in range(MAX_ACTIONS) if self._captures[i].size
        }

    cdef bytes _taken(self, bytes chunk):
        """What was given out since the last call."""
        cdef bytes result
        cdef Py_ssize_t run = self._run_end - self._run
        if self._out.size == 0:
            if run == PyBytes_GET_SIZE(chunk):
                result = chunk
            else:
                result = PyBytes_FromStringAndSize(<const char *>self._run, run)
        else:
            self._put(&self._out, self._run, run)
            if self._no_memory:
                raise MemoryError
            result = PyBytes_FromStringAndSize(<char *>self._out.data, self._out.size)
        self._out.size = 0
        self._run = self._run_end = NULL
        return result

    cdef void _consume(self, const uint8_t *p, const uint8_t *end) noexcept nogil:
        """Goes from line to line; a blank one ends an event. Lines end in LF, CR LF (also in two chunks) or CR."""
        cdef const uint8_t *event = p
        while p < end:
            if self._after_cr:
                self._after_cr = False
                if p[0] == c'\n':
                    p += 1
                    if self._pending.size == 0 and p == event + 1 and self._line_start and not self._skipping:
                        # The rest of the blank line: it shares the fate of the event that this line ended.
                        if self._whole and not self._dropped:
                            self._give(event, 1, True)
                        event = p
                    continue
            if self._line_start and (p[0] == c'\n' or p[0] == c'\r'):
                self._after_cr = p[0] == c'\r'
                p += 1
                self._end_event(event, p)
                event = p
                continue
            p = fg_line_run(p, end)
            self._line_start = p < end
            if p < end:
                self._after_cr = p[0] == c'\r'
                p += 1
        self._keep_tail(event, end)

    cdef void _end_event(self, const uint8_t *start, const uint8_t *end) noexcept nogil:
        cdef Py_ssize_t size = self._pending.size
        self._dropped = False
        if self._skipping or size + (end - start) > _MAX_EVENT:
            self.overflow = True
            self._skipping = False
            self._pending.size = 0
            if self._whole:
                self._give(self._pending.data, size, False)
                self._give(start, end - start, True)
        elif size:
            self._put(&self._pending, start, end - start)
            size = self._pending.size
            self._pending.size = 0
            self._process(self._pending.data, size, False)
        else:
            self._process(start, end - start, True)

    cdef void _keep_tail(self, const uint8_t *start, const uint8_t *end) noexcept nogil:
        """Keeps an unfinished event, or lets it pass unread where it is too large."""
        cdef Py_ssize_t size = self._pending.size
        if not self._skipping and size + (end - start) <= _MAX_EVENT:
            self._put(&self._pending, start, end - start)
            return
        self.overflow = True
        self._skipping = True
        self._pending.size = 0
        if self._whole:
            self._give(self._pending.data, size, False)
            self._give(start, end - start, True)

    cdef void _process(self, const uint8_t *raw, Py_ssize_t size, bint in_chunk) noexcept nogil:
        """Meters one whole event and gives it out, without what is stripped."""
        cdef Py_ssize_t length = 0
        cdef const uint8_t *text = self._data_of(raw, size, &length)
        cdef Report report
        self._started = True
        if length > 0:
            self.events += 1
            if length == 6 and memcmp(text, b"[DONE]", 6) == 0:
                self.done = True
            elif walk(text, length, &self.table.paths.table, self._hits, &report):
                self.malformed += 1
            else:
                self._apply(text)
                if self._strip and self._hits[self.table.size].kind != KIND_ABSENT:
                    if self._strips_event():
                        self._dropped = True
                    else:
                        self._give_stripped(raw, size, text, length, in_chunk)
                    return
        if self._whole:
            self._give(raw, size, in_chunk)

    cdef const uint8_t *_data_of(self, const uint8_t *raw, Py_ssize_t size, Py_ssize_t *length) noexcept nogil:
        """The event's data: within ``raw`` where it is one line, else joined in a buffer."""
        cdef const uint8_t *p = raw
        cdef const uint8_t *end = raw + size
        cdef const uint8_t *found = NULL
        cdef const uint8_t *line
        self._joined.size = 0
        if not self._started and size >= 3 and memcmp(p, b"\xef\xbb\xbf", 3) == 0:
            p += 3
        while p < end:
            line = p
            p = fg_line_run(p, end)
            if p - line >= 5 and memcmp(line, b"data:", 5) == 0:
                line += 5
                if line < p and line[0] == 32:
                    line += 1
                if found == NULL:
                    found = line
                    length[0] = p - line
                else:
                    if self._joined.size == 0:
                        self._put(&self._joined, found, length[0])
                    self._put(&self._joined, b"\n", 1)
                    self._put(&self._joined, line, p - line)
            p += 1
        if self._joined.size == 0:
            return found
        length[0] = self._joined.size
        return self._joined.data

    cdef void _apply(self, const uint8_t *text) noexcept nogil:
        """Takes over what the walk noted, now that the event's JSON is known to be whole."""
        cdef int i, action
        cdef int64_t part = -1
        cdef bint opens = False, closes = False
        cdef Hit *hit
        for i in range(self.table.size):
            hit = &self._hits[i]
            if hit.kind <= KIND_NULL:
                continue
            action = self.table.actions[i]
            if action == _OUTPUT:
                self.output_bytes += hit.total
                continue
            if action < _FIRST_CAPTURE and action > _ERROR:
                if action == _TOKENS:
                    self.reported = max(self.reported, _count(text, hit))
                elif action == _PART:
                    part = _count(text, hit)
                elif action == _OPENS:
                    opens = True
                else:
                    closes = True
                continue
            if action == _DONE:
                self.done = True
            elif action == _ERROR:
                self.failed = True
            self._captures[action].size = 0
            self._put(&self._captures[action], text + hit.start, hit.end - hit.start)
        if 0 <= part < _PARTS:
            self.opened |= <uint64_t>opens << part
            self.closed |= <uint64_t>closes << part
        self._look()

    cdef inline void _look(self) noexcept nogil:
        self.due = self.output_bytes >= self._due_bytes or self.reported >= self._due_tokens

    cdef bint _strips_event(self) noexcept nogil:
        cdef Hit *only = &self._hits[self.table.size + 1]
        return self._hits[self.table.size].kind == KIND_OBJECT and only.kind == KIND_ARRAY and only.empty

    cdef void _give_stripped(
        self, const uint8_t *raw, Py_ssize_t size, const uint8_t *text, Py_ssize_t length, bint in_chunk
    ) noexcept nogil:
        """Gives the event without the stripped member and one of the commas around it."""
        cdef Hit *hit = &self._hits[self.table.size]
        cdef Py_ssize_t a = hit.member, b = hit.end
        while text[a - 1] <= 32:        # an object's brace is before it, so this ends
            a -= 1
        if text[a - 1] == c',':
            a -= 1
        else:
            a = hit.member
            while text[b] <= 32:
                b += 1
            b = b + 1 if text[b] == c',' else hit.end
        if text == self._joined.data:
            self._give_rebuilt(raw, size, a, b, length)
            return
        self._give(raw, text + a - raw, in_chunk)
        self._give(text + b, raw + size - text - b, in_chunk)

    cdef void _give_rebuilt(
        self, const uint8_t *raw, Py_ssize_t size, Py_ssize_t a, Py_ssize_t b, Py_ssize_t length
    ) noexcept nogil:
        """An event with several data lines: its other lines, then the data on one (in JSON a raw LF is only space)."""
        cdef const uint8_t *p = raw
        cdef const uint8_t *end = raw + size
        cdef const uint8_t *line
        cdef Py_ssize_t i
        for i in range(length):
            if self._joined.data[i] == c'\n':
                self._joined.data[i] = 32
        while p < end:
            line = p
            p = fg_line_run(p, end)
            if p > line and not (p - line >= 5 and memcmp(line, b"data:", 5) == 0):
                self._give(line, p - line, False)
                self._give(b"\n", 1, False)
            p += 1
        self._give(b"data: ", 6, False)
        self._give(self._joined.data, a, False)
        self._give(self._joined.data + b, length - b, False)
        self._give(b"\n\n", 2, False)
        self._dropped = True            # its own line ends are gone, so a line feed that is still to come goes too

    cdef void _give(self, const uint8_t *p, Py_ssize_t size, bint in_chunk) noexcept nogil:
        """Adds to what ``feed`` returns. Bytes of the chunk are only copied once a second run of them begins."""
        if size == 0:
            return
        if in_chunk and p == self._run_end:
            self._run_end += size
            return
        if self._run_end != self._run:
            self._put(&self._out, self._run, self._run_end - self._run)
            self._run = self._run_end = NULL
        if in_chunk:
            self._run = p
            self._run_end = p + size
        else:
            self._put(&self._out, p, size)

    cdef void _put(self, Buffer *buffer, const uint8_t *p, Py_ssize_t size) noexcept nogil:
        cdef Py_ssize_t room = buffer.room
        cdef uint8_t *data
        if size == 0:
            return
        if buffer.size + size > room:
            room = max(buffer.size + size, room * 2, 256)
            data = <uint8_t *>realloc(buffer.data, room)
            if data == NULL:
                self._no_memory = True
                return
            buffer.data = data
            buffer.room = room
        memcpy(buffer.data + buffer.size, p, size)
        buffer.size += size
