"""Fixed windows, counted from a first use or as a calendar says.

From a first use, seconds to weeks are multiples of a length; months and years follow the calendar (UTC) from the anchor's day,
clamped to the length of the month, so that a monthly window of January 31st turns on the last of February. Calendars in time
zones are beyond this unit: a period that is aligned to one asks it, once per window.

A window is known by the second in which it ends, whatever cut time so: the number lies in the word that holds the amount. So
who finds a number can tell whether that window lasts, and an edit of how time is cut neither loses an amount nor gives it back:
the window that it finds runs to its end, and only what follows is cut anew. Numbers have 30 bits, until 2054.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint32_t

from fastgate._core.layout cimport WINDOWS

cdef int64_t NANO = 1_000_000_000
cdef int64_t DAY_NS = 86_400 * 1_000_000_000
cdef int64_t LAST_YEAR = 2261  # 64 bits of nanoseconds end in the next one


def ends_of(uint32_t number) -> int:
    """The Unix nanosecond in which the window of that number ends, to the second; 0: never."""
    return 0 if number >= WINDOWS else (<int64_t>number + EPOCH) * NANO


def number_ending(int64_t end_ns) -> int:
    """The inverse: of a window that ends then."""
    return number_of(end_ns)


cdef inline int64_t _floor_div(int64_t a, int64_t b) noexcept nogil:
    cdef int64_t quotient = a / b
    if a % b < 0:
        quotient -= 1
    return quotient


cdef inline int64_t _days(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """Days since 1970-01-01 in the proleptic Gregorian calendar; after Howard Hinnant's chrono algorithms."""
    if month <= 2:
        year -= 1
    cdef int64_t era = _floor_div(year, 400)
    cdef int64_t year_of_era = year - era * 400
    cdef int64_t day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) / 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468


cdef inline void _civil(int64_t days, int64_t *year, int64_t *month, int64_t *day) noexcept nogil:
    days += 719468
    cdef int64_t era = _floor_div(days, 146097)
    cdef int64_t day_of_era = days - era * 146097
    cdef int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365
    cdef int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100)
    cdef int64_t shifted = (5 * day_of_year + 2) / 153
    day[0] = day_of_year - (153 * shifted + 2) / 5 + 1
    month[0] = shifted + (3 if shifted < 10 else -9)
    year[0] = year_of_era + era * 400 + (1 if month[0] <= 2 else 0)


cdef inline int64_t _month_length(int64_t year, int64_t month) noexcept nogil:
    if month == 12:
        return 31
    return _days(year, month + 1, 1) - _days(year, month, 1)


cdef inline int64_t _add_months(int64_t anchor_ns, int64_t months) noexcept nogil:
    cdef int64_t year, month, day, total, length
    cdef int64_t days = _floor_div(anchor_ns, DAY_NS)
    _civil(days, &year, &month, &day)
    total = year * 12 + month - 1 + months
    year = _floor_div(total, 12)
    month = total - year * 12 + 1
    if year > LAST_YEAR:
        return INT64_MAX
    length = _month_length(year, month)
    return _days(year, month, day if day < length else length) * DAY_NS + (anchor_ns - days * DAY_NS)


cdef inline int64_t _length_ns(int kind) noexcept nogil:
    if kind == SECOND:
        return NANO
    if kind == MINUTE:
        return 60 * NANO
    if kind == HOUR:
        return 3600 * NANO
    if kind == DAY:
        return DAY_NS
    return 7 * DAY_NS


cdef int64_t window_start(int kind, int every, int64_t anchor_ns, int64_t index) noexcept nogil:
    """When window ``index`` (from 1) begins, in Unix nanoseconds; the end of one is the start of the next."""
    if kind == MONTH:
        return _add_months(anchor_ns, (index - 1) * every)
    if kind == YEAR:
        return _add_months(anchor_ns, (index - 1) * every * 12)
    return anchor_ns + (index - 1) * every * _length_ns(kind)


cdef int64_t window_index(int kind, int every, int64_t anchor_ns, int64_t now_ns) noexcept nogil:
    """The number of the window that ``now_ns`` lies in; 1 where nothing was used yet, and for a lifetime."""
    cdef int64_t guess, year, month, day, anchor_year, anchor_month
    if kind == LIFETIME or anchor_ns == 0 or now_ns <= anchor_ns:
        return 1
    if kind < MONTH:
        return 1 + (now_ns - anchor_ns) / (every * _length_ns(kind))
    _civil(_floor_div(anchor_ns, DAY_NS), &anchor_year, &anchor_month, &day)
    _civil(_floor_div(now_ns, DAY_NS), &year, &month, &day)
    guess = (year - anchor_year) * 12 + month - anchor_month
    if kind == YEAR:
        guess = guess / 12
    guess = guess / every + 1
    if window_start(kind, every, anchor_ns, guess) > now_ns:
        guess -= 1
    elif window_start(kind, every, anchor_ns, guess + 1) <= now_ns:
        guess += 1
    return guess


cdef class Period:
    """``Period(kind, every=1, calendar=None)``: how time is cut into windows.

    ``calendar(now_ns)`` gives ``(begin_ns, end_ns)`` of the window that an instant lies in; without one, windows are counted
    from a budget's first use.
    """

    def __cinit__(self, int kind, int every=1, calendar=None):
        if not LIFETIME <= kind <= YEAR or every < 1:
            raise ValueError(f"no window is {every} of kind {kind}")
        self.kind, self.every = kind, every
        self.calendar = None if kind == LIFETIME else calendar

    cdef int find(self, int64_t anchor_ns, int64_t now_ns, Window *found) except -1:
        """The window of ``now_ns`` for what was first used at ``anchor_ns``; 0: never, so that it has no end yet."""
        cdef int64_t index
        if self.kind == LIFETIME:
            found.begin_ns, found.end_ns = INT64_MIN, INT64_MAX
        elif self.calendar is not None:
            if now_ns < self.latest.begin_ns or now_ns >= self.latest.end_ns:
                self.latest.begin_ns, self.latest.end_ns = self.calendar(now_ns)
            found[0] = self.latest
        elif anchor_ns == 0:
            found.begin_ns, found.end_ns = INT64_MIN, INT64_MAX
        else:
            index = window_index(self.kind, self.every, anchor_ns, now_ns)
            found.begin_ns = INT64_MIN if index == 1 else window_start(self.kind, self.every, anchor_ns, index)
            found.end_ns = window_start(self.kind, self.every, anchor_ns, index + 1)
        return 0

    def window(self, int64_t anchor_ns, int64_t now_ns):
        """``(begin_ns, end_ns)`` of the window that ``now_ns`` lies in; what has no end ends at the end of 64 bits.

        The first one from a first use begins with time: a clock may have been put back.
        """
        cdef Window found
        self.find(anchor_ns, now_ns, &found)
        return found.begin_ns, found.end_ns
