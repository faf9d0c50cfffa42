"""One pass over JSON text: the whole grammar is checked, and values at wanted paths are noted by their offsets.

Nothing is decoded and no Python object is made. Paths are compiled to a tree of nodes; the walk holds, per open
bracket, the node that it is at (or none, which is the cheap case). Strict RFC 8259: UTF-8 without surrogates, no raw
control characters in strings, no NaN, nothing after the document, at most ``MAX_DEPTH`` brackets deep. Half of a
surrogate pair written as an escape is allowed by the grammar and passes, but for names that have to be compared.
"""

from libc.stdint cimport int16_t, uint8_t
from libc.string cimport memcmp, memset

from fastgate._core.names cimport (
    NAME_NEW, NAME_TOO_MANY, NAME_TWICE, NAME_UNPAIRED, NameSet, names_add, names_begin, names_end, unescape,
)

cdef extern from "bytescan.h":
    const uint8_t *fg_plain_run(const uint8_t *p, const uint8_t *end) noexcept nogil

cdef struct Frame:              # an open bracket
    int node
    bint array
    Py_ssize_t start
    Py_ssize_t member


cdef struct Walk:
    const uint8_t *data
    const uint8_t *end
    const Table *table
    Hit *hits
    Report *report
    int node                    # of the value that comes next, -1: nobody wants it
    Py_ssize_t member
    int depth
    Py_ssize_t length           # of the last string, unescaped
    bint escaped
    Frame frames[MAX_DEPTH]
    NameSet names


cdef inline const uint8_t *_fail(Walk *w, int fault, const uint8_t *p) noexcept nogil:
    w.report.fault = FAULT_CUT if p >= w.end and fault < FAULT_DEPTH else fault
    w.report.at = p - w.data
    return NULL


cdef inline const uint8_t *_space(const uint8_t *p, const uint8_t *end) noexcept nogil:
    while p < end and p[0] <= 32 and (p[0] == 32 or p[0] == 10 or p[0] == 13 or p[0] == 9):
        p += 1
    return p


cdef inline int _hex4(const uint8_t *p, const uint8_t *end) noexcept nogil:
    """The value of four hexadecimal digits, or -1."""
    cdef int value = 0, i, c
    if end - p < 4:
        return -1
    for i in range(4):
        c = p[i]
        if 48 <= c <= 57:
            c -= 48
        elif 97 <= c <= 102:
            c -= 87
        elif 65 <= c <= 70:
            c -= 55
        else:
            return -1
        value = value << 4 | c
    return value


cdef const uint8_t *_escape(Walk *w, const uint8_t *p, Py_ssize_t *saved) noexcept nogil:
    """Past the escape that begins at ``p``; adds to ``saved`` by how much it is longer than the text it stands for."""
    cdef int code, low
    if w.end - p < 2:
        return _fail(w, FAULT_ESCAPE, w.end)
    if p[1] != c'u':
        if p[1] in (c'"', c'\\', c'/', c'b', c'f', c'n', c'r', c't'):
            saved[0] += 1
            return p + 2
        return _fail(w, FAULT_ESCAPE, p)
    code = _hex4(p + 2, w.end)
    if code < 0:
        return _fail(w, FAULT_ESCAPE, p)
    if 0xD800 <= code < 0xDC00 and w.end - p >= 12 and p[6] == c'\\' and p[7] == c'u':
        low = _hex4(p + 8, w.end)
        if 0xDC00 <= low < 0xE000:
            saved[0] += 8
            return p + 12
    saved[0] += 5 if code < 0x80 else 4 if code < 0x800 else 3
    return p + 6


cdef inline const uint8_t *_wide(Walk *w, const uint8_t *p) noexcept nogil:
    """Past the run of multi-byte characters that begins at ``p``."""
    cdef const uint8_t *end = w.end
    cdef uint8_t c, low, high
    cdef int more
    while p < end and p[0] >= 0x80:
        c = p[0]
        low = 0x80
        high = 0xBF
        if c < 0xC2 or c > 0xF4:
            return _fail(w, FAULT_UTF8, p)
        if c < 0xE0:
            more = 1
        elif c < 0xF0:
            more = 2
            if c == 0xE0:
                low = 0xA0
            elif c == 0xED:
                high = 0x9F
        else:
            more = 3
            if c == 0xF0:
                low = 0x90
            elif c == 0xF4:
                high = 0x8F
        if end - p <= more:
            return _fail(w, FAULT_UTF8, p)
        if p[1] < low or p[1] > high or (more > 1 and p[2] & 0xC0 != 0x80) or (more > 2 and p[3] & 0xC0 != 0x80):
            return _fail(w, FAULT_UTF8, p)
        p += more + 1
    return p


