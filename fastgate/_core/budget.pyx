"""Budgets and limits: hold all levels or none, let a hold grow, settle it once, void it.

A hold is taken level by level, narrowest first, after a check of all of them that writes nothing. While the levels are being
taken the owner's slot names the record (``inflight``), so that another request which finds a level full can tell amounts that
are committed from amounts that may be taken back at once: it is rejected only by committed ones, else told to try again.

What a hold takes of a level is an amount of the level's unit. A stream takes its hold in instalments: it grows, by the same rules,
in the windows in which it was admitted.
"""

from time import time_ns

cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastgate._core.arena cimport Arena, cell_at, record_at, slot_at
from fastgate._core.journal cimport ERROR, Draft, Event, Journal, append_text
from fastgate._core.layout cimport (
    GROWING, HELD, HOLDING, INPUT, MAX_LEVELS, OPEN, OUTPUT, REQUESTS, SEQUENCES, SETTLING, SHRINKING, TOKENS, UNITS, USD, Cell,
    Record, fg_cas_signed, fg_cas_word, fg_load, fg_load_signed, fg_load_word, fg_plus, fg_store, fg_word,
)
from fastgate._core.levels cimport Levels, Standing, bound_of, granted_in, limit_of, spent_elsewhere, used_in
from fastgate._core.owed cimport owe, stage_event
from fastgate._core.owner cimport Owner, next_sequence
from fastgate._core.price cimport Usage
from fastgate._core.steps cimport (
    close_window, free_record, grown_of, held_of, help_owner, make_tag, put_progress, settle_steps, shrink_steps, state_of,
    turn_side, void_steps, window_of, word_of,
)
from fastgate._core.windows cimport present

from fastgate._core.arena import ArenaFull

cdef enum:
    TAKEN = -1
    AGAIN = -2
    UNSETTLED = 3   # of journal.SETTLEMENTS
    EXACT = 2       # of journal.CACHES, as the next
    SEMANTIC = 3

CONTENDED = AGAIN

SETTLED_NONE, SETTLED_EXACT, SETTLED_ESTIMATED, SETTLED_UNSETTLED = range(4)
OUTCOME_OK, OUTCOME_REJECTED, OUTCOME_UPSTREAM_ERROR, OUTCOME_CLIENT_GONE, OUTCOME_FAILED, OUTCOME_UNKNOWN, OUTCOME_RESET = range(7)
CACHE_NONE, CACHE_MISS, CACHE_EXACT, CACHE_SEMANTIC, CACHE_BYPASS = range(5)
MEANING_NONE, MEANING_MISS, MEANING_EXPLORE, MEANING_AUDIT, MEANING_SHADOW, MEANING_SERVE, MEANING_UNANSWERED = range(7)


cdef int64_t _tentative(Owner owner, uint32_t cell) noexcept nogil:
    """At least what others have taken of ``cell`` and may take back at once; -1 where that cannot be told now."""
    cdef int64_t total = 0, amount
    cdef uint64_t inflight
    cdef uint32_t slot
    for slot in range(<uint32_t>fg_load(&owner.arena.header.owners)):
        inflight = fg_load(&slot_at(owner.arena, slot).inflight)
        if slot == owner.slot or <uint32_t>inflight == 0:
            continue
        amount = _may_return(record_at(owner.arena, <uint32_t>inflight - 1), cell)
        if fg_load(&slot_at(owner.arena, slot).inflight) != inflight:
            return -1
        total = fg_plus(total, amount)
    return total


cdef int64_t _may_return(Record *record, uint32_t cell) noexcept nogil:
    """What a record that is being held, or grows, takes of ``cell``."""
    cdef int state = state_of(fg_load(&record.progress))
    cdef int64_t *held = held_of(record)
    cdef int64_t *grown = grown_of(record)
    cdef int64_t total = 0
    cdef uint32_t i, unit
    for i in range(record.levels if record.levels < MAX_LEVELS else MAX_LEVELS):
        if record.cells[i] == cell:
            unit = record.units[i] if record.units[i] < UNITS else 0
            total = fg_plus(total, grown[unit] - held[unit] if state == GROWING or state == SHRINKING else held[unit])
    return total


