"""Budgets: hold all levels or none, settle once, void.

A hold is taken level by level, narrowest first, after a check of all of them that writes nothing. While the levels are being
taken the owner's slot names the record (``inflight``), so that another request which finds a level full can tell amounts that
are committed from amounts that may be taken back at once: it is rejected only by committed ones, else told to try again.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastgate._core.arena cimport Arena, cell_at, record_at, slot_at
from fastgate._core.journal cimport ERROR, Draft, Event, Journal, append_text
from fastgate._core.layout cimport (
    HELD, HOLDING, MAX_LEVELS, SETTLING, Cell, Record, fg_cas_signed, fg_cas_word, fg_load, fg_load_signed, fg_load_word,
    fg_plus, fg_store, fg_word,
)
from fastgate._core.owner cimport Owner, next_sequence
from fastgate._core.price cimport Usage
from fastgate._core.steps cimport free_record, help_owner, make_tag, put_progress, settle_steps, void_steps
from fastgate._core.windows cimport LIFETIME, window_index, window_start

from fastgate._core.arena import ArenaFull

cdef enum:
    TAKEN = -1
    AGAIN = -2

CONTENDED = AGAIN

SETTLED_NONE, SETTLED_EXACT, SETTLED_ESTIMATED, SETTLED_UNSETTLED = range(4)
OUTCOME_OK, OUTCOME_REJECTED, OUTCOME_UPSTREAM_ERROR, OUTCOME_CLIENT_GONE, OUTCOME_FAILED, OUTCOME_UNKNOWN, OUTCOME_RESET = range(7)


cdef class Levels:
    """The budgets that a request must pass, narrowest first: ``(cell, limit in nano-USD, window kind, every)`` each."""

    def __cinit__(self, Arena arena, levels):
        self.arena = arena
        self.count = len(levels)
        if self.count > MAX_LEVELS:
            raise ValueError(f"a request can be bound by {MAX_LEVELS} budgets at once, not {self.count}")
        for i, (cell, limit, kind, every) in enumerate(levels):
            self.cells[<int>i], self.limits[<int>i], self.kinds[<int>i], self.every[<int>i] = cell, limit, kind, every

    def __len__(self) -> int:
        return self.count

    def left(self, int64_t now_ns):
        """Nano-USD that the tightest level has left (settled and held taken off), None without levels; may be negative."""
        cdef int64_t tightest = 0, left
        cdef int i
        for i in range(self.count):
            left = self.limits[i] - _used(self, i, now_ns, NULL)
            if i == 0 or left < tightest:
                tightest = left
        return tightest if self.count else None


cdef uint32_t _window(Levels levels, int i, int64_t now_ns) noexcept nogil:
    """The number of the window of ``now_ns`` at level ``i``; calendars are asked once per window, not per request."""
    cdef int64_t anchor = fg_load_signed(&cell_at(levels.arena, levels.cells[i]).anchor_ns)
    cdef int kind = levels.kinds[i], every = levels.every[i]
    if kind == LIFETIME or anchor == 0:
        return 1
    if anchor != levels.anchors[i] or now_ns < levels.begins[i] or now_ns >= levels.ends[i]:
        levels.anchors[i] = anchor
        levels.numbers[i] = <uint32_t>window_index(kind, every, anchor, now_ns)
        levels.begins[i] = window_start(kind, every, anchor, levels.numbers[i])
        levels.ends[i] = window_start(kind, every, anchor, levels.numbers[i] + 1)
    return levels.numbers[i]


cdef int64_t _used(Levels levels, int i, int64_t now_ns, uint32_t *window) noexcept nogil:
    """Settled plus held of level ``i`` in the window of ``now_ns``, or in a later one that another process opened already."""
    cdef Cell *cell = cell_at(levels.arena, levels.cells[i])
    cdef uint32_t index = _window(levels, i, now_ns)
    cdef fg_word word = fg_load_word(&cell.used)
    cdef uint32_t have = word.tag >> 36
    if window != NULL:
        window[0] = have if have > index else index
    return word.amount if have >= index else 0


cdef int64_t _tentative(Owner owner, uint32_t cell) noexcept nogil:
    """At least what others have taken of ``cell`` and may take back at once; -1 where that cannot be told now."""
    cdef int64_t total = 0, amount
    cdef uint64_t inflight
    cdef uint32_t slot, i, levels
    cdef Record *record
    cdef bint touches
    for slot in range(<uint32_t>fg_load(&owner.arena.header.owners)):
        inflight = fg_load(&slot_at(owner.arena, slot).inflight)
        if slot == owner.slot or <uint32_t>inflight == 0:
            continue
        record = record_at(owner.arena, <uint32_t>inflight - 1)
        amount = fg_load_signed(&record.amount)
        levels = record.levels
        touches = False
        for i in range(levels if levels < MAX_LEVELS else MAX_LEVELS):
            touches |= record.cells[i] == cell
        if fg_load(&slot_at(owner.arena, slot).inflight) != inflight:
            return -1
        if touches:
            total = fg_plus(total, amount)
    return total


cdef int _justify(Owner owner, Levels levels, int i, int64_t amount, int64_t now_ns) noexcept nogil:
    """``i`` where committed amounts alone leave no room at level ``i``, else AGAIN."""
    cdef fg_word *word = &cell_at(levels.arena, levels.cells[i]).used
    cdef uint64_t before = fg_load_word(word).tag
    cdef int64_t used = _used(levels, i, now_ns, NULL)
    cdef int64_t tentative = _tentative(owner, levels.cells[i])
    if tentative < 0 or fg_load_word(word).tag != before:
        return AGAIN
    return i if amount > fg_plus(levels.limits[i], -fg_plus(used, -tentative)) else AGAIN


cdef bint _take_level(Owner owner, Levels levels, Record *record, int i, int64_t now_ns) noexcept nogil:
    """Add the hold to level ``i`` where it fits; false, and nothing changed, where it does not."""
    cdef Cell *cell = cell_at(levels.arena, levels.cells[i])
    cdef uint64_t sequence = next_sequence(owner)
    cdef uint32_t window
    cdef int64_t used
    cdef fg_word seen, wanted
    if fg_load_signed(&cell.anchor_ns) == 0:
        fg_cas_signed(&cell.anchor_ns, 0, now_ns)
    while True:
        seen = fg_load_word(&cell.used)
        used = _used(levels, i, now_ns, &window)
        if fg_load_word(&cell.used).tag != seen.tag:
            continue
        if record.amount > levels.limits[i] - used:
            return False
        record.windows[i] = window
        put_progress(owner, record, HOLDING, i, sequence)
        wanted.amount = used + record.amount
        wanted.tag = make_tag(window, owner.slot, sequence)
        help_owner(owner, seen.tag)
        if fg_cas_word(&cell.used, seen, wanted):
            return True


cdef int _take(Owner owner, Levels levels, Record *record, uint32_t number, int64_t now_ns) noexcept nogil:
    """TAKEN, AGAIN, or the level that is full; the record is HELD, or as it was."""
    cdef int i = 0
    cdef bint fits = True
    for i in range(levels.count):
        if record.amount > levels.limits[i] - _used(levels, i, now_ns, &record.windows[i]):
            return _justify(owner, levels, i, record.amount, now_ns)
    put_progress(owner, record, HOLDING, 0, 0)
    fg_store(&owner.me.inflight, ((owner.me.inflight >> 32) + 1) << 32 | (number + 1))
    for i in range(levels.count):
        fits = _take_level(owner, levels, record, i, now_ns)
        if not fits:
            void_steps(owner, record, i - 1)
            break
    if fits:
        put_progress(owner, record, HELD, 0, 0)
    fg_store(&owner.me.inflight, (owner.me.inflight >> 32) << 32)
    return TAKEN if fits else _justify(owner, levels, i, record.amount, now_ns)


def hold(Owner owner not None, Journal journal not None, Levels levels not None, Draft draft not None, int64_t amount,
         int64_t now_ns, bytes request_id not None, bint stream=False):
    """Take ``amount`` nano-USD of every level or of none.

    Returns the :class:`Hold`; or the number of the level that has no room; or ``CONTENDED``: the only thing in the way is a hold
    of another process that may be taken back at once, so try again. Raises ArenaFull. ``request_id`` has 16 bytes.
    """
    if amount < 0 or len(request_id) != 16:
        raise ValueError("a hold is not negative and its request id has 16 bytes")
    cdef uint32_t number = <uint32_t>owner.take_record()
    cdef Record *record = record_at(owner.arena, number)
    cdef Event *event = <Event *>record.event
    cdef int verdict
    record.amount = amount
    record.levels = levels.count
    record.sent = 0
    memcpy(record.cells, levels.cells, sizeof(levels.cells))
    memcpy(event, draft.raw, draft.length)
    memcpy(event.request_id, <const char *>request_id, 16)
    event.started_us = now_ns // 1000
    event.hold_nano = amount
    event.stream = stream
    event.attempts = 1
    record.event_size = draft.length
    with nogil:
        verdict = _take(owner, levels, record, number, now_ns)
    if verdict != TAKEN:
        free_record(record)
        owner.give_record(number)
        return verdict
    cdef Hold taken = Hold.__new__(Hold)
    taken.owner, taken.journal, taken.number, taken.open = owner, journal, number, True
    return taken


cdef class Hold:
    """A hold that was taken. Ends once, by :meth:`settle` or :meth:`void`; what is dropped ends itself."""

    cdef Record *record(self) noexcept nogil:
        return record_at(self.owner.arena, self.number)

    def __dealloc__(self):
        if not self.open:
            return
        if self.record().sent:
            self._write_event(None, SETTLED_UNSETTLED, OUTCOME_UNKNOWN, 0, 0, 0, 0, 0, b"")
            self._finish(self.record().amount)
        else:
            self._void()

    @property
    def amount(self) -> int:
        """Nano-USD held."""
        return self.record().amount

    @property
    def is_open(self) -> bool:
        """Whether it is neither settled nor void."""
        return self.open

    def sent(self) -> None:
        """From here on the provider may have seen the request: a crash leaves the hold as unsettled, not void."""
        self.record().sent = 1

    def settle(self, int64_t actual, Usage usage, int settlement, int outcome, int status, *, int64_t duration_us=0,
               int64_t upstream_us=0, int64_t ttft_us=0, int64_t overhead_us=0, str error=""):
        """Book ``actual`` nano-USD in place of the hold and log the request; harmless when already ended. True: booked now."""
        if not self.open:
            return False
        if actual < 0:
            raise ValueError("a cost is not negative")
        self._write_event(usage, settlement, outcome, status, duration_us, upstream_us, ttft_us, overhead_us, error.encode())
        self._finish(actual)
        return True

    def void(self) -> bool:
        """Give the hold back, as if it had never been; harmless when already ended."""
        if not self.open:
            return False
        self._void()
        return True

    cdef void _void(self):
        cdef Record *record = self.record()
        self.open = False
        with nogil:
            void_steps(self.owner, record, <int>record.levels - 1)
            free_record(record)
            self.owner.give_record(self.number)

    cdef void _write_event(self, Usage usage, int settlement, int outcome, int status, int64_t duration_us,
                           int64_t upstream_us, int64_t ttft_us, int64_t overhead_us, bytes error):
        cdef Record *record = self.record()
        cdef Event *event = <Event *>record.event
        if usage is not None:
            memcpy(event.tokens, usage.n, sizeof(usage.n))
            event.tier, event.geo = usage.tier, usage.geo
        event.settlement, event.outcome, event.status = settlement, outcome, status
        event.duration_us, event.upstream_us = duration_us, upstream_us
        event.ttft_us, event.overhead_us = ttft_us, overhead_us
        record.event_size = append_text(event, <uint32_t>record.event_size, ERROR, error, len(error))

    cdef void _finish(self, int64_t actual):
        cdef Event *place = stage_event(self.journal, self.record(), actual)
        if place == NULL:
            self.owner.me.journal_dropped += 1
            self.owner.me.dropped_nano += actual
        self._book(place)

    cdef void _book(self, Event *place):
        """The point of no return is the store of SETTLING: before it the event and the amount are in place, after it all is redone."""
        cdef Record *record = self.record()
        self.open = False
        with nogil:
            put_progress(self.owner, record, SETTLING, 0, 0)
            settle_steps(self.owner, record, 0)
            if place != NULL:
                self.journal.commit(place)
            free_record(record)
            self.owner.give_record(self.number)


def reset(Owner owner not None, Journal journal not None, Levels levels not None, Draft draft not None, int64_t now_ns,
          bytes request_id not None):
    """Take off the one budget of ``levels`` what was spent in its present window; what is held stays.

    Returns the nano-USD taken off. It is a settlement below nothing: a kill leaves it done or not begun, and its event, of
    outcome ``reset``, bears the amount as a negative cost. ``levels`` should have a limit that nothing reaches. Raises
    ArenaFull where the event has no place; then nothing has changed.
    """
    if levels.count != 1:
        raise ValueError("a reset is of one budget")
    found = hold(owner, journal, levels, draft, 0, now_ns, request_id)
    if not isinstance(found, Hold):
        raise ValueError("the limit was reached")
    cdef Hold taken = <Hold>found
    cdef Record *record = taken.record()
    cdef fg_word spent = fg_load_word(&cell_at(owner.arena, record.cells[0]).spent)
    cdef Event *place
    if spent.amount == 0 or spent.tag >> 36 != record.windows[0]:
        taken.void()
        return 0
    taken._write_event(None, SETTLED_NONE, OUTCOME_RESET, 0, 0, 0, 0, 0, b"")
    place = stage_event(journal, record, -spent.amount)
    if place == NULL:
        taken.void()
        raise ArenaFull("there is no space for the event of a reset")
    taken._book(place)
    return spent.amount


cdef Event *stage_event(Journal journal, Record *record, int64_t actual) noexcept:
    """Write the record's event behind the journal's committed offset and note the place; NULL where there is no space."""
    cdef Event *event = <Event *>record.event
    cdef Event *place = NULL
    event.cost_nano = actual
    event.overrun_nano = actual - record.amount if actual > record.amount else 0
    record.actual = actual
    record.journal_serial = 0
    try:
        place = journal.reserve(<uint32_t>record.event_size)
    except (ArenaFull, OSError):
        return NULL
    event.size = place.size
    event.sequence = journal.sequence + 1
    memcpy(place, event, record.event_size)
    record.journal_serial = journal.serial
    record.journal_offset = <char *>place - journal.current.base
    return place
