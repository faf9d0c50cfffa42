from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastgate._core.arena cimport Arena
from fastgate._core.layout cimport Cell, fg_plus
from fastgate._core.windows cimport Period

cdef struct Standing:
    uint32_t cell
    uint32_t window             # the one that counts, by its number: see `windows.present`
    uint32_t number             # the one last asked for, with when it begins and ends
    uint32_t last               # the one before that
    int64_t begin_ns
    int64_t end_ns
    int64_t anchor_ns           # what it was counted from
    int64_t own                 # its limit
    int64_t limit               # with increases, without what rolled over
    uint8_t unit                # a Unit
    uint8_t soft
    uint8_t rolls
    uint8_t shared              # by hosts: what it has room for is what was granted to this one
    uint8_t plain               # neither: `limit` says it all


cdef class Level:
    cdef readonly uint32_t cell
    cdef readonly int64_t limit
    cdef readonly Period period
    cdef readonly int unit
    cdef readonly bint soft
    cdef readonly bint rolls
    cdef readonly bint shared
    cdef readonly tuple increases


cdef class Levels:
    cdef readonly Arena arena
    cdef readonly tuple rules
    cdef int count
    cdef uint32_t tick          # the second last asked for
    cdef Standing *at

    cdef void _append(self, Level rule)
    cdef int ask(self, int64_t now_ns) except -1
    cdef int _renew(self, Standing *standing, Level rule, int64_t anchor_ns, int64_t now_ns) except -1


cdef int64_t used_in(Cell *cell, uint32_t number) noexcept nogil
cdef int64_t granted_in(Cell *cell, uint32_t number) noexcept nogil
cdef int64_t rolled_limit(Standing *standing, Cell *cell) noexcept nogil


cdef inline int64_t limit_of(Standing *standing, Cell *cell) noexcept nogil:
    """The limit of the window that counts, with what the one before it left of its own where that rolls over."""
    return rolled_limit(standing, cell) if standing.rolls else standing.limit


cdef inline bint is_told(Standing *standing, Cell *cell) noexcept nogil:
    """Whether other hosts have told what they have of the present window."""
    return standing.shared and cell.told_window == standing.window


cdef inline int64_t used_elsewhere(Standing *standing, Cell *cell) noexcept nogil:
    """What other hosts have settled and hold of the present window, as it was told last."""
    return cell.used_elsewhere if is_told(standing, cell) else 0


cdef inline int64_t spent_elsewhere(Standing *standing, Cell *cell) noexcept nogil:
    """What they have settled, likewise."""
    return cell.spent_elsewhere if is_told(standing, cell) else 0


cdef inline int64_t bound_of(Standing *standing, Cell *cell, uint32_t number) noexcept nogil:
    """What may be used here of window ``number``, which is the one that counts.

    Of what hosts share no more than was granted, nor than the limit leaves of what others have spent: it may have fallen since.
    """
    if standing.plain:
        return standing.limit
    if standing.shared:
        return min(granted_in(cell, number), fg_plus(standing.limit, -spent_elsewhere(standing, cell)))
    return limit_of(standing, cell)
