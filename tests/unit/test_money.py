"""Amounts as people read them, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.wire.money import nano, usd


@given(st.integers(-(2**63), 2**63))
def test_an_amount_comes_back(amount: int) -> None:
    assert nano(usd(amount)) == amount


@pytest.mark.parametrize("text", ["", "1", "1.5", "1.0000000000", "01.000000000", "-0.000000000", "1,000000000", "1e9"])
def test_another_text_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount with 9 places|invalid literal"):
        nano(text)
