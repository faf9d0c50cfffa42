"""What a request is held against: limits on money, requests and tokens, each counted in a cell and cut into windows."""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from fastgate._core.arena cimport Arena, cell_at
from fastgate._core.layout cimport (
    GRANTS, INPUT as _INPUT, MAX_LEVELS, OPEN as _OPEN, OUTPUT as _OUTPUT, REQUESTS as _REQUESTS, TOKENS as _TOKENS, UNITS,
    USD as _USD, WINDOW_SHIFT, Cell, fg_cas, fg_load, fg_load_signed, fg_load_word, fg_plus, fg_word,
)
from fastgate._core.windows cimport Period, Window, end_of, number_of, present, tick_of

USD, REQUESTS, INPUT, OUTPUT, TOKENS, OPEN = _USD, _REQUESTS, _INPUT, _OUTPUT, _TOKENS, _OPEN
MOST_LEVELS = MAX_LEVELS


cdef class Level:
    """``Level(cell, limit, period, unit=USD, soft=False, rolls=False, increases=(), shared=False)``: one limit.

    ``soft``: counted, never in the way. ``rolls``: what the window before left of ``limit`` is added to it, at most ``limit``
    again. ``increases``: ``(until_ns, amount)`` each, added to the limit until then; they do not roll over. ``shared``: by hosts,
    so that requests have room in what was granted to this one (:mod:`fastgate._core.leases`), and ``limit`` is for whoever shows it.
    """

    def __cinit__(
        self, uint32_t cell, int64_t limit, Period period not None, int unit=_USD, bint soft=False, bint rolls=False,
        tuple increases=(), bint shared=False,
    ):
        if limit < 0 or not 0 <= unit < UNITS:
            raise ValueError(f"no limit is {limit} of unit {unit}")
        self.cell, self.limit, self.period, self.unit = cell, limit, period, unit
        self.soft, self.rolls, self.increases, self.shared = soft, rolls, increases, shared


