"""How much of a shared limit a host keeps at hand."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from fastgate.budgets.leases.sizing import (
    HORIZON_NS,
    IDLE_NS,
    LATEST_NS,
    REQUESTS_AT_HAND,
    SOONEST_NS,
    Pace,
    next_look,
    surplus,
    wanted,
)

STEP: Final = HORIZON_NS // 10
AMOUNTS: Final = st.integers(0, 1 << 62)


def paced(per_step: int, steps: int = 40) -> Pace:
    pace = Pace(0, 0)
    for step in range(1, steps + 1):
        pace.note(step * STEP, step * per_step)
    return pace


def test_a_pace_is_what_is_used_in_a_second() -> None:
    assert paced(7).per_second == 70
    assert paced(7).target(40 * STEP, 0) == 70


def test_a_pace_follows_at_once_upwards_and_slowly_down() -> None:
    pace = paced(7)
    pace.note(41 * STEP, 40 * 7 + 100)
    assert pace.per_second == 1000
    pace.note(42 * STEP, 40 * 7 + 100)
    assert 800 <= pace.per_second < 1000
    for step in range(43, 100):
        pace.note(step * STEP, 40 * 7 + 100)
    assert pace.per_second < 10


def test_what_holds_give_back_is_no_pace() -> None:
    pace = Pace(0, 100)
    pace.note(STEP, 40)
    assert pace.per_second == 0


def test_nothing_is_kept_for_what_is_idle() -> None:
    assert paced(7).target(40 * STEP + IDLE_NS + 1, 0) == 0


def test_a_few_requests_are_kept_at_hand_before_there_is_a_pace() -> None:
    assert Pace(0, 0).target(1, 50) == REQUESTS_AT_HAND * 50


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_what_is_asked_for_covers_what_is_missing(at_hand: int, target: int, missing: int) -> None:
    want = wanted(at_hand, target, missing)
    assert want >= 0
    assert at_hand + want >= missing
    assert want == 0 or surplus(at_hand + want, max(target, missing), recalled=False) == 0, "it would go back at once"


@given(AMOUNTS, AMOUNTS, st.booleans())
def test_no_more_goes_back_than_is_at_hand(at_hand: int, target: int, recalled: bool) -> None:
    spare = surplus(at_hand, target, recalled=recalled)
    assert 0 <= spare <= at_hand
    assert wanted(at_hand - spare, target, 0) == 0 or recalled or at_hand < target, "it would be asked for again"


@given(AMOUNTS, AMOUNTS)
def test_looks_are_neither_too_many_nor_too_few(at_hand: int, target: int) -> None:
    assert SOONEST_NS <= next_look(at_hand, target) <= LATEST_NS
