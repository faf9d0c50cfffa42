"""What is settled although the journal has no space for its event: the hold's record keeps the event until there is.

Several of one key, model and day become one sum, so that a few records are enough however long the space is missing: no money is
lost, the detail is, and that is counted. A sum is made in a free record; one store lets it take the place of the two that are
in it (``SUMMED``), which are freed by whoever comes first, this process or the recovery after it.

    SETTLING ──▶ OWED ──▶ FREE          the event found a place in the journal
                  │ ▲
                  ▼ │
                 SUMMED                 a record beside the two that it replaces
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from fastgate._core.arena cimport record_at
from fastgate._core.journal cimport (
    DIALECT, ENVIRONMENT, ROUTE, STRINGS, TOKENS, UPSTREAM_MODEL, Event, Journal, append_text,
)
from fastgate._core.layout cimport FREE, OWED, SUMMED, Record, fg_load, fg_plus, fg_store
from fastgate._core.owner cimport Owner
from fastgate._core.steps cimport free_record, generation_of, put_progress, state_of

from fastgate._core.arena import ArenaFull

cdef int64_t DAY_US = 86_400_000_000
cdef bytes ROUTE_OF_SUMS = b"collapsed"


def pay(Owner owner not None, Journal journal not None) -> int:
    """Write what is owed into the journal, as far as there is space; returns how many events that were."""
    cdef uint32_t number
    paid = 0
    while owner.owed:
        number = owner.owed[0]
        if not pay_record(journal, record_at(owner.arena, number)):
            break
        owner.owed.pop(0)
        owner.put_back(number)
        paid += 1
    return paid


cdef bint pay_record(Journal journal, Record *record) noexcept:
    """Move the event of a record that owes it into the journal and free the record; false where there is no space."""
    cdef Event *place = stage_event(journal, record)
    if place == NULL:
        return False
    journal.commit(place)
    free_record(record)
    return True


cdef Event *stage_event(Journal journal, Record *record) noexcept:
    """Write the record's event behind the journal's committed offset and note the place; NULL where there is no space."""
    cdef Event *event = <Event *>record.event
    cdef Event *place = NULL
    record.journal_serial = 0
    try:
        place = journal.reserve(<uint32_t>record.event_size)
    except (ArenaFull, OSError):
        return NULL
    event.size = place.size
    event.sequence = journal.sequence + 1
    memcpy(place, event, record.event_size)
    record.journal_offset = <char *>place - journal.current.base
    fg_store(&record.journal_serial, journal.serial)  # last: who finds it set finds the event at that offset
    return place


cdef void owe(Owner owner, uint32_t number) noexcept:
    """Keep the event of record ``number``, all of whose steps are made: in itself, or in a sum with one that is like it."""
    cdef Record *record = record_at(owner.arena, number)
    cdef uint32_t other
    owner.me.open_holds -= 1
    for position, other in enumerate(owner.owed):
        if owner.free_count and _alike(<Event *>record.event, <Event *>record_at(owner.arena, other).event):
            owner.owed[position] = _sum(owner, other, number)
            owner.me.journal_dropped += 1
            owner.me.dropped_nano += (<Event *>record.event).cost_nano
            return
    put_progress(owner, record, OWED, 0, 0)
    owner.owed.append(number)


cdef bint _alike(Event *a, Event *b) noexcept nogil:
    """Whether two events may become one: of one key, provider, model and UTC day, and marked alike."""
    cdef size_t length = 0
    cdef int text
    if a.started_us // DAY_US != b.started_us // DAY_US:
        return False
    if a.settlement != b.settlement or a.outcome != b.outcome or a.tier != b.tier or a.cache != b.cache:
        return False
    if a.meaning != b.meaning:
        return False
    for text in range(UPSTREAM_MODEL + 1):
        if a.lengths[text] != b.lengths[text]:
            return False
        length += a.lengths[text]
    return memcmp(<char *>a + sizeof(Event), <char *>b + sizeof(Event), length) == 0


cdef uint32_t _sum(Owner owner, uint32_t first, uint32_t second) noexcept:
    """The number of a record that stands for two, which are free again. There must be a free one."""
    cdef Record *a = record_at(owner.arena, first)
    cdef Record *b = record_at(owner.arena, second)
    cdef uint32_t number = owner.take_out()
    cdef Record *total = record_at(owner.arena, number)
    _add_events(<Event *>total.event, &total.event_size, <Event *>a.event, <Event *>b.event)
    total.levels = 0
    total.sent = 1
    total.journal_serial = 0
    total.cells[0], total.cells[1] = first, second
    for i, replaced in enumerate((first, second)):
        total.windows[<int>i] = generation_of(fg_load(&record_at(owner.arena, replaced).progress))
    put_progress(owner, total, SUMMED, 0, 0)
    take_over(owner, total)
    owner.put_back(first)
    owner.put_back(second)
    return number


cdef void take_over(Owner owner, Record *total) noexcept nogil:
    """Free the two records that a sum replaces, once; from then on it is like any other that owes its event."""
    cdef Record *record
    cdef uint64_t progress
    cdef int i
    for i in range(2):
        record = record_at(owner.arena, total.cells[i])
        progress = fg_load(&record.progress)
        if state_of(progress) != FREE and generation_of(progress) == total.windows[i]:
            free_record(record)
    put_progress(owner, total, OWED, 0, 0)


cdef void _add_events(Event *total, uint64_t *size, Event *a, Event *b) noexcept:
    """What two events have in common, and their sums, as the event of the later one."""
    cdef Event *later = a if a.started_us > b.started_us else b
    cdef char *text = <char *>later + sizeof(Event)
    cdef uint32_t length = sizeof(Event)
    cdef int i
    memcpy(total, later, sizeof(Event))
    total.duration_us = total.upstream_us = total.ttft_us = total.overhead_us = total.status = total.stream = 0
    total.cost_nano = fg_plus(a.cost_nano, b.cost_nano)
    total.saved_nano = fg_plus(a.saved_nano, b.saved_nano)
    total.hold_nano = fg_plus(a.hold_nano, b.hold_nano)
    total.overrun_nano = fg_plus(a.overrun_nano, b.overrun_nano)
    for i in range(TOKENS):
        total.tokens[i] = fg_plus(a.tokens[i], b.tokens[i])
    for i in range(STRINGS):
        if i == ROUTE:
            length = append_text(total, length, i, ROUTE_OF_SUMS, len(ROUTE_OF_SUMS))
        elif i <= UPSTREAM_MODEL or i == DIALECT or i == ENVIRONMENT:
            length = append_text(total, length, i, text, later.lengths[i])
        else:
            length = append_text(total, length, i, NULL, 0)
        text += later.lengths[i]
    size[0] = length
