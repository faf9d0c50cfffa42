"""What is promised of answers from the cache, and when it is kept."""

import pytest

from loadtest.hits import Found, Plan, Run, markdown


@pytest.mark.parametrize(
    ("rate", "cpu", "met"),
    [(22_000, 35.0, [True, True]), (21_999, 35.0, [False, True]), (22_001, 35.1, [True, False])],
)
def test_medians_are_held_against_what_is_promised(rate: float, cpu: float, met: list[bool]) -> None:
    found = Found([Run(1, rate * times, cpu / times, 5.0, 1500, 4000) for times in (0.5, 1, 1, 2, 0.9)])
    assert [bound.met for bound in found.bounds()] == met
    assert f"| fastgate, one worker | {rate:,} | {cpu:.1f} | 5.0 | 1.50 | 4.00 |" in markdown(found, Plan())
