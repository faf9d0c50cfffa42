"""How much of a shared limit a host keeps at hand."""

from random import Random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from fastgate.budgets.leases.peers import MOST_NAMED, Peers
from fastgate.budgets.leases.sizing import (
    BEAT_NS,
    HORIZON_NS,
    IDLE_NS,
    LATEST_NS,
    LONGEST_PAUSE_NS,
    PEERS_NS,
    REQUESTS_AT_HAND,
    RISE_NS,
    SOONEST_NS,
    Pace,
    beat,
    next_look,
    pauses,
    peers_again,
    surplus,
    wanted,
)
from fastgate.budgets.leases.store import LAPSE_MS

STEP: Final = HORIZON_NS // 10
AMOUNTS: Final = st.integers(0, 1 << 62)


def paced(per_step: int, steps: int = 40) -> Pace:
    pace = Pace(0, 0)
    for step in range(1, steps + 1):
        pace.note(step * STEP, step * per_step)
    return pace


def test_a_pace_is_what_is_used_in_a_second() -> None:
    pace = paced(7, steps=100)
    assert pace.per_second == pace.target(100 * STEP, 0) == 70


def test_a_pace_follows_quickly_upwards_and_slowly_down() -> None:
    pace = paced(7)
    for step in range(1, 11):
        pace.note((40 + step) * STEP, 40 * 7 + step * 100)
        assert step < 5 or 900 <= pace.target((40 + step) * STEP, 0, rises=True) <= 1000
    assert 600 <= pace.per_second <= 800, "where no request lacked any"
    pace.note(51 * STEP, 40 * 7 + 1000)
    assert 500 <= pace.target(51 * STEP, 0, rises=True) < 700
    for step in range(12, 60):
        pace.note((40 + step) * STEP, 40 * 7 + 1000)
    assert pace.per_second < 10


@given(st.lists(st.tuples(st.integers(0, HORIZON_NS), st.integers(0, 1000)), max_size=50))
def test_a_burst_is_no_pace(looks: list[tuple[int, int]]) -> None:
    """What is at hand for a second is a few times what was taken, however shortly before that was, and not for long."""
    pace, now, used = Pace(0, 0), 0, 0
    for passed, taken in looks:
        now, used = now + passed, used + taken
        pace.note(now, used)
        assert 0 <= pace.per_second <= used
        assert pace.target(now, 0, rises=True) <= used * HORIZON_NS // RISE_NS
    pace.note(now + RISE_NS, used)
    assert pace.target(now, 0, rises=True) <= used


def test_a_pace_is_the_same_however_often_it_is_looked_at() -> None:
    seldom, often = Pace(0, 0), Pace(0, 0)
    for step in range(1, 4001):
        often.note(step * STEP // 100, step * 1000)
        if step % 50 == 0:
            seldom.note(step * STEP // 100, step * 1000)
    assert abs(often.per_second - seldom.per_second) <= often.per_second // 50


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


def test_few_hosts_are_heard_of_as_soon_as_there_are_any() -> None:
    assert beat(1) == beat(2000) == BEAT_NS
    assert peers_again(2, changed=True) <= 10_000_000
    assert peers_again(2, changed=False) == PEERS_NS
    _, longest = pauses(3, LONGEST_PAUSE_NS, 0.5)
    assert longest == LONGEST_PAUSE_NS


@given(st.integers(0, 20_000))
def test_a_store_is_asked_no_more_by_more_hosts(hosts: int) -> None:
    assert beat(hosts) * 3 <= LAPSE_MS * 1_000_000, "a host that lives counts as living"
    assert hosts * 1_000_000_000 <= 250 * peers_again(hosts, changed=True), "lists a second"
    wait, longest = pauses(hosts, 1 << 50, 1)
    assert wait == 1 << 50
    assert hosts * 1_000_000_000 <= 1000 * longest, "tries a second"


def test_pauses_grow_and_are_not_alike() -> None:
    assert pauses(3, 50_000_000, 0) == (25_000_000, 100_000_000)
    assert pauses(3, 50_000_000, 1) == (50_000_000, 100_000_000)


@given(st.integers(1, 300), st.randoms())
def test_hosts_that_name_those_who_follow_name_all(hosts: int, chance: Random) -> None:
    names = [f"{chance.randrange(1 << 64):016x}" for _ in range(hosts)]
    peers = Peers()
    peers.keep(names)
    named, known = set(names[:1]), names[:1]
    while known:
        after = peers.after(known.pop())
        assert len(after) <= MOST_NAMED
        known += set(after) - named
        named |= set(after)
    assert named == set(names)
