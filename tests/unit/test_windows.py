"""Windows from a first use, against stdlib calendars."""

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate._core.windows import Period
from fastgate.wire.snapshot import Window

NANO = 1_000_000_000
FOREVER = (-(2**63), 2**63 - 1)

INSTANTS = st.datetimes(datetime(1999, 1, 1), datetime(2120, 1, 1), timezones=st.just(UTC))


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NANO + moment.microsecond * 1000


def add_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


@given(INSTANTS, st.integers(1, 5), st.integers(0, 400), st.sampled_from([Window.MONTH, Window.YEAR]))
def test_months_and_years_follow_the_calendar(anchor: datetime, every: int, number: int, kind: Window) -> None:
    step = every * (12 if kind is Window.YEAR else 1)
    months = number * step
    if anchor.year * 12 + anchor.month + months + step > 2262 * 12:  # int64 nanoseconds end in 2262
        return
    begin, period = add_months(anchor, months), Period(kind, every)
    begins, ends = period.window(ns(anchor), ns(begin))
    assert ends == ns(add_months(anchor, months + step))
    assert begins == (ns(begin) if number else FOREVER[0])
    if number:
        assert period.window(ns(anchor), ns(begin) - 1)[1] == begins


@given(INSTANTS, st.integers(1, 90), st.timedeltas(timedelta(0), timedelta(days=20_000)), st.integers(1, 5))
def test_lengths_divide_the_time_since_the_first_use(anchor: datetime, every: int, later: timedelta, kind: int) -> None:
    seconds = {1: 1, 2: 60, 3: 3600, 4: 86_400, 5: 604_800}[kind] * every
    begins, ends = Period(kind, every).window(ns(anchor), ns(anchor + later))
    number = later // timedelta(seconds=seconds) + 1
    assert begins == (ns(anchor) + (number - 1) * seconds * NANO if number > 1 else FOREVER[0])
    assert ns(anchor + later) < ends == ns(anchor) + number * seconds * NANO


@pytest.mark.parametrize(
    ("anchor", "turns"),
    [
        ("2026-01-31T12:00:00", ["2026-02-28T12:00:00", "2026-03-31T12:00:00", "2026-04-30T12:00:00"]),
        ("2028-01-31T00:00:00", ["2028-02-29T00:00:00", "2028-03-31T00:00:00"]),
        ("2026-12-15T06:30:00", ["2027-01-15T06:30:00"]),
    ],
)
def test_a_month_that_is_too_short_ends_on_its_last_day(anchor: str, turns: list[str]) -> None:
    start = ns(datetime.fromisoformat(anchor).replace(tzinfo=UTC))
    expected = [ns(datetime.fromisoformat(turn).replace(tzinfo=UTC)) for turn in turns]
    ends = [Period(Window.MONTH).window(start, moment)[1] for moment in (start, *expected)]
    assert ends[: len(turns)] == expected


def test_a_lifetime_and_an_unused_budget_have_one_window() -> None:
    assert Period(Window.LIFETIME).window(5, 10**18) == FOREVER
    assert Period(Window.DAY).window(0, 10**18) == FOREVER
    assert Period(Window.DAY).window(10**18, 10**18 - 1) == Period(Window.DAY).window(10**18, 10**18)


def test_a_window_that_64_bits_do_not_reach_has_no_end() -> None:
    assert Period(Window.YEAR, 10_000).window(10**18, 10**18 + 1) == FOREVER
    assert Period(Window.MONTH, 10_000).window(10**18, 10**18 + 1) == FOREVER
    assert Period(Window.WEEK, 10_000).window(10**18, 10**18 + 1)[1] == 10**18 + 70_000 * 86_400 * NANO