cdef inline const uint8_t *_string(Walk *w, const uint8_t *p) noexcept nogil:
    """Past the string whose opening quote is at ``p``; sets ``length`` and ``escaped``."""
    cdef const uint8_t *end = w.end
    cdef const uint8_t *start = p + 1
    cdef Py_ssize_t saved = 0
    p = start
    while True:
        p = fg_plain_run(p, end)
        if p == end:
            return _fail(w, FAULT_CUT, p)
        if p[0] == c'"':
            break
        if p[0] >= 0x80:
            p = _wide(w, p)
        elif p[0] == c'\\':
            p = _escape(w, p, &saved)
        else:
            return _fail(w, FAULT_CONTROL, p)
        if p == NULL:
            return NULL
    w.length = p - start - saved
    w.escaped = saved != 0
    w.report.string_bytes += w.length
    return p + 1


cdef inline const uint8_t *_digits(const uint8_t *p, const uint8_t *end) noexcept nogil:
    while p < end and 48 <= p[0] <= 57:
        p += 1
    return p


cdef inline const uint8_t *_number(Walk *w, const uint8_t *p) noexcept nogil:
    cdef const uint8_t *end = w.end
    cdef const uint8_t *from_
    if p[0] == c'-':
        p += 1
    from_ = p
    p = _digits(p, end)
    if p == from_ or (from_[0] == c'0' and p - from_ > 1):
        return _fail(w, FAULT_NUMBER, p)
    if p < end and p[0] == c'.':
        from_ = p + 1
        p = _digits(from_, end)
        if p == from_:
            return _fail(w, FAULT_NUMBER, p)
    if p < end and p[0] | 32 == c'e':
        p += 1
        if p < end and (p[0] == c'+' or p[0] == c'-'):
            p += 1
        from_ = p
        p = _digits(p, end)
        if p == from_:
            return _fail(w, FAULT_NUMBER, p)
    return p


cdef inline const uint8_t *_word(Walk *w, const uint8_t *p, const char *word, Py_ssize_t size) noexcept nogil:
    if w.end - p >= size and memcmp(p, word, size) == 0:
        return p + size
    return _fail(w, FAULT_VALUE, p)


cdef bint _wanted(Walk *w, const Rule *rule, int kind, const uint8_t *start, const uint8_t *end) noexcept nogil:
    """Whether a rule wants a value: any, or the string that it names, however that is escaped."""
    cdef uint8_t plain[LONGEST_NAME * 6]
    if rule.equals == NULL:
        return True
    if kind != KIND_STRING or w.length != rule.size:
        return False
    if not w.escaped:
        return memcmp(rule.equals, start + 1, rule.size) == 0
    # No escape is longer than six times the text it stands for, and no rule's text than LONGEST_NAME.
    return unescape(start + 1, end - start - 2, plain) == rule.size and memcmp(rule.equals, plain, rule.size) == 0


cdef void _record(
    Walk *w, int kind, Py_ssize_t member, const uint8_t *start, const uint8_t *end, int node, bint empty
) noexcept nogil:
    """Notes a finished value with every rule that wants it. A null never replaces a value."""
    cdef int16_t at = w.table.nodes[node].rule
    cdef Hit *hit
    while at >= 0:
        if _wanted(w, &w.table.rules[at], kind, start, end):
            hit = &w.hits[at]
            hit.count += 1
            if kind == KIND_STRING:
                hit.total += w.length
            if kind != KIND_NULL or hit.kind <= KIND_NULL:
                hit.kind = kind
                hit.member = member
                hit.start = start - w.data
                hit.end = end - w.data
                hit.escaped = kind == KIND_STRING and w.escaped
                hit.empty = empty
        at = w.table.rules[at].next


cdef inline const uint8_t *_scalar(Walk *w, const uint8_t *p) noexcept nogil:
    """Past the value without brackets that begins at ``p``."""
    cdef const uint8_t *start = p
    cdef uint8_t c = p[0]
    cdef int kind
    if c == c'"':
        kind = KIND_STRING
        p = _string(w, p)
    elif c == c'-' or 48 <= c <= 57:
        kind = KIND_NUMBER
        p = _number(w, p)
    elif c == c't':
        kind = KIND_TRUE
        p = _word(w, p, b"true", 4)
    elif c == c'f':
        kind = KIND_FALSE
        p = _word(w, p, b"false", 5)
    elif c == c'n':
        kind = KIND_NULL
        p = _word(w, p, b"null", 4)
    else:
        return _fail(w, FAULT_VALUE, p)
    if p != NULL and w.node >= 0:
        _record(w, kind, w.member, start, p, w.node, False)
    return p


cdef inline int _find(Walk *w, int node, const uint8_t *name, Py_ssize_t size) noexcept nogil:
    """The child of ``node`` that has this name (as written), or -1."""
    cdef const Node *nodes = w.table.nodes
    cdef uint8_t plain[LONGEST_NAME * 6]
    cdef int16_t child
    if w.escaped:
        if size > LONGEST_NAME * 6:
            return -1
        size = unescape(name, size, plain)
        name = plain
        if size < 0:
            return -1
    child = nodes[node].by_size[size if size < NAME_SLOTS else NAME_SLOTS - 1]
    while child >= 0 and not (nodes[child].size == size and memcmp(nodes[child].name, name, size) == 0):
        child = nodes[child].next
    return child