cdef int _justify(Owner owner, Levels levels, int i, int64_t amount, uint32_t window) noexcept nogil:
    """``i`` where committed amounts alone leave no room for ``amount`` at level ``i``, else AGAIN.

    ``window``: the one that a hold grows in; 0: it is the present one that has to have room.
    """
    cdef Standing *level = levels.at + i
    cdef Cell *cell = cell_at(levels.arena, level.cell)
    cdef uint64_t before = fg_load_word(&cell.used).tag
    cdef int64_t room = _room(level, cell, window) if window else _room_now(level, cell)
    cdef int64_t tentative = _tentative(owner, level.cell)
    if tentative < 0 or fg_load_word(&cell.used).tag != before:
        return AGAIN
    return i if amount > fg_plus(room, tentative) else AGAIN


cdef inline int64_t _room_now(Standing *level, Cell *cell) noexcept nogil:
    """What a new hold may take."""
    return fg_plus(bound_of(level, cell, level.window), -used_in(cell, level.window))


cdef int64_t _room(Standing *level, Cell *cell, uint32_t window) noexcept nogil:
    """What a hold may grow by in the ``window`` in which it was admitted.

    Of money nothing, ever, once nobody counts that window any more, or once what it left has moved on into the next one. A
    rate is not money: in a window that is long gone it has no bound.
    """
    cdef fg_word *word = word_of(cell, window)
    if word == NULL:
        return INT64_MIN if level.unit == USD else INT64_MAX
    cdef int64_t used = fg_load_word(word).amount
    if level.shared:
        return fg_plus(bound_of(level, cell, window) if window == level.window else granted_in(cell, window), -used)
    if word == &cell.used and window == level.window:
        return fg_plus(limit_of(level, cell), -used)
    return INT64_MIN if level.rolls else fg_plus(level.limit, -used)


cdef bint _take_level(Owner owner, Levels levels, Record *record, int i, int64_t now_ns) noexcept nogil:
    """Add the hold to level ``i`` where it fits; false, and nothing changed, where it does not."""
    cdef Standing *level = levels.at + i
    cdef Cell *cell = cell_at(levels.arena, level.cell)
    cdef int64_t amount = held_of(record)[level.unit]
    cdef int64_t used
    cdef uint64_t window
    cdef fg_word seen, wanted
    if fg_load_signed(&cell.anchor_ns) == 0:
        fg_cas_signed(&cell.anchor_ns, 0, now_ns)
    while True:
        seen = fg_load_word(&cell.used)
        window = present(window_of(seen), level.number, levels.tick)
        used = seen.amount if window_of(seen) == window else 0
        if not level.soft and amount > fg_plus(bound_of(level, cell, <uint32_t>window), -used):
            return False
        if window_of(seen) < window:
            put_progress(owner, record, HOLDING, i, 0)  # what is kept bears a number of its own: no step may be pending
            if not close_window(owner, cell, seen):
                continue
        record.windows[i] = <uint32_t>window
        wanted.amount = fg_plus(used, amount)
        wanted.tag = make_tag(window, owner.slot, next_sequence(owner))
        put_progress(owner, record, HOLDING, i, owner.me.sequence & SEQUENCES)
        help_owner(owner, seen.tag)
        if fg_cas_word(&cell.used, seen, wanted):
            return True


cdef int _take(Owner owner, Levels levels, Record *record, uint32_t number, int64_t now_ns) noexcept nogil:
    """TAKEN, AGAIN, or the level that is full; the record is HELD, or as it was."""
    cdef int i = 0
    cdef bint fits = True
    cdef Standing *level
    cdef Cell *cell
    cdef int64_t *amounts = held_of(record)
    for i in range(levels.count):
        level = levels.at + i
        cell = cell_at(levels.arena, level.cell)
        if not level.soft and amounts[level.unit] > _room_now(level, cell):
            return _justify(owner, levels, i, amounts[level.unit], 0)
    put_progress(owner, record, HOLDING, 0, 0)
    _announce(owner, number)
    for i in range(levels.count):
        fits = _take_level(owner, levels, record, i, now_ns)
        if not fits:
            void_steps(owner, record, i - 1)
            break
    if fits:
        put_progress(owner, record, HELD, 0, 0)
    _retract(owner)
    return TAKEN if fits else _justify(owner, levels, i, amounts[levels.at[i].unit], 0)


