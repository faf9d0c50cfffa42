"""Request and answer bodies: JSON that is checked and looked into, but never decoded as a whole.

``scan`` walks a body once and keeps the offsets of the wanted fields; ``splice`` replaces bytes at such offsets and
leaves all others as they came.
"""

from decimal import Decimal, InvalidOperation

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastgate._core.names cimport unescape
from fastgate._core.paths cimport Paths
from fastgate._core.walk cimport (
    FAULT_COLON, FAULT_COMMA, FAULT_CONTROL, FAULT_CUT, FAULT_DEPTH, FAULT_ESCAPE, FAULT_MEMORY, FAULT_NAME,
    FAULT_NAMES, FAULT_NUMBER, FAULT_REST, FAULT_TWICE, FAULT_UNPAIRED, FAULT_UTF8, FAULT_VALUE, KIND_ABSENT,
    KIND_ARRAY, KIND_NULL, KIND_NUMBER, KIND_OBJECT, KIND_STRING, KIND_TRUE, MAX_RULES, Hit, Report, walk,
)

cdef tuple KIND_NAMES = ("absent", "null", "a boolean", "a boolean", "a number", "a string", "an array", "an object")

cdef dict FAULTS = {
    FAULT_CUT: ("invalid_json", "the text ends too early"),
    FAULT_VALUE: ("invalid_json", "expected a value"),
    FAULT_NAME: ("invalid_json", "expected a member name in double quotes"),
    FAULT_COLON: ("invalid_json", "expected ':' after a member name"),
    FAULT_COMMA: ("invalid_json", "expected ',' or a closing bracket"),
    FAULT_REST: ("invalid_json", "unexpected text after the end of the document"),
    FAULT_CONTROL: ("invalid_json", "a control character inside a string must be escaped"),
    FAULT_ESCAPE: ("invalid_json", "invalid escape in a string"),
    FAULT_UTF8: ("invalid_utf8", "the text is not valid UTF-8"),
    FAULT_NUMBER: ("invalid_json", "invalid number"),
    FAULT_DEPTH: ("too_deep", "brackets are nested more than 256 deep"),
    FAULT_TWICE: ("duplicate_name", "the same member name is there twice"),
    FAULT_NAMES: ("too_many_names", "the body has more than 10000 members"),
    FAULT_UNPAIRED: ("invalid_json", "a member name holds half of a surrogate pair"),
}


class BodyError(ValueError):
    """A body that cannot be taken.

    ``code`` is one of ``invalid_json``, ``invalid_utf8``, ``too_deep``, ``duplicate_name``, ``too_many_names``,
    ``wrong_type``; ``message`` one sentence without a full stop; ``offset`` (bytes, from 0), ``line`` and ``column``
    (characters, from 1) say where; ``field`` is the path of the field with a wrong type, else ``None``.
    """

    def __init__(self, code, message, offset, line, column, field=None):
        super().__init__(f"{message} (line {line}, column {column})")
        self.code = code
        self.message = message
        self.offset = offset
        self.line = line
        self.column = column
        self.field = field


def _error(bytes data, str code, str message, Py_ssize_t offset, field=None):
    """A ``BodyError`` with its line and column; looks at the body again, which only errors pay for."""
    cdef const uint8_t *text = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t i, line = 1, column = 1
    for i in range(offset):
        if text[i] == c'\n':
            line += 1
            column = 1
        elif text[i] & 0xC0 != 0x80:    # the first byte of a character
            column += 1
    return BodyError(code, message, offset, line, column, field)


