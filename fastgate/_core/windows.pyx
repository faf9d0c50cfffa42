"""Fixed windows counted from a first use.

A window is numbered from 1. Seconds to weeks are multiples of a length; months and years follow the calendar (UTC) from the
anchor's day, clamped to the length of the month, so that a monthly window of January 31st turns on the last of February.
"""

from libc.stdint cimport int64_t


cdef int64_t NANO = 1_000_000_000
cdef int64_t DAY_NS = 86_400 * 1_000_000_000


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


def index_at(int kind, int every, int64_t anchor_ns, int64_t now_ns):
    """The number (from 1) of the window of ``kind`` x ``every`` that ``now_ns`` (Unix ns) lies in."""
    return window_index(kind, every, anchor_ns, now_ns)


def start_of(int kind, int every, int64_t anchor_ns, int64_t index):
    """When window ``index`` begins, in Unix nanoseconds."""
    return window_start(kind, every, anchor_ns, index)