cdef inline void _announce(Owner owner, uint32_t number) noexcept nogil:
    fg_store(&owner.me.inflight, ((owner.me.inflight >> 32) + 1) << 32 | (number + 1))


cdef inline void _retract(Owner owner) noexcept nogil:
    fg_store(&owner.me.inflight, (owner.me.inflight >> 32) << 32)


cdef bint _grow_level(Owner owner, Levels levels, Record *record, int i) noexcept nogil:
    """Add what is prepared to level ``i`` where it fits; false, and nothing changed, where it does not."""
    cdef Standing *level = levels.at + i
    cdef Cell *cell = cell_at(levels.arena, level.cell)
    cdef int64_t more = grown_of(record)[level.unit] - held_of(record)[level.unit]
    cdef uint32_t window = record.windows[i]
    cdef fg_word *word
    cdef fg_word seen, wanted
    while True:
        word = word_of(cell, window)
        if word != NULL:
            seen = fg_load_word(word)
            if window_of(seen) != window:
                continue  # it has just turned
        if not level.soft and more > _room(level, cell, window):
            return False
        if word == NULL:
            return True  # that window is long gone, and nobody counts it any more
        wanted.amount = fg_plus(seen.amount, more)
        wanted.tag = make_tag(window, owner.slot, next_sequence(owner))
        put_progress(owner, record, GROWING, i, owner.me.sequence & SEQUENCES)
        help_owner(owner, seen.tag)
        if fg_cas_word(word, seen, wanted):
            return True


cdef int _grow(Owner owner, Levels levels, Record *record, uint32_t number) noexcept nogil:
    """TAKEN, AGAIN, or the level that is full; the record is HELD, with more or as it was."""
    cdef int i = 0
    cdef bint fits = True
    cdef int64_t *held = held_of(record)
    cdef int64_t *grown = grown_of(record)
    cdef uint32_t unit
    put_progress(owner, record, GROWING, 0, 0)
    _announce(owner, number)
    for i in range(levels.count):
        unit = levels.at[i].unit
        if grown[unit] == held[unit]:
            continue
        fits = _grow_level(owner, levels, record, i)
        if not fits:
            shrink_steps(owner, record, i - 1)
            break
    if fits:
        turn_side(owner, record)
    _retract(owner)
    if fits:
        return TAKEN
    unit = levels.at[i].unit
    return _justify(owner, levels, i, grown[unit] - held[unit], record.windows[i])


cdef int64_t _earliest(Levels levels, Record *record, int64_t now_ns) noexcept nogil:
    """When the request counts, at the earliest: not before the first use of any of its levels; 0: in a window that others opened.

    Another process may have been first although it came later. The ledger must put the request where the counters have it.
    """
    cdef int64_t anchor, earliest = now_ns
    cdef int i
    for i in range(levels.count):
        if record.windows[i] > levels.at[i].number:
            return 0
        anchor = fg_load_signed(&cell_at(levels.arena, levels.at[i].cell).anchor_ns)
        earliest = anchor if anchor > earliest else earliest
    return earliest


