"""What the traffic teaches of a model: the most tokens per byte of a request's body, and of an answer's output; the most reasoning.

Kept in cells of the arena, so that all workers learn together and a restart forgets nothing. Until enough was seen a bound is
one token per byte, which no byte-level tokenizer exceeds; it never falls below half of that, so that whoever teaches it cheap
text and then sends dense text cannot spend more than about twice what was held. Reasoning is not bounded by anything that is
seen: the most of it is kept, and forgotten over tens of thousands of answers, lest one of them is held for by all for ever.
"""

from libc.stdint cimport INT64_MAX, int64_t

from fastgate._core.arena cimport Arena, cell_at
from fastgate._core.int128 cimport int128
from fastgate._core.layout cimport Cell, fg_add, fg_cas_signed, fg_load_signed

cdef enum:
    ENOUGH = 32             # observations before what was learned is trusted
    SCALE = 65536           # tokens per byte are kept in 1/65536
    SAFETY_PERCENT = 150
    LEAST = SCALE / 2       # half a token per byte, however cheap the traffic was so far: what comes next may be dense
    CONSTANT = 64           # tokens: what a chat template adds to the shortest of messages
    TELLING = 256           # bytes: of a shorter output its framing says more than its text
    FINE = 1024             # reasoning tokens are kept in 1/1024, so that little is forgotten of few, too
    FORGETTING = 15         # bits: with each answer a 1/32768 of it, 13,000 until the margin above it is used up


cdef void _raise_to(int64_t *at, int64_t value) noexcept nogil:
    cdef int64_t highest = fg_load_signed(at)
    while value > highest and not fg_cas_signed(at, highest, value):
        highest = fg_load_signed(at)


cdef void _see(Cell *cell, int64_t tokens, int64_t size) noexcept nogil:
    _raise_to(&cell.used.amount, (tokens * SCALE + size - 1) // size)


cdef void _raise_fading(int64_t *at, int64_t value) noexcept nogil:
    """Raises to ``value``, else lowers towards it by very little."""
    cdef int64_t highest = fg_load_signed(at)
    while not fg_cas_signed(at, highest, max(value, highest - (highest >> FORGETTING))):
        highest = fg_load_signed(at)


cdef void _count(Cell *cell) noexcept nogil:
    if fg_load_signed(&cell.spent.amount) < ENOUGH:
        fg_add(&cell.spent.amount, 1)


cdef bint _is_learned(Cell *cell) noexcept nogil:
    return fg_load_signed(&cell.spent.amount) >= ENOUGH


cdef int64_t _rate(Cell *cell) noexcept nogil:
    """Tokens per byte to go by, in 1/SCALE, at most one."""
    if not _is_learned(cell):
        return SCALE
    return min(max(fg_load_signed(&cell.used.amount) * SAFETY_PERCENT // 100, LEAST), SCALE)


cdef inline int64_t _made_of(int64_t size, int64_t rate) noexcept nogil:
    """Tokens of so many bytes; exact for any size, since a rate is at most one."""
    return <int64_t>(<int128>rate * size // SCALE)


cdef class TokenRate:
    """``TokenRate(arena, model)``: of requests' bodies, shared by all workers, by the name "provider/model"."""

    def __cinit__(self, Arena arena, str model):
        self.arena = arena
        self.cell = arena.cell(f"learned/{model}")

    cpdef void observe(self, int64_t tokens, int64_t size):
        """A body of ``size`` bytes was billed ``tokens`` of input."""
        cdef Cell *cell = cell_at(self.arena, self.cell)
        if size > 0 and tokens > 0:
            _see(cell, tokens, size)
            _count(cell)

    @property
    def learned(self) -> bool:
        """Whether enough was seen to go by it."""
        return _is_learned(cell_at(self.arena, self.cell))

    cpdef int64_t bound(self, int64_t size):
        """The input tokens to hold for a body of ``size`` bytes."""
        cdef int64_t rate = _rate(cell_at(self.arena, self.cell))
        cdef int64_t learned = _made_of(size, rate)
        return min((learned + 1 if learned < size else size), INT64_MAX - CONSTANT) + CONSTANT


cdef inline int64_t _tokens(int64_t fine) noexcept nogil:
    return fine // FINE + (fine % FINE != 0)


cdef class OutputRate:
    """``OutputRate(arena, name)``: of answers; ``name`` says of which model, asked for what kind of answer."""

    def __cinit__(self, Arena arena, str name):
        self.arena = arena
        self.cell = arena.cell(f"learned/outputs/{name}")

    cpdef void observe(self, int64_t tokens, int64_t size, int64_t reasoning):
        """An answer was billed ``tokens`` for ``size`` bytes of output (0: not measured), and ``reasoning`` beside them.

        Providers that do not tell reasoning apart bill more tokens than there are bytes.
        """
        cdef Cell *cell = cell_at(self.arena, self.cell)
        if size > 0 and tokens > size + TELLING:
            reasoning = max(reasoning, tokens - size)
        _raise_fading(&cell.overrun, min(reasoning, INT64_MAX // FINE) * FINE)
        if size >= TELLING:
            _see(cell, tokens, size)
        _count(cell)

    @property
    def learned(self) -> bool:
        """Whether enough was seen to go by it."""
        return _is_learned(cell_at(self.arena, self.cell))

    @property
    def most_reasoning(self) -> int:
        """The most reasoning tokens that one answer was billed, as far as that is remembered."""
        return _tokens(fg_load_signed(&cell_at(self.arena, self.cell).overrun))

    @property
    def likely_reasoning(self) -> int:
        """Tokens of reasoning to expect of an answer at most: what was seen, and half of it."""
        return _tokens(fg_load_signed(&cell_at(self.arena, self.cell).overrun)) * SAFETY_PERCENT // 100

    cpdef int64_t bound(self, int64_t size):
        """The tokens that ``size`` bytes of output may have been made of."""
        return _made_of(size, _rate(cell_at(self.arena, self.cell)))

    cpdef int64_t reach(self, int64_t tokens):
        """The fewest bytes of output whose bound is above ``tokens``."""
        cdef int64_t rate = _rate(cell_at(self.arena, self.cell))
        if tokens < 0:
            return 0
        if tokens >= INT64_MAX // SCALE - 1:
            return INT64_MAX
        return ((tokens + 1) * SCALE + rate - 1) // rate
