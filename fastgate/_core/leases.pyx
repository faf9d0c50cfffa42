"""What one host may use of a limit that several share: granted to it window by window, taken back when it has no use for it.

Workers read what was granted after they have read what is used, and take their part by a swap of the latter alone. So an amount
is taken back in two steps: first less is granted, then what is used gets another tag. Whoever had read the higher amount before
finds that its swap fails, and reads again; what was taken until then is told, and stays granted. No hold is in the way of that, and a
kill between the steps leaves less granted than might be: nothing else.

One process of a host grants and takes back: its control process.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastgate._core.arena cimport Arena, cell_at
from fastgate._core.layout cimport (
    CELLS_PER_CHUNK, CHUNK_CELLS, GRANTS, Cell, fg_cas_signed, fg_cas_word, fg_load, fg_load_signed, fg_load_word, fg_store, fg_store_signed, fg_word,
)
from fastgate._core.levels cimport granted_in
from fastgate._core.owner cimport Owner, next_sequence
from fastgate._core.steps cimport help_owner, make_tag, window_of, word_of

cdef enum:
    STRANDED = 1  # in `dry_until_ns`, whose nanoseconds are even


def granted(Arena arena not None, uint32_t cell, uint32_t window) -> int:
    """What this host may use of ``window``; 0: nothing was granted."""
    return granted_in(cell_at(arena, cell), window)


def grant(Arena arena not None, uint32_t cell, uint32_t window, int64_t amount) -> bool:
    """From here on ``amount`` may be used of ``window``. False: later windows have taken its place, so that nobody asks for it.

    Raises ValueError where it is less than before: that is for :func:`take_back`.
    """
    cdef fg_word *place = _place_of(cell_at(arena, cell), window)
    if place == NULL:
        return False
    if amount < granted_in(cell_at(arena, cell), window):
        raise ValueError("what was granted can only be taken back")
    _put(place, window, amount)
    return True


def take_back(Owner owner not None, uint32_t cell, uint32_t window, int64_t amount) -> int:
    """From here on no more than ``amount`` may be used of ``window``, or what is used of it by now: returns which."""
    cdef Cell *at = cell_at(owner.arena, cell)
    cdef fg_word *place = _place_of(at, window)
    cdef int64_t before = granted_in(at, window)
    cdef int64_t used
    if place == NULL or before <= amount:
        return before
    _put(place, window, amount)
    used = _settle_readers(owner, at, window)
    if used > amount:
        amount = min(used, before)
        _put(place, window, amount)
    return amount


def used(Arena arena not None, uint32_t cell, uint32_t window) -> tuple[int, int] | None:
    """``(used, spent)`` of ``window`` on this host: settled and held, and settled. None: it is not counted, not yet or no more.

    Of a window that has turned nobody knows what is held: then all counts as settled.
    """
    cdef Cell *at = cell_at(arena, cell)
    cdef fg_word *word = word_of(at, window)
    cdef fg_word taken, settled
    cdef int64_t spent = 0
    if word == NULL:
        return None
    taken, settled = fg_load_word(word), fg_load_word(&at.spent)
    if window_of(taken) != window:
        return None
    if window_of(settled) == window:
        spent = settled.amount
    elif window_of(settled) > window:
        spent = taken.amount
    return taken.amount, spent


def at_hand(Arena arena not None, uint32_t cell, uint32_t window) -> int:
    """What was granted of ``window`` and is neither held nor settled."""
    cdef Cell *at = cell_at(arena, cell)
    cdef fg_word *word = word_of(at, window)
    cdef fg_word taken
    cdef int64_t amount = 0
    if word != NULL:
        taken = fg_load_word(word)
        if window_of(taken) == window:
            amount = taken.amount
    return granted_in(at, window) - amount


def grants(Arena arena not None) -> list[tuple[int, int, int]]:
    """``(cell, window, amount)`` of all that was ever granted and nothing else has taken the place of, and of what is used though
    nothing was granted, as after counters came back from elsewhere. Looks at every cell.
    """
    cdef uint64_t number, chunk, window
    cdef Cell *at
    cdef fg_word word
    cdef int i
    found = []
    for chunk in range(fg_load(&arena.header.chunks)):
        if fg_load(arena.directory() + chunk) & 0xFF != CHUNK_CELLS:
            continue
        for number in range(chunk * CELLS_PER_CHUNK, (chunk + 1) * CELLS_PER_CHUNK):
            at = cell_at(arena, <uint32_t>number)
            for i in range(GRANTS):
                word = fg_load_word(&at.granted[i])
                if word.tag != 0:
                    found.append((number, word.tag, word.amount))
            window = window_of(fg_load_word(&at.used))
            if window != 0 and not _is_known(at, window):
                found.append((number, window, 0))
    return found


def tell_others(Arena arena not None, uint32_t cell, uint32_t window, int64_t used, int64_t spent) -> None:
    """What other hosts have used of ``window``, for whoever shows it."""
    cdef Cell *at = cell_at(arena, cell)
    fg_store(&at.told_window, 0)
    fg_store_signed(&at.used_elsewhere, used)
    fg_store_signed(&at.spent_elsewhere, spent)
    fg_store(&at.told_window, window)


def tell_dry(Arena arena not None, uint32_t cell, int64_t until_ns, *, bint stranded=False) -> None:
    """Until then there is no more to be had of this limit: nobody need wait for it. ``stranded``: nor will there be."""
    fg_store_signed(&cell_at(arena, cell).dry_until_ns, until_ns & ~STRANDED | (STRANDED if stranded else 0))


def is_dry(Arena arena not None, uint32_t cell, int64_t now_ns) -> bool:
    """Whether that was told, and holds yet."""
    return fg_load_signed(&cell_at(arena, cell).dry_until_ns) > now_ns


def is_stranded(Arena arena not None, uint32_t cell, int64_t now_ns) -> bool:
    """Whether it was told so because hosts that are gone for good have what is left of it."""
    cdef int64_t until_ns = fg_load_signed(&cell_at(arena, cell).dry_until_ns)
    return until_ns > now_ns and until_ns & STRANDED != 0


def tell_store(Arena arena not None, int state) -> None:
    """How it stands with the store that hosts share, for whoever is refused: a ``StoreState``."""
    fg_store(&arena.header.store_state, <uint64_t>state)


def store_state(Arena arena not None) -> int:
    """As it was told last."""
    return <int>fg_load(&arena.header.store_state)


def set_anchor(Arena arena not None, uint32_t cell, int64_t anchor_ns) -> None:
    """From here on windows are counted from the first use that all hosts have agreed on."""
    cdef Cell *at = cell_at(arena, cell)
    cdef int64_t seen = fg_load_signed(&at.anchor_ns)
    while seen != anchor_ns and not fg_cas_signed(&at.anchor_ns, seen, anchor_ns):
        seen = fg_load_signed(&at.anchor_ns)


cdef bint _is_known(Cell *cell, uint64_t window) noexcept nogil:
    """Whether anything was ever granted of it."""
    cdef int i
    for i in range(GRANTS):
        if fg_load(&cell.granted[i].tag) == window:
            return True
    return False


cdef fg_word *_place_of(Cell *cell, uint32_t window) noexcept nogil:
    """Where ``window`` is, or the place of the oldest one that is older; NULL: there is none."""
    cdef fg_word *oldest = NULL
    cdef uint64_t least = window
    cdef uint64_t tag
    cdef int i
    for i in range(GRANTS):
        tag = fg_load_word(&cell.granted[i]).tag
        if tag == window:
            return &cell.granted[i]
        if tag < least:
            oldest, least = &cell.granted[i], tag
    return oldest


cdef void _put(fg_word *place, uint32_t window, int64_t amount) noexcept nogil:
    cdef fg_word seen, wanted
    wanted.amount, wanted.tag = amount, window
    seen = fg_load_word(place)
    while not fg_cas_word(place, seen, wanted):
        seen = fg_load_word(place)


cdef int64_t _settle_readers(Owner owner, Cell *cell, uint32_t window) noexcept nogil:
    """Give the word that counts ``window`` another tag; returns what was used when it got it."""
    cdef fg_word *word
    cdef fg_word seen, wanted
    while True:
        word = word_of(cell, window)
        seen = fg_load_word(&cell.used if word == NULL else word)
        if word != NULL and window_of(seen) != window:
            continue  # it has just turned
        wanted.amount = seen.amount
        wanted.tag = make_tag(window_of(seen), owner.slot, next_sequence(owner))
        help_owner(owner, seen.tag)
        if fg_cas_word(&cell.used if word == NULL else word, seen, wanted):
            return seen.amount if window_of(seen) == window else 0
