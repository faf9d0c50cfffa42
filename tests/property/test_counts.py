"""Counts of reports are what is written where that can be believed, and within their bounds whatever is written."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate._core.counts import MAX_COUNT, anomalies, count, mapping, part

WHOLE = st.one_of(st.integers(-3, 3), st.integers(MAX_COUNT - 2, MAX_COUNT + 2), st.integers(-(2**70), 2**70))
VALUES: st.SearchStrategy[Any] = st.one_of(
    WHOLE, WHOLE.map(float), st.floats(), st.booleans(), st.none(), st.text(max_size=3), st.just([]), st.just({})
)


def counted(value: object) -> tuple[int | None, bool]:
    """What is taken of a value, and whether that is an anomaly."""
    if value is None:
        return None, False
    is_number = not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    )
    if not is_number or int(value) > MAX_COUNT:  # type: ignore[call-overload]
        return None, True
    return max(0, int(value)), int(value) < 0  # type: ignore[call-overload]


@settings(max_examples=1_000)
@given(VALUES)
def test_a_count_is_believed_or_counted_as_an_anomaly(value: object) -> None:
    before = anomalies.total()
    taken, odd = counted(value)
    found = count({"n": value}, "n")
    assert (found, type(found) in (int, type(None))) == (taken, True)
    assert anomalies.total() - before == odd
    assert count({}, "n") is None
    assert mapping(value) == (value if isinstance(value, dict) else {})


@settings(max_examples=1_000)
@given(VALUES, st.integers(0, MAX_COUNT))
def test_a_part_is_never_more_than_the_whole(value: object, whole: int) -> None:
    before = anomalies.total()
    taken, odd = counted(value)
    assert part({"n": value}, "n", whole) == min(taken or 0, whole)
    assert anomalies.total() - before == odd + ((taken or 0) > whole)
