"""How the time of budgets and limits is cut into windows: from their first use, or by a calendar in a time zone."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from fastgate._core.windows import Period
from fastgate.wire.snapshot import BudgetRecord, LimitRecord, Window

Calendar = Callable[[int], tuple[int, int]]
"""From an instant in Unix nanoseconds to when its window begins and ends, as ``Period`` asks for it."""

_NANO: Final = 1_000_000_000
_NEVER: Final = (1 << 63) - 1
_BASE: Final = 2020
"""The year from whose beginning days, months and years are counted; weeks from the Monday before."""
_BASE_DAY: Final = date(_BASE, 1, 1)
_BASE_MONDAY: Final = date(2019, 12, 30)
_YEARS: Final = range(1678, 2262)
"""64 bits of nanoseconds reach no further."""
_LENGTHS: Final = {Window.SECOND: 1, Window.MINUTE: 60, Window.HOUR: 3600}


@lru_cache(maxsize=1024)
def period(window: int, every: int, zone: str = "") -> Period:
    """Windows of ``every`` units; ``zone``: aligned to the calendar of that time zone, empty: from the first use."""
    return Period(window, every, calendar(Window(window), every, ZoneInfo(zone)) if zone and window else None)


def period_of(record: BudgetRecord | LimitRecord) -> Period:
    """The windows of a budget, or of a limit."""
    return period(record.window, record.every, record.zone if isinstance(record, BudgetRecord) else "")


def calendar(unit: Window, every: int, zone: ZoneInfo) -> Calendar:
    """The windows of a calendar, which leave no instant out and share none.

    Windows of seconds, minutes or one hour are multiples of their length, at most a day, on the zone's clock; one in
    which the clock is changed by another amount than such a multiple ends there. Longer ones begin at a time of that
    clock, so that they are longer or shorter where it is put back or forward: several hours, fewer than a day, begin
    anew at each midnight, weeks begin on Monday, months and years are counted from January 2020.
    """
    if unit in (Window.SECOND, Window.MINUTE) or (unit == Window.HOUR and every == 1):
        return _Regular(every * _LENGTHS[unit], zone)
    return _Civil(unit, every, zone)


class _Regular:
    """Windows of one length in seconds."""

    def __init__(self, length: int, zone: ZoneInfo) -> None:
        self._length = length
        self._zone = zone

    def __call__(self, now_ns: int) -> tuple[int, int]:
        second = now_ns // _NANO
        ahead = _ahead(self._zone, second)
        begin = (second + ahead) // self._length * self._length - ahead
        end = begin + self._length
        if (ahead - _ahead(self._zone, begin)) % self._length:
            begin = _change(self._zone, begin, second)
        if (_ahead(self._zone, end - 1) - ahead) % self._length:
            end = _change(self._zone, second, end - 1)
        return begin * _NANO, end * _NANO


class _Civil:
    """Windows that begin at times of a clock on a wall."""

    def __init__(self, unit: Window, every: int, zone: ZoneInfo) -> None:
        self._unit = unit
        self._every = every
        self._zone = zone
        self._slots = -(-24 // every)  # of hours, in a day

    def __call__(self, now_ns: int) -> tuple[int, int]:
        place = self._place(datetime.fromtimestamp(now_ns // _NANO, self._zone))
        # A clock that was put back shows a time whose window has ended, one put forward may have skipped a begin.
        while self._begin_ns(place + 1) <= now_ns:
            place += 1
        while self._begin_ns(place) > now_ns:
            place -= 1
        return self._begin_ns(place), self._begin_ns(place + 1)

    def _place(self, local: datetime) -> int:
        """The number, from 0, of the window that the clock shows."""
        days = (local.date() - _BASE_DAY).days
        if self._unit == Window.HOUR:
            return days * self._slots + local.hour // self._every
        if self._unit == Window.DAY:
            return days // self._every
        if self._unit == Window.WEEK:
            return (local.date() - _BASE_MONDAY).days // (7 * self._every)
        months = (local.year - _BASE) * 12 + local.month - 1
        return months // self._months

    @property
    def _months(self) -> int:
        return self._every * (1 if self._unit == Window.MONTH else 12)

    def _begin_ns(self, place: int) -> int:
        """The Unix nanosecond at which the clock first shows the begin of window ``place``, or skips it."""
        if self._unit == Window.HOUR:
            days, slot = divmod(place, self._slots)
            begin = _midnight(_BASE_DAY + timedelta(days)) + timedelta(hours=slot * self._every)
        elif self._unit == Window.DAY:
            begin = _midnight(_BASE_DAY + timedelta(place * self._every))
        elif self._unit == Window.WEEK:
            begin = _midnight(_BASE_MONDAY + timedelta(7 * place * self._every))
        else:
            years, month = divmod(place * self._months, 12)
            if _BASE + years not in _YEARS:
                return _NEVER if years > 0 else -_NEVER
            begin = datetime(_BASE + years, month + 1, 1)
        return _first_shown(self._zone, begin) * _NANO


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _first_shown(zone: ZoneInfo, time: datetime) -> int:
    """The first Unix second at which the zone's clock shows ``time`` or, where it leaves that out, a later time."""
    there = time.replace(tzinfo=zone)
    second = int(there.timestamp())
    if datetime.fromtimestamp(second, zone).replace(tzinfo=None) == time:
        return second
    return _change(zone, int(there.replace(fold=1).timestamp()) - 1, second)


def _ahead(zone: ZoneInfo, second: int) -> int:
    """Seconds by which the zone's clock is ahead of UTC."""
    offset = datetime.fromtimestamp(second, zone).utcoffset() or timedelta(0)
    return int(offset.total_seconds())


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """The first Unix second with the offset of ``after``, which the zone's clock did not have ``before``."""
    offset = _ahead(zone, after)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if _ahead(zone, middle) == offset else (middle, after)
    return after