def hold(Owner owner not None, Journal journal not None, Levels levels not None, Draft draft not None, int64_t amount,
         int64_t now_ns, bytes request_id not None, bint stream=False, int64_t input_tokens=0, int64_t output_tokens=0):
    """Take ``amount`` nano-USD, one request and its tokens of every level that counts them, or nothing of any.

    Returns the :class:`Hold`; or the number of the level that has no room; or ``CONTENDED``: the only thing in the way is a hold
    of another process that may be taken back at once, so try again. Raises ArenaFull. ``request_id`` has 16 bytes.
    """
    if amount < 0 or input_tokens < 0 or output_tokens < 0 or len(request_id) != 16:
        raise ValueError("a hold is not negative and its request id has 16 bytes")
    levels.ask(now_ns)
    cdef uint32_t number = <uint32_t>owner.take_record()
    cdef Record *record = record_at(owner.arena, number)
    cdef Event *event = <Event *>record.event
    cdef int64_t *amounts = held_of(record)
    cdef int verdict, i
    amounts[<int>USD], amounts[<int>REQUESTS], amounts[<int>OPEN] = amount, 1, 1
    amounts[<int>INPUT], amounts[<int>OUTPUT] = input_tokens, output_tokens
    amounts[<int>TOKENS] = fg_plus(input_tokens, output_tokens)
    record.levels = levels.count
    record.sent = 0
    for i in range(levels.count):
        record.cells[i], record.units[i] = levels.at[i].cell, levels.at[i].unit
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
    cdef int64_t counts_ns = _earliest(levels, record, now_ns)
    if counts_ns != now_ns:
        event.started_us = max(event.started_us, (counts_ns or time_ns()) // 1000)
    cdef Hold taken = Hold.__new__(Hold)
    taken.owner, taken.journal, taken.levels, taken.number, taken.open = owner, journal, levels, number, True
    return taken


@cython.no_gc  # it ends itself when it is dropped, also out of a cycle: what it needs for that must not be cleared before
cdef class Hold:
    """A hold that was taken. Ends once, by :meth:`settle` or :meth:`void`; what is dropped ends itself."""

    cdef Record *record(self) noexcept nogil:
        return record_at(self.owner.arena, self.number)

    def __dealloc__(self):
        if not self.open:
            return
        if self.record().sent:
            self._write_event(None, SETTLED_UNSETTLED, OUTCOME_UNKNOWN, 0, 0, 0, 0, 0, b"")
            self._finish(held_of(self.record())[<int>USD])
        else:
            self._void()

    @property
    def amount(self) -> int:
        """Nano-USD held."""
        return held_of(self.record())[<int>USD]

    @property
    def output_tokens(self) -> int:
        """Tokens of output that are held for."""
        return held_of(self.record())[<int>OUTPUT]

    @property
    def is_open(self) -> bool:
        """Whether it is neither settled nor void."""
        return self.open

    def sent(self) -> None:
        """From here on the provider may have seen the request: a crash leaves the hold as unsettled, not void."""
        self.record().sent = 1

    def grow(self, int64_t amount, int64_t output_tokens):
        """Hold ``amount`` nano-USD and ``output_tokens`` more, of every level or of none; None where that is done.

        Else as :func:`hold`: the number of the level that has no room, or ``CONTENDED``.
        """
        if not self.open or amount < 0 or output_tokens < 0:
            raise ValueError("only a hold that is open grows")
        cdef Record *record = self.record()
        cdef int64_t *held = held_of(record)
        cdef int64_t *grown = grown_of(record)
        cdef int verdict, unit
        for unit in range(UNITS):
            grown[unit] = held[unit]
        grown[<int>USD] = fg_plus(held[<int>USD], amount)
        grown[<int>OUTPUT] = fg_plus(held[<int>OUTPUT], output_tokens)
        grown[<int>TOKENS] = fg_plus(held[<int>TOKENS], output_tokens)
        with nogil:
            verdict = _grow(self.owner, self.levels, record, self.number)
        if verdict != TAKEN:
            return verdict
        return None

    def bind(self, Levels levels not None):
        """From here on it grows by these levels: the same counters, by other limits. Raises ValueError where they are others."""
        cdef Record *record = self.record()
        cdef uint32_t i
        if <uint32_t>levels.count != record.levels:
            raise ValueError("a hold keeps its levels")
        for i in range(record.levels):
            if levels.at[i].cell != record.cells[i] or levels.at[i].unit != record.units[i]:
                raise ValueError("a hold keeps its counters")
        self.levels = levels

    def window(self, int level):
        """The number of the window in which it was admitted at ``level``."""
        return self.record().windows[level]

    def spare(self, int level):
        """What ``level`` would have for it to grow by, in the level's unit, if all others gave back what they hold.

        Of a window that has turned nobody knows what is settled in it: then it is all that others may give back at most.
        """
        cdef Standing *standing = self.levels.at + level
        cdef Cell *cell = cell_at(self.owner.arena, standing.cell)
        cdef Record *record = self.record()
        cdef uint32_t window = record.windows[level]
        cdef fg_word *word = word_of(cell, window)
        cdef fg_word spent = fg_load_word(&cell.spent)
        cdef int64_t others = -held_of(record)[standing.unit]
        if word != NULL:
            others = fg_plus(others, fg_load_word(word).amount)
        if window_of(spent) == window:
            others = fg_plus(others, -spent.amount)
        if standing.shared:
            others = fg_plus(others, fg_plus(limit_of(standing, cell), -spent_elsewhere(standing, cell)))
            return others if word == NULL else fg_plus(others, -fg_load_word(word).amount)
        return fg_plus(_room(standing, cell, window), others)

    def settle(self, int64_t actual, Usage usage, int settlement, int outcome, int status, int64_t duration_us=0,
               int64_t upstream_us=0, int64_t ttft_us=0, int64_t overhead_us=0, str error="", int cache=0,
               int64_t saved=0, int meaning=0, bytes given=b""):
        """Book ``actual`` nano-USD in place of the hold and log the request; harmless when already ended. True: booked now.

        ``cache``: what the cache did, one of ``CACHE_NONE`` and so on; ``saved``: nano-USD that a hit would have cost;
        ``meaning``: what the semantic cache decided, one of ``MEANING_NONE`` and so on; ``given``: see :func:`journal.entry_note`.
        """
        if not self.open:
            return False
        if actual < 0 or saved < 0:
            raise ValueError("a cost is not negative")
        self._write_event(
            usage, settlement, outcome, status, duration_us, upstream_us, ttft_us, overhead_us, error.encode() + given)
        cdef Event *event = <Event *>self.record().event
        event.cache, event.meaning, event.saved_nano = cache, meaning, saved
        if cache == EXACT or cache == SEMANTIC:
            event.attempts = 0  # no provider was asked
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
        count_actuals(self.record(), actual)
        self._book(stage_event(self.journal, self.record()))

    cdef void _book(self, Event *place):
        """The point of no return is the store of SETTLING: before it the event and the amount are in place, after it all is redone."""
        cdef Record *record = self.record()
        self.open = False
        with nogil:
            put_progress(self.owner, record, SETTLING, 0, 0)
            settle_steps(self.owner, record, 0)
            if place == NULL:
                with gil:
                    owe(self.owner, self.number)
                return
            self.journal.commit(place)
            free_record(record)
            self.owner.give_record(self.number)


cdef void count_actuals(Record *record, int64_t actual) noexcept nogil:
    """What is settled, in the event and by unit: tokens by the event, by the hold where they are as unknown as the cost."""
    cdef Event *event = <Event *>record.event
    cdef int64_t *held = held_of(record)
    cdef int64_t *tokens = event.tokens
    event.cost_nano, event.hold_nano = actual, held[<int>USD]
    event.overrun_nano = actual - held[<int>USD] if actual > held[<int>USD] else 0
    record.actuals[<int>USD] = actual
    record.actuals[<int>REQUESTS], record.actuals[<int>OPEN] = 1, 0
    if event.settlement == UNSETTLED:
        memcpy(record.actuals + <int>INPUT, held + <int>INPUT, 3 * sizeof(int64_t))
        return
    record.actuals[<int>INPUT] = tokens[0] + tokens[1] + tokens[2] + tokens[3] + tokens[6] + tokens[8] + tokens[11] + tokens[12]
    record.actuals[<int>OUTPUT] = tokens[4] + tokens[5] + tokens[7]
    record.actuals[<int>TOKENS] = fg_plus(record.actuals[<int>INPUT], record.actuals[<int>OUTPUT])


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
    if spent.amount == 0 or window_of(spent) != record.windows[0]:
        taken.void()
        return 0
    taken._write_event(None, SETTLED_NONE, OUTCOME_RESET, 0, 0, 0, 0, 0, b"")
    count_actuals(record, -spent.amount)
    place = stage_event(journal, record)
    if place == NULL:
        taken.void()
        raise ArenaFull("there is no space for the event of a reset")
    taken._book(place)
    return spent.amount
