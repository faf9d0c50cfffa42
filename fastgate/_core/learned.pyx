"""What the traffic teaches of a model: the most tokens per byte of request body, and the most reasoning, ever seen.

Kept in a cell of the arena, so that all workers learn together and a restart forgets nothing. Until enough was seen the bound is
one token per byte, which no byte-level tokenizer exceeds; it never falls below half of that, so that whoever teaches it cheap
text and then sends dense text cannot spend more than about twice what was held.
"""

from libc.stdint cimport int64_t, uint32_t

from fastgate._core.arena cimport Arena, cell_at
from fastgate._core.layout cimport Cell, fg_add, fg_cas_signed, fg_load_signed

cdef enum:
    ENOUGH = 32             # observations before what was learned is trusted
    SCALE = 65536           # tokens per byte are kept in 1/65536
    SAFETY_PERCENT = 150
    LEAST = SCALE / 2       # half a token per byte, however cheap the traffic was so far: what comes next may be dense
    CONSTANT = 64           # tokens: what a chat template adds to the shortest of messages


cdef class TokenRate:
    """``TokenRate(arena, model)``: shared by all workers, by the name "provider/model"."""

    cdef Arena arena
    cdef uint32_t cell

    def __cinit__(self, Arena arena, str model):
        self.arena = arena
        self.cell = arena.cell(f"learned/{model}")

    cpdef void observe(self, int64_t tokens, int64_t size, int64_t reasoning=0):
        """A body of ``size`` bytes was billed ``tokens`` of input, and its answer ``reasoning`` that it need not show."""
        cdef Cell *cell = cell_at(self.arena, self.cell)
        cdef int64_t most = fg_load_signed(&cell.overrun)
        while reasoning > most and not fg_cas_signed(&cell.overrun, most, reasoning):
            most = fg_load_signed(&cell.overrun)
        if size <= 0 or tokens <= 0:
            return
        cdef int64_t rate = (tokens * SCALE + size - 1) // size
        cdef int64_t highest = fg_load_signed(&cell.used.amount)
        while rate > highest and not fg_cas_signed(&cell.used.amount, highest, rate):
            highest = fg_load_signed(&cell.used.amount)
        if fg_load_signed(&cell.spent.amount) < ENOUGH:
            fg_add(&cell.spent.amount, 1)

    @property
    def learned(self) -> bool:
        """Whether enough was seen to go by it."""
        return fg_load_signed(&cell_at(self.arena, self.cell).spent.amount) >= ENOUGH

    @property
    def most_reasoning(self) -> int:
        """The most reasoning tokens that one answer was ever billed."""
        return fg_load_signed(&cell_at(self.arena, self.cell).overrun)

    cpdef int64_t bound(self, int64_t size):
        """The input tokens to hold for a body of ``size`` bytes."""
        cdef Cell *cell = cell_at(self.arena, self.cell)
        cdef int64_t learned
        if fg_load_signed(&cell.spent.amount) < ENOUGH:
            return size + CONSTANT
        learned = max(fg_load_signed(&cell.used.amount) * SAFETY_PERCENT // 100, LEAST) * size // SCALE + 1
        return (learned if learned < size else size) + CONSTANT
