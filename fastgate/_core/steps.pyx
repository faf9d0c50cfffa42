"""The steps by which a hold's record moves, each of them detectable after a crash.

A record's ``progress`` is one word: state, step, who makes the step, with which sequence number, and a generation. It is stored
before the compare-and-swap of the step, and the tag of the swapped word bears the same owner and sequence. Whoever replaces a
word first notes its tag's sequence in the slot of that tag's owner (``done``), in full: a tag only bears the low bits. So of a dead owner's last step it can always be
told whether it took place: the word still bears its tag, or ``done`` has reached its sequence, or it did not happen.

    FREE ─▶ HOLDING(0..n) ─▶ HELD ─▶ SETTLING(0..2n) ─▶ FREE
                  └──────────────┴──▶ VOIDING(n..0) ──▶ FREE

Even steps of a settlement change what is used (by actual - held), odd ones what is spent. A window that has turned since the
hold was taken is left alone: the amount belongs to the window in which the request was admitted.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastgate._core.arena cimport Arena, cell_at, slot_at
from fastgate._core.layout cimport (
    FREE, SEQUENCES, SETTLING, VOIDING, Cell, Record, Slot, fg_cas, fg_cas_signed, fg_cas_word, fg_load, fg_load_signed,
    fg_load_word, fg_plus, fg_store, fg_word,
)
from fastgate._core.owner cimport Owner, next_sequence


cdef void put_progress(Owner owner, Record *record, int state, int step, uint64_t sequence) noexcept nogil:
    cdef uint64_t generation = record.progress >> 48
    fg_store(&record.progress, <uint64_t>state | <uint64_t>step << 4 | <uint64_t>owner.slot << 12 | sequence << 22 | generation << 48)


cdef void free_record(Record *record) noexcept nogil:
    fg_store(&record.progress, <uint64_t>FREE | ((record.progress >> 48) + 1) << 48)


cdef void help_owner(Owner owner, uint64_t tag) noexcept nogil:
    """Before a word is replaced: note for the owner of its tag that the change it marks took place."""
    cdef uint32_t other = (tag >> 26) & 0x3FF
    cdef uint64_t sequence = tag & SEQUENCES
    cdef uint64_t seen
    cdef Slot *slot
    if sequence == 0 or other == owner.slot:
        return
    slot = slot_at(owner.arena, other)
    sequence = _whole(slot, sequence)
    while True:
        seen = fg_load(&slot.done)
        if seen >= sequence or fg_cas(&slot.done, seen, sequence):
            return  # it is noted, or a later change of the same owner was already


cdef inline uint64_t _whole(Slot *slot, uint64_t sequence) noexcept nogil:
    """The last sequence number of that owner that ends in the bits of a tag."""
    cdef uint64_t last = fg_load(&slot.sequence)
    return last - ((last - sequence) & SEQUENCES)


cdef void _change(Owner owner, fg_word *word, uint32_t window, int64_t delta, bint opens, uint64_t sequence) noexcept nogil:
    """Add ``delta`` in ``window``, once. A word that has moved on is left; one that lags is opened where ``opens``."""
    cdef fg_word seen, wanted
    cdef uint64_t have
    while True:
        seen = fg_load_word(word)
        have = seen.tag >> 36
        if have > window or (have < window and not opens):
            return
        wanted.amount = fg_plus(seen.amount if have == window else 0, delta)
        wanted.tag = window * (<uint64_t>1 << 36) | <uint64_t>owner.slot << 26 | sequence
        help_owner(owner, seen.tag)
        if fg_cas_word(word, seen, wanted):
            return


cdef void _grow(int64_t *sum, int64_t amount) noexcept nogil:
    cdef int64_t seen = fg_load_signed(sum)
    while not fg_cas_signed(sum, seen, fg_plus(seen, amount)):
        seen = fg_load_signed(sum)


cdef void settle_steps(Owner owner, Record *record, int first) noexcept nogil:
    """Make the steps of a settlement from ``first`` on."""
    cdef int step
    cdef uint64_t sequence
    cdef Cell *cell
    for step in range(first, 2 * <int>record.levels):
        cell = cell_at(owner.arena, record.cells[step >> 1])
        sequence = next_sequence(owner)
        put_progress(owner, record, SETTLING, step, sequence)
        if step & 1:
            _change(owner, &cell.spent, record.windows[step >> 1], record.actual, True, sequence)
        else:
            if record.actual != record.amount:
                _change(owner, &cell.used, record.windows[step >> 1], record.actual - record.amount, False, sequence)
            if record.actual > record.amount:
                _grow(&cell.overrun, record.actual - record.amount)


cdef void void_steps(Owner owner, Record *record, int last) noexcept nogil:
    """Give back the levels from ``last`` down to the first."""
    cdef int step
    cdef uint64_t sequence
    for step in range(last, -1, -1):
        sequence = next_sequence(owner)
        put_progress(owner, record, VOIDING, step, sequence)
        _change(owner, &cell_at(owner.arena, record.cells[step]).used, record.windows[step], -record.amount, False, sequence)


cdef bint was_applied(Arena arena, Record *record) noexcept nogil:
    """Whether the step that ``progress`` announces took place. Only true to fact once its owner cannot run any more."""
    cdef uint64_t progress = fg_load(&record.progress)
    cdef uint64_t sequence = sequence_of(progress)
    cdef uint32_t owner = owner_of(progress)
    cdef int step = step_of(progress)
    cdef Cell *cell
    cdef uint64_t tag
    if sequence == 0:
        return False
    if state_of(progress) == SETTLING:
        cell = cell_at(arena, record.cells[step >> 1])
        tag = fg_load_word(&cell.spent if step & 1 else &cell.used).tag
    else:
        tag = fg_load_word(&cell_at(arena, record.cells[step]).used).tag
    if (tag & SEQUENCES) == sequence and ((tag >> 26) & 0x3FF) == owner:
        return True
    return fg_load(&slot_at(arena, owner).done) == _whole(slot_at(arena, owner), sequence)