cdef inline int _name_fault(int added) noexcept nogil:
    if added == NAME_TWICE:
        return FAULT_TWICE
    if added == NAME_UNPAIRED:
        return FAULT_UNPAIRED
    return FAULT_NAMES if added == NAME_TOO_MANY else FAULT_MEMORY


cdef inline const uint8_t *_name(Walk *w, const uint8_t *p) noexcept nogil:
    """Past a member's name and its colon; sets ``node`` and ``member`` for its value."""
    cdef Frame *frame = &w.frames[w.depth - 1]
    cdef const uint8_t *name = p
    cdef int added
    if p == w.end or p[0] != c'"':
        return _fail(w, FAULT_NAME, p)
    p = _string(w, p)
    if p == NULL:
        return NULL
    w.node = -1
    if frame.node >= 0:
        w.member = name - w.data
        w.node = _find(w, frame.node, name + 1, p - name - 2)
        if w.table.nodes[frame.node].unique:
            added = names_add(&w.names, frame.start, name + 1, p - name - 2, w.escaped)
            if added != NAME_NEW:
                return _fail(w, _name_fault(added), name)
    p = _space(p, w.end)
    if p == w.end or p[0] != c':':
        return _fail(w, FAULT_COLON, p)
    return _space(p + 1, w.end)


cdef inline const uint8_t *_next(Walk *w, const uint8_t *p) noexcept nogil:
    """To the next value of the innermost bracket."""
    cdef Frame *frame = &w.frames[w.depth - 1]
    if not frame.array:
        return _name(w, p)
    w.node = -1 if frame.node < 0 else w.table.nodes[frame.node].star
    w.member = -1
    return p


cdef inline const uint8_t *_open(Walk *w, const uint8_t *p) noexcept nogil:
    """Past an opening bracket and what space follows."""
    cdef Frame *frame
    if w.depth == MAX_DEPTH:
        return _fail(w, FAULT_DEPTH, p)
    frame = &w.frames[w.depth]
    frame.node = w.node
    frame.array = p[0] == c'['
    frame.start = p - w.data
    frame.member = w.member
    w.depth += 1
    return _space(p + 1, w.end)


cdef inline const uint8_t *_close(Walk *w, const uint8_t *p, bint empty) noexcept nogil:
    """Past the closing bracket at ``p`` and what space follows."""
    cdef Frame *frame
    w.depth -= 1
    frame = &w.frames[w.depth]
    if frame.node >= 0:
        _record(
            w, KIND_ARRAY if frame.array else KIND_OBJECT, frame.member, w.data + frame.start, p + 1, frame.node, empty
        )
    return _space(p + 1, w.end)


cdef inline bint _closes(Walk *w, const uint8_t *p) noexcept nogil:
    return p < w.end and p[0] == (c']' if w.frames[w.depth - 1].array else c'}')


cdef inline const uint8_t *_document(Walk *w, const uint8_t *p) noexcept nogil:
    """Past the whole document, or NULL with the fault reported."""
    cdef const uint8_t *end = w.end
    cdef bint finished
    p = _space(p, end)
    while p != NULL:
        if p == end:
            return _fail(w, FAULT_CUT, p)
        if p[0] == c'{' or p[0] == c'[':
            p = _open(w, p)
            if p == NULL:
                return NULL
            if not _closes(w, p):
                p = _next(w, p)
                continue
            p = _close(w, p, True)
        else:
            p = _scalar(w, p)
            if p == NULL:
                return NULL
            p = _space(p, end)
        while w.depth > 0 and _closes(w, p):
            p = _close(w, p, False)
        if w.depth == 0:
            return p if p == end else _fail(w, FAULT_REST, p)
        if p == end or p[0] != c',':
            return _fail(w, FAULT_COMMA, p)
        p = _next(w, _space(p + 1, end))
    return NULL


cdef int walk(const uint8_t *data, Py_ssize_t size, const Table *table, Hit *hits, Report *report) noexcept nogil:
    """Checks ``data`` and fills ``hits``, one per rule of ``table``. Returns the fault, which ``report`` has too."""
    cdef Walk w
    report.fault = FAULT_NONE
    report.at = 0
    report.string_bytes = 0
    memset(hits, 0, table.rule_count * sizeof(Hit))
    w.data = data
    w.end = data + size
    w.table = table
    w.hits = hits
    w.report = report
    w.node = 0
    w.member = -1
    w.depth = 0
    w.length = 0
    w.escaped = False
    if table.unique:
        names_begin(&w.names)
    _document(&w, data)
    if table.unique:
        names_end(&w.names)
    return report.fault
