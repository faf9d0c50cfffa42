"""How the time of budgets and limits is cut into windows: from their first use, or by a calendar in a time zone."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from fastgate._core.windows import Period
from fastgate.wire.snapshot import BudgetRecord, LimitRecord, Window

_NANO: Final = 1_000_000_000
_BASE: Final = 2020
"""The year from which a calendar's windows are numbered: even those of a second then fit into 30 bits until 2054."""
_BASE_DAY: Final = date(_BASE, 1, 1)
_BASE_MONDAY: Final = date(2019, 12, 30)
_BASE_SECOND: Final = int(datetime(_BASE, 1, 1, tzinfo=UTC).timestamp())
_LENGTHS: Final = {Window.SECOND: 1, Window.MINUTE: 60, Window.HOUR: 3600}


@lru_cache(maxsize=1024)
def period(window: int, every: int, zone: str = "") -> Period:
    """Windows of ``every`` units; ``zone``: aligned to the calendar of that time zone, empty: from the first use."""
    return Period(window, every, calendar(Window(window), every, ZoneInfo(zone)) if zone and window else None)


def period_of(record: BudgetRecord | LimitRecord) -> Period:
    """The windows of a budget, or of a limit."""
    return period(record.window, record.every, record.zone if isinstance(record, BudgetRecord) else "")


def calendar(unit: Window, every: int, zone: ZoneInfo) -> Callable[[int], tuple[int, int, int]]:
    """From an instant in Unix nanoseconds to ``(number, begin_ns, end_ns)`` of its window, as ``Period`` asks for it.

    Windows of seconds, minutes or one hour are of one length always, on the zone's clock. Longer ones begin at a time
    of that clock, so that they are longer or shorter where it is put back or forward: several hours begin anew at each
    midnight, weeks begin on Monday, months and years are counted from January 2020.
    """
    if unit in (Window.SECOND, Window.MINUTE) or (unit == Window.HOUR and every == 1):
        return _Regular(every * _LENGTHS[unit], zone)
    return _Civil(unit, every, zone)


class _Regular:
    """Windows of one length in seconds."""

    def __init__(self, length: int, zone: ZoneInfo) -> None:
        self._length = length
        self._zone = zone

    def __call__(self, now_ns: int) -> tuple[int, int, int]:
        second = now_ns // _NANO
        offset = datetime.fromtimestamp(second, self._zone).utcoffset() or timedelta(0)
        ahead = int(offset.total_seconds())
        begin = (second + ahead) // self._length * self._length - ahead
        return max(1, begin - _BASE_SECOND + 1), begin * _NANO, (begin + self._length) * _NANO


class _Civil:
    """Windows that begin at times of a clock on a wall."""

    def __init__(self, unit: Window, every: int, zone: ZoneInfo) -> None:
        self._unit = unit
        self._every = every
        self._zone = zone
        self._slots = -(-24 // every)  # of hours, in a day

    def __call__(self, now_ns: int) -> tuple[int, int, int]:
        second = now_ns // _NANO
        place = self._place(datetime.fromtimestamp(second, self._zone))
        # A clock that was put back shows a time whose window has ended, one put forward may have skipped a begin.
        while self._begin(place + 1) <= second:
            place += 1
        while self._begin(place) > second:
            place -= 1
        return max(1, place + 1), self._begin(place) * _NANO, self._begin(place + 1) * _NANO

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
        return months // (self._every if self._unit == Window.MONTH else 12 * self._every)

    def _begin(self, place: int) -> int:
        """The Unix second at which the clock first shows the begin of window ``place``, or skips it."""
        if self._unit == Window.HOUR:
            days, slot = divmod(place, self._slots)
            begin = _midnight(_BASE_DAY + timedelta(days)) + timedelta(hours=slot * self._every)
        elif self._unit == Window.DAY:
            begin = _midnight(_BASE_DAY + timedelta(place * self._every))
        elif self._unit == Window.WEEK:
            begin = _midnight(_BASE_MONDAY + timedelta(7 * place * self._every))
        else:
            years, month = divmod(place * self._every * (1 if self._unit == Window.MONTH else 12), 12)
            begin = datetime(_BASE + years, month + 1, 1)  # noqa: DTZ001: a time of the zone's clock
        return int(begin.replace(tzinfo=self._zone).timestamp())


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001: a time of the zone's clock
