"""Whether an arena that was found can be relied on: every number in it that leads somewhere must lead to a place that exists.

Looked at once, by the supervisor, before any other process maps the file: what is wrong afterwards would be wrong for all.
Amounts cannot be told right from wrong; the ledger can.
"""

import os

from xxhash import xxh64_intdigest

from libc.stdint cimport uint32_t, uint64_t

from fastgate._core.arena cimport Arena, cell_at, record_at, slot_at
from fastgate._core.journal cimport STRINGS, Event, has_names
from fastgate._core.layout cimport (
    BUCKETS, CELLS_PER_CHUNK, CHUNK, CHUNK_CELLS, CHUNK_NONE, CHUNK_RECORDS, CHUNKS, CHUNKS_AT, FREE, INDEX_AT, MAX_EVENT,
    MAX_ID, MAX_LEVELS, OWNERS, RECORDS_PER_CHUNK, SETTLING, SUMMED, UNITS, USD, Cell, Record,
)
from fastgate._core.steps cimport state_of, step_of

from fastgate._core.arena import CorruptArena

cdef enum:
    KINDS = 3  # of owners
    RESET = 6  # of journal.OUTCOMES: its settlement is below nothing


def inspect(Arena arena not None) -> None:
    """Raises CorruptArena with the first thing that is wrong."""
    fault = _chunks(arena) or _owners(arena) or _cells(arena) or _records(arena)
    if fault is not None:
        raise CorruptArena(f"{arena.path}: damaged: {fault}")


cdef object _chunks(Arena arena):
    """What each chunk is for, and that it lies within the file."""
    cdef uint64_t number, entry, kind
    cdef uint64_t size = os.fstat(arena.fd).st_size
    for number in range(CHUNKS):
        entry = arena.directory()[number]
        kind = entry & 0xFF
        if entry == CHUNK_NONE:
            continue
        if number >= arena.header.chunks:
            return f"chunk {number} of {arena.header.chunks}"
        if kind > CHUNK_RECORDS or entry >> 8 >= OWNERS:
            return f"chunk {number} is of no kind: {entry:#x}"
        if size < CHUNKS_AT + (number + 1) * CHUNK:
            return f"truncated in chunk {number}"
    return None


cdef object _owners(Arena arena):
    cdef uint32_t slot
    if arena.header.owners > OWNERS:
        return f"{arena.header.owners} owners"
    for slot in range(OWNERS):
        if slot_at(arena, slot).state & 0xFF > KINDS:
            return f"owner {slot} is of no kind"
    return None


cdef bint _is_cell(Arena arena, uint64_t number) noexcept nogil:
    """Whether a cell can have that number: the first place of a chunk is never given out."""
    cdef uint64_t chunk = number // CELLS_PER_CHUNK
    if chunk >= arena.header.chunks or number % CELLS_PER_CHUNK == 0:
        return False
    return arena.directory()[chunk] == CHUNK_CELLS


cdef object _cells(Arena arena):
    """The index: every chain ends, and each of its cells is where its id belongs and in front of where the next one goes."""
    cdef uint32_t *index = <uint32_t *>(arena.base + INDEX_AT)
    cdef uint64_t next_cell = arena.header.next_cell
    cdef uint64_t number
    cdef uint64_t most = arena.header.chunks * CELLS_PER_CHUNK
    cdef uint32_t bucket, link
    cdef Cell *cell
    if next_cell != 0 and not _is_cell(arena, next_cell - 1) and not _is_cell(arena, next_cell):
        return f"the next cell goes to {next_cell}"
    for bucket in range(BUCKETS):
        link = index[bucket]
        while link != 0:
            number = link - 1
            if most == 0 or not _is_cell(arena, number):
                return f"there is no cell {number}"
            most -= 1
            if number >= next_cell and number // CELLS_PER_CHUNK == next_cell // CELLS_PER_CHUNK:
                return f"cell {number} is behind the next one, {next_cell}"
            cell = cell_at(arena, <uint32_t>number)
            if not 0 < cell.length <= MAX_ID or cell.hash % BUCKETS != bucket:
                return f"cell {number} is in the wrong place"
            if <uint64_t>xxh64_intdigest((<const char *>cell.id)[:cell.length]) != cell.hash:
                return f"the id of cell {number} was altered"
            link = cell.next
    return None


cdef object _records(Arena arena):
    cdef uint64_t chunk
    cdef uint32_t position, number
    for chunk in range(arena.header.chunks):
        if arena.directory()[chunk] & 0xFF != CHUNK_RECORDS:
            continue
        for position in range(RECORDS_PER_CHUNK):
            number = <uint32_t>chunk * RECORDS_PER_CHUNK + position
            if state_of(record_at(arena, number).progress) != FREE and not _is_sound(arena, record_at(arena, number)):
                return f"hold {number}"
    return None


cdef bint _is_sound(Arena arena, Record *record) noexcept nogil:
    """A hold that is not free can be resolved: its levels are cells, its step is one of its levels', its event is one."""
    cdef Event *event = <Event *>record.event
    cdef uint64_t text = sizeof(Event)
    cdef int state = state_of(record.progress)
    cdef int steps, unit
    cdef uint32_t level
    if state > SUMMED or record.levels > MAX_LEVELS:
        return False
    for unit in range(UNITS):
        if record.amounts[0][unit] < 0 or record.amounts[1][unit] < 0:
            return False
    if state == SETTLING and record.actuals[<int>USD] < 0 and event.outcome != RESET:
        return False
    steps = (2 if state == SETTLING else 1) * <int>record.levels
    if step_of(record.progress) >= (steps if steps else 1):
        return False
    for level in range(record.levels):
        if not _is_cell(arena, record.cells[level]) or record.units[level] >= UNITS:
            return False
    for level in range(STRINGS):
        text += event.lengths[level]
    if text > MAX_EVENT or record.event_size > MAX_EVENT or record.event_size < sizeof(Event):
        return False
    return has_names(event)
