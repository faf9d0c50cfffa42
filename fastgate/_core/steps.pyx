"""The steps by which a hold's record moves, each of them detectable after a crash.

A record's ``progress`` is one word: state, step, who makes the step, with which sequence number, which side of its amounts
counts, and a generation. It is stored before the compare-and-swap of the step, and the tag of the swapped word bears the same
owner and sequence. Whoever replaces a word first notes its tag's sequence in the slot of that tag's owner (``done``), in full: a
tag only bears the low bits. So of a dead owner's last step it can always be told whether it took place: the word still bears its
tag, or ``done`` has reached its sequence, or it did not happen.

    FREE ─▶ HOLDING(0..n) ─▶ HELD ─▶ SETTLING(0..2n) ─▶ FREE
                  │          │  ▲─▶ GROWING(0..n) ─▶ HELD, the other side's amounts
                  │          │  └── SHRINKING(n..0) ◀──┘
                  └──────────┴──▶ VOIDING(n..0) ──▶ FREE

Even steps of a settlement change what is used (by actual - held), odd ones what is spent, where a level counts money.

A window's word ``used`` turns to the next window by a swap; what it came to is first kept in ``before``. So a change that
comes late, of a hold that was taken in the window before, lands there. In a window that is longer gone there is nothing to
change any more: the amount is in the ledger.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastgate._core.arena cimport Arena, cell_at, slot_at
from fastgate._core.layout cimport (
    FREE, GROWING, HELD, OWNER_SHIFT, SEQUENCES, SETTLING, SHRINKING, USD, VOIDING, Cell, Record, Slot, fg_cas,
    fg_cas_signed, fg_cas_word, fg_load, fg_load_signed, fg_load_word, fg_plus, fg_store, fg_word,
)
from fastgate._core.owner cimport Owner, next_sequence

cdef uint64_t SIDE_AND_GENERATION = ~((<uint64_t>1 << 46) - 1)


cdef void put_progress(Owner owner, Record *record, int state, int step, uint64_t sequence) noexcept nogil:
    cdef uint64_t kept = record.progress & SIDE_AND_GENERATION
    fg_store(&record.progress, <uint64_t>state | <uint64_t>step << 4 | <uint64_t>owner.slot << 12 | sequence << 22 | kept)


cdef void turn_side(Owner owner, Record *record) noexcept nogil:
    """The one store by which a growth has taken place: what was prepared is what is held."""
    cdef uint64_t kept = (record.progress & SIDE_AND_GENERATION) ^ <uint64_t>1 << 46
    fg_store(&record.progress, <uint64_t>HELD | <uint64_t>owner.slot << 12 | kept)


cdef void free_record(Record *record) noexcept nogil:
    fg_store(&record.progress, <uint64_t>FREE | ((record.progress >> 47) + 1) << 47)


cdef void help_owner(Owner owner, uint64_t tag) noexcept nogil:
    """Before a word is replaced: note for the owner of its tag that the change it marks took place."""
    cdef uint32_t other = (tag >> OWNER_SHIFT) & 0x3FF
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


cdef bint close_window(Owner owner, Cell *cell, fg_word seen) noexcept nogil:
    """Keep what ``used`` came to (``seen``) before the swap that opens a next window; false: it is not that any more.

    Between the two swaps of a turn others may change ``used``: then the second one fails, and the turn begins anew. What was
    kept can only be replaced while ``used`` still names its window: late changes of ``before`` come after that, and alter its tag.
    """
    cdef fg_word kept = fg_load_word(&cell.before)
    cdef fg_word wanted
    if fg_load_word(&cell.used).tag != seen.tag:
        return False
    if window_of(seen) == 0 or (window_of(kept) == window_of(seen) and kept.amount == seen.amount):
        return True
    wanted.amount = seen.amount
    wanted.tag = make_tag(window_of(seen), owner.slot, next_sequence(owner))
    help_owner(owner, kept.tag)
    return fg_cas_word(&cell.before, kept, wanted)


cdef fg_word *word_of(Cell *cell, uint32_t window) noexcept nogil:
    """Where what is used of ``window`` is counted; NULL: it is long gone."""
    if window_of(fg_load_word(&cell.used)) == window:
        return &cell.used
    return &cell.before if window_of(fg_load_word(&cell.before)) == window else NULL


cdef void _change_used(Owner owner, Cell *cell, uint32_t window, int64_t delta, uint64_t sequence) noexcept nogil:
    """Add ``delta`` to what is used of ``window``, once."""
    cdef fg_word *word
    cdef fg_word seen, wanted
    while True:
        word = word_of(cell, window)
        if word == NULL:
            return
        seen = fg_load_word(word)
        if window_of(seen) != window:
            continue  # it has just turned
        wanted.amount = fg_plus(seen.amount, delta)
        wanted.tag = make_tag(window, owner.slot, sequence)
        help_owner(owner, seen.tag)
        if fg_cas_word(word, seen, wanted):
            return


cdef void _add_spent(Owner owner, Cell *cell, uint32_t window, int64_t amount, uint64_t sequence) noexcept nogil:
    """Add ``amount`` to what was spent in ``window``, once; where a later one is counted already nothing is to be done."""
    cdef fg_word seen, wanted
    while True:
        seen = fg_load_word(&cell.spent)
        if window_of(seen) > window:
            return
        wanted.amount = fg_plus(seen.amount if window_of(seen) == window else 0, amount)
        wanted.tag = make_tag(window, owner.slot, sequence)
        help_owner(owner, seen.tag)
        if fg_cas_word(&cell.spent, seen, wanted):
            return


cdef void _grow_sum(int64_t *sum, int64_t amount) noexcept nogil:
    cdef int64_t seen = fg_load_signed(sum)
    while not fg_cas_signed(sum, seen, fg_plus(seen, amount)):
        seen = fg_load_signed(sum)


cdef void settle_steps(Owner owner, Record *record, int first) noexcept nogil:
    """Make the steps of a settlement from ``first`` on."""
    cdef int step, unit
    cdef uint64_t sequence
    cdef int64_t *held = held_of(record)
    cdef int64_t excess
    cdef Cell *cell
    for step in range(first, 2 * <int>record.levels):
        unit = record.units[step >> 1]
        if step & 1 and unit != USD:
            continue
        cell = cell_at(owner.arena, record.cells[step >> 1])
        sequence = next_sequence(owner)
        put_progress(owner, record, SETTLING, step, sequence)
        if step & 1:
            _add_spent(owner, cell, record.windows[step >> 1], record.actuals[unit], sequence)
            continue
        excess = record.actuals[unit] - held[unit]
        if excess != 0:
            _change_used(owner, cell, record.windows[step >> 1], excess, sequence)
        if excess > 0:
            _grow_sum(&cell.overrun, excess)


cdef void void_steps(Owner owner, Record *record, int last) noexcept nogil:
    """Give back the levels from ``last`` down to the first."""
    cdef int step
    cdef uint64_t sequence
    cdef int64_t *held = held_of(record)
    for step in range(last, -1, -1):
        sequence = next_sequence(owner)
        put_progress(owner, record, VOIDING, step, sequence)
        _change_used(
            owner, cell_at(owner.arena, record.cells[step]), record.windows[step], -held[record.units[step]], sequence
        )


cdef void shrink_steps(Owner owner, Record *record, int last) noexcept nogil:
    """Give back what growing took at the levels from ``last`` down to the first; then the hold is as it was."""
    cdef int step, unit
    cdef uint64_t sequence
    cdef int64_t *held = held_of(record)
    cdef int64_t *grown = grown_of(record)
    for step in range(last, -1, -1):
        unit = record.units[step]
        if grown[unit] == held[unit]:
            continue
        sequence = next_sequence(owner)
        put_progress(owner, record, SHRINKING, step, sequence)
        _change_used(
            owner, cell_at(owner.arena, record.cells[step]), record.windows[step], held[unit] - grown[unit], sequence
        )
    put_progress(owner, record, HELD, 0, 0)


cdef bint was_applied(Arena arena, Record *record) noexcept nogil:
    """Whether the step that ``progress`` announces took place. Only true to fact once its owner cannot run any more."""
    cdef uint64_t progress = fg_load(&record.progress)
    cdef uint64_t mark = <uint64_t>owner_of(progress) << OWNER_SHIFT | sequence_of(progress)
    cdef uint64_t marks = (<uint64_t>0x3FF << OWNER_SHIFT) | <uint64_t>SEQUENCES
    cdef int step = step_of(progress)
    cdef Cell *cell
    if sequence_of(progress) == 0:
        return False
    cell = cell_at(arena, record.cells[step >> 1 if state_of(progress) == SETTLING else step])
    if state_of(progress) == SETTLING and step & 1:
        if fg_load_word(&cell.spent).tag & marks == mark:
            return True
    elif fg_load_word(&cell.used).tag & marks == mark or fg_load_word(&cell.before).tag & marks == mark:
        return True
    cdef Slot *slot = slot_at(arena, owner_of(progress))
    return fg_load(&slot.done) == _whole(slot, sequence_of(progress))