cdef class Fields:
    """Names of the fields that a scan notes: ``model``, ``stream_options.include_usage``, ``tools.*.type``.

    A field is then known by its position. ``tools.*.type="custom"`` counts only strings that say so, however they are
    escaped. With ``unique`` (requests), a name that comes twice in the document or in an object on the way to a field
    without ``*`` is an error; without it (answers) the last value that is not null wins.
    """

    def __init__(self, names, *, bint unique=True):
        self.names = tuple(names)
        self.size = len(self.names)
        if self.size >= MAX_RULES or len(set(self.names)) != self.size:
            raise ValueError(f"at most {MAX_RULES - 1} fields, each named once")
        rules = []
        for name in self.names:
            path, condition, value = name.partition("=")
            rules.append((path, value.encode() if condition else None))
        self.paths = Paths([*rules, ("", None)], unique)


cdef class Scan:
    """What a scan noted; ``i`` is a field's position in its ``Fields``, -1 the document itself."""

    cdef Hit *_hit(self, int field) except NULL:
        if field < -1 or field >= self.fields.size:
            raise IndexError("no such field")
        return &self.hits[field if field >= 0 else self.fields.size]

    def _name(self, int field):
        return "the body" if field < 0 else f"'{self.fields.names[field]}'"

    def _wrong(self, int field, str wanted, str given=None):
        cdef Hit *hit = self._hit(field)
        message = f"{self._name(field)} must be {wanted}, not {given or KIND_NAMES[hit.kind]}"
        return _error(self.data, "wrong_type", message, hit.start, self.fields.names[field] if field >= 0 else None)

    def kind(self, int field):
        """0 absent, 1 null, 2 false, 3 true, 4 number, 5 string, 6 array, 7 object."""
        return self._hit(field).kind

    def has_any(self, uint64_t fields):
        """Whether any of these fields is there; ``fields`` has a bit for each, ``1 << field``."""
        cdef int field
        for field in range(self.fields.size):
            if fields >> field & 1 and self.hits[field].kind != KIND_ABSENT:
                return True
        return False

    def span(self, int field):
        """Offsets of the value, ``(start, end)``; ``(0, 0)`` where it is absent."""
        cdef Hit *hit = self._hit(field)
        return hit.start, hit.end

    def member_span(self, int field):
        """Offsets of ``"name": value``; ``(0, 0)`` where it is absent."""
        cdef Hit *hit = self._hit(field)
        return (hit.member, hit.end)

    def count(self, int field):
        """How many values there are at the field's path (more than one with ``*``)."""
        return self._hit(field).count

    def total(self, int field):
        """UTF-8 bytes of all strings at the field's path."""
        return self._hit(field).total

    def filled(self, int field):
        """Whether the field is an array or an object with something in it."""
        cdef Hit *hit = self._hit(field)
        return hit.kind >= KIND_ARRAY and not hit.empty

    def raw(self, int field):
        """The value as it is written, ``None`` where it is absent."""
        cdef Hit *hit = self._hit(field)
        if hit.kind == KIND_ABSENT:
            return None
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self.data) + hit.start, hit.end - hit.start)

    def text(self, int field):
        """A string, unescaped; ``None`` where it is absent or null. Raises ``BodyError`` for another kind."""
        cdef Hit *hit = self._hit(field)
        cdef const char *start = PyBytes_AS_STRING(self.data) + hit.start + 1
        if hit.kind <= KIND_NULL:
            return None
        if hit.kind != KIND_STRING:
            raise self._wrong(field, "a string")
        if not hit.escaped:
            return PyUnicode_DecodeUTF8(start, hit.end - hit.start - 2, NULL)
        return self._unescaped(field)

    def _unescaped(self, int field):
        cdef Hit *hit = self._hit(field)
        cdef Py_ssize_t size = hit.end - hit.start - 2
        cdef uint8_t *plain = <uint8_t *>malloc(size)
        if plain == NULL:
            raise MemoryError
        try:
            size = unescape(<const uint8_t *>PyBytes_AS_STRING(self.data) + hit.start + 1, size, plain)
            if size < 0:
                message = f"{self._name(field)} holds half of a surrogate pair"
                raise _error(self.data, "wrong_type", message, hit.start, self.fields.names[field])
            return PyUnicode_DecodeUTF8(<const char *>plain, size, NULL)
        finally:
            free(plain)

    def integer(self, int field):
        """An integer within 64 bits; ``None`` where it is absent or null. Raises ``BodyError`` for anything else.

        ``16.0`` and ``1e3`` are integers too, as JSON has one kind of number.
        """
        cdef Hit *hit = self._hit(field)
        cdef const uint8_t *p
        cdef Py_ssize_t i
        cdef long long value = 0
        if hit.kind <= KIND_NULL:
            return None
        if hit.kind != KIND_NUMBER:
            raise self._wrong(field, "an integer")
        p = <const uint8_t *>PyBytes_AS_STRING(self.data) + hit.start
        if hit.end - hit.start > 18:
            return self._any_integer(field)
        for i in range(hit.end - hit.start):
            if p[i] < 48 or p[i] > 57:
                return self._any_integer(field)
            value = value * 10 + (p[i] - 48)
        return value

    def natural(self, int field):
        """As ``integer``, from 0."""
        cdef object value = self.integer(field)
        if value is not None and value < 0:
            message = f"{self._name(field)} must not be negative, and is {value}"
            raise _error(self.data, "wrong_type", message, self._hit(field).start, self.fields.names[field])
        return value

    def _any_integer(self, int field):
        raw = self.raw(field)
        try:
            number = Decimal(raw.decode() if len(raw) <= 64 else "NaN")
        except InvalidOperation:  # its exponent is beyond those of Decimal itself
            number = Decimal("NaN")
        if number.adjusted() < 19 and number == number.to_integral_value() and -(1 << 63) <= number < 1 << 63:
            return int(number)
        raise self._wrong(field, "an integer of at most 64 bits", "this number")

    def boolean(self, int field):
        """A boolean; ``None`` where it is absent or null. Raises ``BodyError`` for another kind."""
        cdef Hit *hit = self._hit(field)
        if hit.kind <= KIND_NULL:
            return None
        if hit.kind > KIND_TRUE:
            raise self._wrong(field, "a boolean")
        return hit.kind == KIND_TRUE


