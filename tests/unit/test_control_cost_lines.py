"""Cost lines sum to the total exactly, whatever the rounding."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from fastgate.control.cost_lines import shares

UNIT = 10**9  # a nano-USD in the unit of the parts


@given(st.lists(st.integers(0, 10**22), max_size=8))
def test_shares_sum_to_the_total_and_are_off_by_less_than_one(parts: list[int]) -> None:
    total, rest = divmod(sum(parts), UNIT)
    total += rest * 2 > UNIT or (rest * 2 == UNIT and total % 2 == 1)
    amounts = shares(parts, total)
    assert amounts is not None
    assert sum(amounts) == total
    assert all(abs(amount * UNIT - part) < UNIT for amount, part in zip(amounts, parts, strict=True))
    assert shares(parts, total + 1) is None
    assert shares(parts, total - 1) is None


@given(st.lists(st.fractions(0, 10**20, max_denominator=3_600_000_000), max_size=8))
def test_parts_of_an_hour_sum_likewise(parts: list[Fraction]) -> None:
    amounts = shares(parts, round(sum(parts) / UNIT))
    assert amounts is not None
    assert all(abs(amount * UNIT - part) < UNIT for amount, part in zip(amounts, parts, strict=True))


def test_halves_round_to_even_once() -> None:
    assert shares([UNIT // 2], 0) == [0]
    assert shares([UNIT // 2, UNIT], 2) == [1, 1]
    assert shares([UNIT // 4, UNIT // 4, UNIT // 4], 1) == [1, 0, 0]
    assert shares([], 0) == []
