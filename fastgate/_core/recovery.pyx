"""Resolves the holds of owners that ended without doing it: exactly once, and again from where it stopped if it is killed itself.

    HOLDING    nothing was sent: the levels taken so far are given back
    HELD       void where nothing was sent; else the provider may bill it: settled at the hold, marked `unsettled`
    GROWING    what it took is given back, then as HELD
    SHRINKING  finished, then as HELD
    SETTLING   final since its first store: finished, and its event committed where it was not
    VOIDING    finished
"""

from pathlib import Path

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fastgate._core.arena cimport Arena, record_at, slot_at
from fastgate._core.budget cimport count_actuals, stage_event
from fastgate._core.journal cimport ERROR, STRINGS, Event, Journal, is_event
from fastgate._core.layout cimport (
    FREE, GROWING, HELD, HOLDING, RECORDS_PER_CHUNK, SETTLING, SHRINKING, USD, Record, Slot, fg_load, fg_store, fg_store_signed,
)
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

    Returns the counts ``void``, ``unsettled`` and ``finished``. Raises ArenaError where the owner lives.
    """
    if slot == me.slot or alive(arena, slot):
        raise ArenaError(f"owner {slot} is alive: its holds are its own")
    cdef Slot *dead = slot_at(arena, slot)
    cdef uint32_t position, number
    cdef int state
    counts = {"void": 0, "unsettled": 0, "finished": 0}
    chunks = arena.record_chunks(slot)
    journal = Journal(folder, slot, resume=True) if chunks else None
    # The event of a settlement that was begun lies where the next one would be written: that one first.
    for settling in (True, False):
        for chunk in chunks:
            for position in range(RECORDS_PER_CHUNK):
                number = chunk * RECORDS_PER_CHUNK + position
                state = state_of(record_at(arena, number).progress)
                if state != FREE and (state == SETTLING) == settling:
                    counts[_resolve(me, record_at(arena, number), journal)] += 1
    for segment in open_segments(segments_of(folder, slot)):
        segment.seal()
    for unfinished in Path(folder).glob(f"journal-{slot:04d}-*.new"):
        unfinished.unlink(missing_ok=True)
    dead.inflight = (dead.inflight >> 32) << 32
    fg_store_signed(&dead.open_holds, 0)
    fg_store(&dead.state, dead.state & ~<uint64_t>0xFF)
    return counts


cdef str _resolve(Owner me, Record *record, Journal journal):
    cdef int state = state_of(record.progress)
    cdef int step = step_of(record.progress)
    cdef bint applied = was_applied(me.arena, record)
    if state == SETTLING:
        settle_steps(me, record, step + 1 if applied else step)
        _commit_event(record, journal)
        free_record(record)
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
    event.lengths[<int>ERROR] = 0
    record.event_size = sizeof(Event)
    for text in range(STRINGS):
        record.event_size += event.lengths[text]
    event.settlement, event.outcome = UNSETTLED, UNKNOWN
    cdef int64_t amount = held_of(record)[<int>USD]
    count_actuals(record, amount)
    cdef Event *place = stage_event(journal, record)
    if place == NULL:
        me.me.journal_dropped += 1
        me.me.dropped_nano += amount
    put_progress(me, record, SETTLING, 0, 0)
    settle_steps(me, record, 0)
    if place != NULL:
        journal.commit(place)
    free_record(record)


cdef _commit_event(Record *record, Journal journal):
    """The event was written before the settlement began; whether it was committed shows in the offset of its segment."""
    if record.journal_serial != journal.serial:
        return  # its segment was left, which only happens after the commit; or there was no space for the event
    cdef Event *event = <Event *>(journal.current.base + record.journal_offset)
    if journal.current.head().committed != record.journal_offset:
        return
    if is_event(event, journal.current.size - record.journal_offset):
        journal.commit(event)
