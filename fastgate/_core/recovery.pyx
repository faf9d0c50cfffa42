"""Resolves the holds of owners that ended without doing it: exactly once, and again from where it stopped if it is killed itself.

    HOLDING    nothing was sent: the levels taken so far are given back
    HELD       void where nothing was sent; else the provider may bill it: settled at the hold, marked `unsettled`
    GROWING    what it took is given back, then as HELD
    SHRINKING  finished, then as HELD
    SETTLING   final since its first store: finished, and its event committed where it was not
    VOIDING    finished
    OWED       its event goes to the journal where there is space by now; else the owner stays dead, and this is done again later
"""

from pathlib import Path

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fastgate._core.arena cimport Arena, record_at, slot_at
from fastgate._core.budget cimport count_actuals
from fastgate._core.journal cimport ERROR, STRINGS, Event, Journal, is_event
from fastgate._core.layout cimport (
    GROWING, HELD, HOLDING, OWED, RECORDS_PER_CHUNK, SETTLING, SHRINKING, SUMMED, USD, VOIDING, Record, Slot, fg_load, fg_store,
    fg_store_signed,
)
from fastgate._core.owed cimport pay_record, stage_event, take_over
from fastgate._core.owner cimport Owner
from fastgate._core.steps cimport (
    free_record, held_of, put_progress, settle_steps, shrink_steps, state_of, step_of, void_steps, was_applied,
)

from fastgate._core.arena import ArenaError
from fastgate._core.journal import open_segments, segments_of
from fastgate._core.owner import alive

cdef enum:
    UNSETTLED = 3   # of journal.SETTLEMENTS
    UNKNOWN = 5     # of journal.OUTCOMES


def recover(Arena arena not None, Owner me not None, int slot, str folder not None) -> dict[str, int]:
    """Resolve all that the dead owner of ``slot`` left and free the slot; ``folder`` holds the journals.

    Where the journal has no space for an event that is owed the slot is kept. Returns the counts ``void``, ``unsettled`` and
    ``finished``. Raises ArenaError where the owner lives.
    """
    if slot == me.slot or alive(arena, slot):
        raise ArenaError(f"owner {slot} is alive: its holds are its own")
    cdef Slot *dead = slot_at(arena, slot)
    cdef uint32_t number
    counts = {"void": 0, "unsettled": 0, "finished": 0}
    chunks = arena.record_chunks(slot)
    journal = Journal(folder, slot, resume=True) if chunks else None
    for number in _records(arena, chunks, {SUMMED}):
        _complete_sum(me, record_at(arena, number), chunks)
    # An event that was staged lies where the next one would be written: those first.
    for number in _records(arena, chunks, {OWED}):
        _finish_payment(record_at(arena, number), journal)
    for states in ({SETTLING}, {HOLDING, HELD, GROWING, SHRINKING, VOIDING}):
        for number in _records(arena, chunks, states):
            counts[_resolve(me, record_at(arena, number), journal)] += 1
    owing = [number for number in _records(arena, chunks, {OWED}) if not pay_record(journal, record_at(arena, number))]
    for segment in open_segments(segments_of(folder, slot)):
        segment.seal()
    for unfinished in Path(folder).glob(f"journal-{slot:04d}-*.new"):
        unfinished.unlink(missing_ok=True)
    dead.inflight = (dead.inflight >> 32) << 32
    fg_store_signed(&dead.open_holds, 0)
    if not owing:
        fg_store(&dead.state, dead.state & ~<uint64_t>0xFF)
    return counts


cdef list _records(Arena arena, list chunks, set states):
    """The numbers of the records in ``chunks`` that are in one of the states."""
    cdef uint32_t position
    return [
        chunk * RECORDS_PER_CHUNK + position for chunk in chunks for position in range(RECORDS_PER_CHUNK)
        if state_of(record_at(arena, chunk * RECORDS_PER_CHUNK + position).progress) in states
    ]


cdef _complete_sum(Owner me, Record *total, list chunks):
    """A kill may have come before the records that are in the sum were freed."""
    if total.cells[0] // RECORDS_PER_CHUNK in chunks and total.cells[1] // RECORDS_PER_CHUNK in chunks:
        take_over(me, total)


cdef _finish_payment(Record *record, Journal journal):
    """A kill may have come between an event's way into the journal and the end of its record."""
    if record.journal_serial != 0:
        _commit_event(record, journal)
        free_record(record)


cdef str _resolve(Owner me, Record *record, Journal journal):
    cdef int state = state_of(record.progress)
    cdef int step = step_of(record.progress)
    cdef bint applied = was_applied(me.arena, record)
    if state == SETTLING:
        settle_steps(me, record, step + 1 if applied else step)
        _end_settlement(me, record, journal)
        return "finished"
    if state == GROWING or state == SHRINKING:
        shrink_steps(me, record, step if applied == (state == GROWING) else step - 1)
        state = HELD
    if state == HELD and record.sent:
        _settle_unknown(me, record, journal)
        return "unsettled"
    if state == HELD:
        step = <int>record.levels - 1
    elif state == HOLDING:
        step = step if applied else step - 1
    elif applied:  # VOIDING, and the step announced took place
        step -= 1
    void_steps(me, record, step)
    free_record(record)
    return "void"


cdef _settle_unknown(Owner me, Record *record, Journal journal):
    """A kill may have come while the owner wrote how the request ended: none of that is taken."""
    cdef Event *event = <Event *>record.event
    cdef int text
    memset(event.tokens, 0, sizeof(event.tokens))
    event.status = event.duration_us = event.upstream_us = event.ttft_us = event.overhead_us = 0
    event.cache = event.meaning = event.saved_nano = 0
    event.lengths[<int>ERROR] = 0
    record.event_size = sizeof(Event)
    for text in range(STRINGS):
        record.event_size += event.lengths[text]
    event.settlement, event.outcome = UNSETTLED, UNKNOWN
    count_actuals(record, held_of(record)[<int>USD])
    stage_event(journal, record)
    put_progress(me, record, SETTLING, 0, 0)
    settle_steps(me, record, 0)
    _end_settlement(me, record, journal)


cdef _end_settlement(Owner me, Record *record, Journal journal):
    """All steps are made: the event is committed; one that had no place in the journal is owed."""
    if record.journal_serial == 0:
        put_progress(me, record, OWED, 0, 0)
    else:
        _commit_event(record, journal)
        free_record(record)


cdef _commit_event(Record *record, Journal journal):
    """The event was written before the settlement began; whether it was committed shows in the offset of its segment."""
    if record.journal_serial != journal.serial:
        return  # its segment was left, which only happens after the commit
    cdef Event *event = <Event *>(journal.current.base + record.journal_offset)
    if journal.current.head().committed != record.journal_offset:
        return
    if is_event(event, journal.current.size - record.journal_offset):
        journal.commit(event)