def scan(bytes data not None, Fields fields not None):
    """Checks a whole JSON text and notes where the fields are. Raises ``BodyError``."""
    cdef Scan found = Scan.__new__(Scan)
    cdef Report report
    found.data = data
    found.fields = fields
    if walk(
        <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &fields.paths.table, found.hits, &report
    ):
        if report.fault == FAULT_MEMORY:
            raise MemoryError
        code, message = FAULTS[report.fault]
        raise _error(data, code, message, report.at)
    found.string_bytes = report.string_bytes
    return found


def splice(bytes data not None, edits):
    """``data`` with ``data[start:end]`` replaced for each ``(start, end, replacement)``, sorted and not overlapping."""
    cdef Py_ssize_t at = 0, start, end, size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t total = size
    cdef bytes text, result
    cdef char *out
    for start, end, text in edits:
        if not at <= start <= end <= size:
            raise ValueError("edits must be sorted, must not overlap and must lie in the data")
        at = end
        total += PyBytes_GET_SIZE(text) - (end - start)
    result = PyBytes_FromStringAndSize(NULL, total)
    out = PyBytes_AS_STRING(result)
    at = 0
    for start, end, text in edits:
        memcpy(out, PyBytes_AS_STRING(data) + at, start - at)
        out += start - at
        memcpy(out, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
        out += PyBytes_GET_SIZE(text)
        at = end
    memcpy(out, PyBytes_AS_STRING(data) + at, size - at)
    return result


def insert_members(Scan found not None, members, int field=-1):
    """The edit that puts ``members``, pairs of name and JSON text, first in an object (-1: the document)."""
    cdef Hit *hit = found._hit(field)
    if hit.kind != KIND_OBJECT:
        raise found._wrong(field, "an object")
    text = b",".join([b'"' + name.encode() + b'":' + value for name, value in members])
    if members and not hit.empty:
        text += b","
    return hit.start + 1, hit.start + 1, text
