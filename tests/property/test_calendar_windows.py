"""Windows of calendars, against clocks on walls: what a zone's clock shows decides, at every change of it.

The model is the clock alone. It gives each time that a clock shows a block (of days, months, ...); a window is the
time during which the highest block shown so far is the same.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastgate.budgets.periods import calendar, period
from fastgate.wire.snapshot import Window

NANO = 1_000_000_000
ZONES = (
    "UTC", "Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "Africa/Cairo",
    "America/St_Johns", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Chatham", "America/Havana", "Asia/Pyongyang",
)  # fmt: skip
FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2000, 2045))
LENGTHS = {Window.SECOND: 1, Window.MINUTE: 60, Window.HOUR: 3600}


def clock(zone: ZoneInfo, second: int) -> datetime:
    return datetime.fromtimestamp(second, zone)


def changes(zone: ZoneInfo) -> Iterator[int]:
    """Days in which the clock is changed, by their first second."""
    for second in range(FIRST, LAST, 86_400):
        if clock(zone, second).utcoffset() != clock(zone, second + 86_400).utcoffset():
            yield second


CHANGES = {name: tuple(changes(ZoneInfo(name))) or (FIRST,) for name in ZONES}


@st.composite
def moments(draw: st.DrawFn) -> tuple[ZoneInfo, int]:
    """A zone and a nanosecond, mostly within two days of a change of its clock."""
    name = draw(st.sampled_from(ZONES))
    near = st.builds(int.__add__, st.sampled_from(CHANGES[name]), st.integers(-2 * 86_400, 3 * 86_400))
    second = draw(st.one_of(near, near, st.integers(FIRST, LAST)))
    return ZoneInfo(name), second * NANO + draw(st.integers(0, NANO - 1))


def tile(zone: ZoneInfo, unit: Window, every: int, now_ns: int) -> tuple[int, int]:
    """The window of an instant in seconds, which its neighbours touch."""
    find = calendar(unit, every, zone)
    begin, end = find(now_ns)
    assert begin <= now_ns < end
    assert begin % NANO == end % NANO == 0
    assert find(begin) == find((begin + end) // 2) == find(end - 1) == (begin, end)
    assert find(end)[0] == end
    assert find(begin - 1)[1] == begin
    return begin // NANO, end // NANO


def changed_at(zone: ZoneInfo, second: int) -> bool:
    return clock(zone, second - 1).utcoffset() != clock(zone, second).utcoffset()


def block(unit: Window, every: int, local: datetime) -> tuple[int, ...]:
    """What is one window to a reader of the clock; later ones are greater."""
    if unit == Window.HOUR:
        return (local.toordinal(), local.hour // every)
    if unit == Window.DAY:
        return ((local.toordinal() - date(2020, 1, 1).toordinal()) // every,)
    if unit == Window.WEEK:
        return ((local.toordinal() - date(2019, 12, 30).toordinal()) // (7 * every),)
    if unit == Window.MONTH:
        return ((local.year * 12 + local.month - 1 - 2020 * 12) // every,)
    return ((local.year - 2020) // every,)


CIVIL = st.one_of(
    st.tuples(st.just(Window.HOUR), st.integers(2, 23)),
    st.tuples(st.sampled_from([Window.DAY, Window.WEEK, Window.MONTH, Window.YEAR]), st.integers(1, 9)),
)
REGULAR = st.one_of(
    st.tuples(st.just(Window.SECOND), st.integers(1, 3600)),
    st.tuples(st.just(Window.MINUTE), st.one_of(st.sampled_from([1, 5, 15, 30, 60, 90, 720]), st.integers(1, 1440))),
    st.just((Window.HOUR, 1)),
)


@settings(max_examples=400, deadline=None)
@given(moments(), CIVIL)
@example((ZoneInfo("Pacific/Apia"), 1_325_239_200 * NANO), (Window.DAY, 1))
@example((ZoneInfo("Pacific/Apia"), 1_325_239_200 * NANO - 1), (Window.HOUR, 5))
@example((ZoneInfo("America/St_Johns"), 1_289_097_060 * NANO), (Window.DAY, 1))
def test_a_window_is_what_a_clock_on_a_wall_shows(moment: tuple[ZoneInfo, int], cut: tuple[Window, int]) -> None:
    zone, now = moment
    begin, end = tile(zone, *cut, now)
    own = block(*cut, clock(zone, begin))
    step = max(900, (end - begin) // 60)
    assert all(block(*cut, clock(zone, second)) <= own for second in (*range(begin, end, step), end - 1))
    assert all(block(*cut, clock(zone, second)) < own for second in (begin - 1, *range(begin - 93_600, begin, 1800)))
    assert block(*cut, clock(zone, end)) > own
    before = block(*cut, clock(zone, begin) - timedelta(microseconds=1))  # on the wall, not in time
    assert before < own or changed_at(zone, begin), "it begins with its block, or where the clock leaves that out"


@settings(max_examples=400, deadline=None)
@given(moments(), REGULAR)
@example((ZoneInfo("Australia/Lord_Howe"), 1_775_315_100 * NANO), (Window.HOUR, 1))
def test_short_windows_are_multiples_on_the_zones_clock(moment: tuple[ZoneInfo, int], cut: tuple[Window, int]) -> None:
    zone, now = moment
    begin, end = tile(zone, *cut, now)
    length = LENGTHS[cut[0]] * cut[1]
    whole = end - begin == length
    assert whole or (0 < end - begin < length and (changed_at(zone, begin) or changed_at(zone, end)))
    shown = clock(zone, begin).replace(tzinfo=UTC).timestamp()
    assert shown % length == 0 or changed_at(zone, begin)


def test_years_of_days_are_as_many_as_the_calendar_has() -> None:
    """Every local day once, of 23 to 25 hours, leap days too."""
    for name in ("Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Cairo"):
        zone, find = ZoneInfo(name), calendar(Window.DAY, 1, ZoneInfo(name))
        now, shown = int(datetime(2016, 1, 1, 12, tzinfo=zone).timestamp()) * NANO, []
        while now < int(datetime(2021, 1, 1, tzinfo=zone).timestamp()) * NANO:
            begin, now = find(now)
            assert 23 * 3600 <= (now - begin) // NANO <= 25 * 3600
            shown.append(clock(zone, begin // NANO).date())
        assert shown == [date(2016, 1, 1) + timedelta(days) for days in range(366 + 365 + 365 + 365 + 366)]


@pytest.mark.parametrize(
    ("zone", "unit", "now", "begin", "end"),
    [
        ("Europe/Paris", Window.MONTH, "2026-03-31T23:30+00:00", "2026-04-01T00:00+02:00", "2026-05-01T00:00+02:00"),
        ("Europe/Paris", Window.DAY, "2026-03-29T12:00+00:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("America/Sao_Paulo", Window.DAY, "2018-11-04T12:00+00:00", "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"),
        ("Pacific/Apia", Window.DAY, "2011-12-30T09:59:59+00:00", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00"),
        ("Africa/Cairo", Window.DAY, "2026-04-24T12:00+00:00", "2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"),
        ("Asia/Kolkata", Window.HOUR, "2026-04-24T12:10+00:00", "2026-04-24T17:00+05:30", "2026-04-24T18:00+05:30"),
        ("UTC", Window.WEEK, "2028-02-29T00:00+00:00", "2028-02-28T00:00+00:00", "2028-03-06T00:00+00:00"),
        ("UTC", Window.YEAR, "2028-12-31T23:59:59+00:00", "2028-01-01T00:00+00:00", "2029-01-01T00:00+00:00"),
    ],
)  # fmt: skip
def test_windows_as_people_write_them(zone: str, unit: Window, now: str, begin: str, end: str) -> None:
    at, *expected = (int(datetime.fromisoformat(moment).timestamp()) * NANO for moment in (now, begin, end))
    assert list(period(unit, 1, zone).window(0, at)) == expected


@pytest.mark.parametrize("unit", [unit for unit in Window if unit])
def test_the_longest_windows_have_an_end_or_none(unit: Window) -> None:
    every = {Window.SECOND: 10_000, Window.MINUTE: 1440, Window.HOUR: 23}.get(unit, 10_000)
    for year in (2015, 2026, 2200):
        now = int(datetime(year, 6, 1, tzinfo=UTC).timestamp()) * NANO
        begin, end = period(unit, every, "Europe/Paris").window(0, now)
        assert begin <= now < end