cdef class Levels:
    """``Levels(arena, rules)``: the :class:`Level` s that a request must pass, narrowest first."""

    def __cinit__(self, Arena arena not None, rules=()):
        self.arena = arena
        self.rules = tuple(rules)
        if len(self.rules) > MAX_LEVELS:
            raise ValueError(f"a request can be bound by {MAX_LEVELS} limits at once, not {len(self.rules)}")
        self.at = <Standing *>malloc((len(self.rules) + 1) * sizeof(Standing))
        if self.at == NULL:
            raise MemoryError()
        for rule in self.rules:
            self._append(rule)

    def __dealloc__(self):
        free(self.at)

    def __len__(self) -> int:
        return self.count

    cdef void _append(self, Level rule):
        cdef Standing *standing = self.at + self.count
        standing.cell, standing.unit, standing.soft, standing.rolls = rule.cell, rule.unit, rule.soft, rule.rolls
        standing.shared, standing.plain = rule.shared, not (rule.shared or rule.rolls)
        standing.window = standing.number = standing.last = 0
        standing.anchor_ns, standing.own, standing.limit = 0, rule.limit, rule.limit
        standing.begin_ns, standing.end_ns = INT64_MAX, INT64_MIN
        self.count += 1

    cdef int ask(self, int64_t now_ns) except -1:
        """Brings the windows up to ``now_ns``. Calendars are asked once per window, not per request."""
        cdef Standing *standing
        cdef Cell *cell
        cdef int64_t anchor_ns
        cdef int i
        self.tick = tick_of(now_ns)
        for i in range(self.count):
            standing = self.at + i
            cell = cell_at(self.arena, standing.cell)
            anchor_ns = fg_load_signed(&cell.anchor_ns)
            if now_ns < standing.begin_ns or now_ns >= standing.end_ns or anchor_ns != standing.anchor_ns or anchor_ns == 0:
                self._renew(standing, <Level>self.rules[i], anchor_ns, now_ns)
            standing.window = <uint32_t>present(fg_load(&cell.used.tag) >> WINDOW_SHIFT, standing.number, self.tick)
        return 0

    cdef int _renew(self, Standing *standing, Level rule, int64_t anchor_ns, int64_t now_ns) except -1:
        cdef Window found
        cdef int64_t until, amount
        rule.period.find(anchor_ns if anchor_ns else now_ns, now_ns, &found)  # a first use would be now
        standing.anchor_ns, standing.begin_ns, standing.end_ns = anchor_ns, found.begin_ns, found.end_ns
        standing.number, standing.last = number_of(found.end_ns), number_of(found.begin_ns)
        standing.limit = rule.limit
        for until, amount in rule.increases:
            if now_ns < until:
                standing.limit = fg_plus(standing.limit, amount)
                standing.end_ns = min(standing.end_ns, until)
            elif standing.begin_ns < until:
                standing.begin_ns = until  # before it, the limit was another
        return 0

    def left(self, int64_t now_ns):
        """Nano-USD that the tightest hard budget has left (settled and held taken off), None without one; may be negative."""
        cdef int64_t tightest = 0, left
        cdef Standing *standing
        cdef Cell *cell
        cdef bint any_ = False
        cdef int i
        self.ask(now_ns)
        for i in range(self.count):
            standing = self.at + i
            if standing.unit != _USD or standing.soft:
                continue
            cell = cell_at(self.arena, standing.cell)
            left = fg_plus(limit_of(standing, cell), -used_in(cell, standing.window))
            if standing.shared:
                left = fg_plus(left, -used_elsewhere(standing, cell))
            if not any_ or left < tightest:
                tightest, any_ = left, True
        return tightest if any_ else None

    def unspent(self, int i, int64_t now_ns):
        """What level ``i`` has left of its limit in the window of ``now_ns`` with only what is settled taken off."""
        self.ask(now_ns)
        cdef Standing *standing = self.at + i
        cdef Cell *cell = cell_at(self.arena, standing.cell)
        left = fg_plus(limit_of(standing, cell), -spent_in(cell, standing.window))
        return fg_plus(left, -spent_elsewhere(standing, cell))

    def standing(self, int i, int64_t now_ns):
        """``(limit, used, resets_at_ns)`` of level ``i`` in the window of ``now_ns``; ``resets_at_ns`` 0: never.

        What is shared is told as far as this host knows of the others.
        """
        self.ask(now_ns)
        cdef Standing *standing = self.at + i
        cdef Cell *cell = cell_at(self.arena, standing.cell)
        cdef Window found
        (<Level>self.rules[i]).period.find(standing.anchor_ns, now_ns, &found)
        cdef int64_t resets = end_of(standing.window, standing.number, found.end_ns)
        used = fg_plus(used_in(cell, standing.window), used_elsewhere(standing, cell))
        return limit_of(standing, cell), used, 0 if resets == INT64_MAX else resets

    def elsewhere(self, int i, int64_t now_ns):
        """``(used, spent)`` of level ``i`` by other hosts in the window of ``now_ns``, as they told last; zeros where it is not shared."""
        self.ask(now_ns)
        cdef Standing *standing = self.at + i
        cdef Cell *cell = cell_at(self.arena, standing.cell)
        return used_elsewhere(standing, cell), spent_elsewhere(standing, cell)

    def room(self, int i, int64_t now_ns):
        """What a new hold can take of level ``i`` now, on this host; may be negative."""
        self.ask(now_ns)
        cdef Standing *standing = self.at + i
        cdef Cell *cell = cell_at(self.arena, standing.cell)
        return fg_plus(bound_of(standing, cell, standing.window), -used_in(cell, standing.window))

    def windows(self, int i, int64_t now_ns):
        """``(number, begin_ns, end_ns, next)`` of the window of level ``i`` that counts now; ``next``: the number of the one behind it.

        The first one begins with the first use. What never ends has ``end_ns`` 0 and nothing behind it: 0.
        """
        self.ask(now_ns)
        cdef Standing *standing = self.at + i
        cdef Period period = (<Level>self.rules[i]).period
        cdef Window found, following
        period.find(standing.anchor_ns, now_ns, &found)
        cdef int64_t end_ns = end_of(standing.window, standing.number, found.end_ns)
        cdef int64_t begin_ns = max(found.begin_ns, standing.anchor_ns)
        if standing.window != standing.number:
            begin_ns = standing.anchor_ns  # time was cut in another way when it began
        if end_ns == INT64_MAX:
            return standing.window, begin_ns, 0, 0
        period.find(standing.anchor_ns, end_ns, &following)
        return standing.window, begin_ns, end_ns, number_of(following.end_ns)

    def tell(self, int i, tuple percents not None, int64_t now_ns):
        """Those of ``percents`` of its limit that what level ``i`` has spent has reached and that nobody told yet in its window.

        From here on they are told, for all processes.
        """
        self.ask(now_ns)
        cdef Standing *standing = self.at + i
        cdef Cell *cell = cell_at(self.arena, standing.cell)
        cdef uint64_t told, last
        spent, limit = 100 * <object>(spent_in(cell, standing.window) + spent_elsewhere(standing, cell)), limit_of(standing, cell)
        reached = tuple([percent for percent in percents if spent >= percent * limit])
        while reached:
            told = fg_load(&cell.told)
            last = told & 0xFF if told >> 8 >= standing.window else 0
            reached = tuple([percent for percent in reached if percent > last])
            if reached and fg_cas(&cell.told, told, <uint64_t>standing.window << 8 | <uint64_t>max(reached)):
                break
        return reached


cdef int64_t used_in(Cell *cell, uint32_t number) noexcept nogil:
    """Settled plus held in window ``number``, or in a later one that another process has opened already."""
    cdef fg_word word = fg_load_word(&cell.used)
    return word.amount if word.tag >> WINDOW_SHIFT >= number else 0


cdef int64_t spent_in(Cell *cell, uint32_t number) noexcept nogil:
    """Settled, likewise."""
    cdef fg_word word = fg_load_word(&cell.spent)
    return word.amount if word.tag >> WINDOW_SHIFT >= number else 0


cdef int64_t granted_in(Cell *cell, uint32_t number) noexcept nogil:
    """What this host may use of window ``number``; nothing of one that it has not asked for.

    A place's window and amount change together, and no window comes back to it: between two looks at the same window lies
    its amount. So requests only read, and need no swap for a load of both.
    """
    cdef int64_t amount
    cdef int i
    for i in range(GRANTS):
        if fg_load(&cell.granted[i].tag) == number:
            amount = fg_load_signed(&cell.granted[i].amount)
            if fg_load(&cell.granted[i].tag) == number:
                return amount
    return 0


cdef int64_t rolled_limit(Standing *standing, Cell *cell) noexcept nogil:
    """The limit of a level that rolls over."""
    cdef fg_word word = fg_load_word(&cell.used)
    if word.tag >> WINDOW_SHIFT >= standing.window:
        word = fg_load_word(&cell.before)
    if word.tag >> WINDOW_SHIFT == 0:
        return standing.limit  # this is its first window
    if word.tag >> WINDOW_SHIFT < standing.last and standing.window == standing.number:
        return fg_plus(standing.limit, standing.own)  # nothing was used in the one before
    return fg_plus(standing.limit, max(0, standing.own - max(0, word.amount)))
