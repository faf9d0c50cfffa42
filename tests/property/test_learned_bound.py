"""What the traffic teaches: bounds come down to what is seen, but nobody can teach them away."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.learned import OutputRate, TokenRate

ENOUGH = 32
LEARNED = st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 20_000)), min_size=ENOUGH, max_size=60)


def rate(folder: Path) -> TokenRate:
    arena = Arena(str(folder / f"arena-{os.urandom(8).hex()}"), create=True)
    return TokenRate(arena, "sim/sim-small")


@given(seen=LEARNED, size=st.integers(0, 70 << 20))
def test_a_bound_is_between_half_a_token_and_one_per_byte(
    tmp_path_factory: object, seen: list[tuple[int, int]], size: int
) -> None:
    folder = tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    learner = rate(folder)
    for tokens, length in seen:
        learner.observe(tokens, length)
    bound = learner.bound(size)
    assert size // 2 <= bound <= size + 64
    # What was seen is covered, as far as one token per byte covers it.
    assert all(learner.bound(length) >= min(tokens, length) for tokens, length in seen)


def test_short_prompts_teach_nothing_cheap(tmp_path: Path) -> None:
    """40 greetings, of a few tokens each, must not make the next 39 kB cost next to nothing to hold."""
    learner = rate(tmp_path)
    for _ in range(40):
        learner.observe(1, 95)
    assert learner.learned
    assert learner.bound(39_000) >= 19_500


def test_until_enough_was_seen_a_byte_is_a_token(tmp_path: Path) -> None:
    learner = rate(tmp_path)
    for _ in range(ENOUGH - 1):
        learner.observe(10, 1000)
    assert learner.bound(10_000) == 10_064
    learner.observe(10, 1000)
    assert learner.bound(10_000) < 6_000


def test_the_longest_reasoning_is_remembered(tmp_path: Path) -> None:
    learner = OutputRate(Arena(str(tmp_path / "arena"), create=True), "sim/sim-small answers")
    for reasoning in (0, 700, 20):
        learner.observe(10, 1000, reasoning)
    assert learner.most_reasoning == 700
    assert learner.likely_reasoning == 1050


def test_what_was_billed_beyond_a_token_for_each_byte_was_reasoning(tmp_path: Path) -> None:
    """Of providers that do not tell it apart; some tokens of framing are none."""
    learner = OutputRate(Arena(str(tmp_path / "arena"), create=True), "sim/sim-small answers")
    learner.observe(120, 100, 0)
    assert learner.most_reasoning == 0
    learner.observe(5_100, 100, 0)
    assert learner.most_reasoning == 5_000


def test_one_answer_that_reasoned_is_not_held_for_by_all_for_ever(tmp_path: Path) -> None:
    """It is forgotten so slowly that what comes once in ten thousand answers is held for each time."""
    learner = OutputRate(Arena(str(tmp_path / "arena"), create=True), "sim/sim-small answers")
    learner.observe(10, 1000, 60_000)
    for _ in range(10_000):
        learner.observe(10, 1000, 0)
    assert learner.likely_reasoning >= 60_000
    for _ in range(200_000):
        learner.observe(10, 1000, 0)
    assert learner.likely_reasoning < 300


@given(seen=LEARNED, tokens=st.integers(0, 1 << 40))
def test_the_reach_of_tokens_is_where_their_bound_ends(
    tmp_path_factory: object, seen: list[tuple[int, int]], tokens: int
) -> None:
    folder = tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    learner = OutputRate(Arena(str(folder / f"arena-{os.urandom(8).hex()}"), create=True), "sim/sim-small answers")
    for used, length in seen:
        learner.observe(used, length, 0)
    reach = learner.reach(tokens)
    assert learner.bound(reach) > tokens
    assert learner.bound(reach - 1) <= tokens


@given(tokens=st.integers(1, 70_000), size=st.sampled_from([2**47, 2**48, 2**62, 2**63 - 65, 2**63 - 1]))
def test_no_size_is_too_large(tmp_path_factory: object, tokens: int, size: int) -> None:
    folder = tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    arena = Arena(str(folder / f"arena-{os.urandom(8).hex()}"), create=True)
    inputs, outputs = TokenRate(arena, "sim/sim-small"), OutputRate(arena, "sim/sim-small answers")
    assert inputs.bound(size) == min(size + 64, 2**63 - 1)
    assert outputs.bound(size) == size
    for _ in range(ENOUGH):
        inputs.observe(tokens, 65_536)
        outputs.observe(tokens, 65_536, 0)
    share = min(max(tokens * 150 // 100, 32_768), 65_536)
    assert inputs.bound(size) == min(size * share // 65_536 + 1 + 64, size + 64, 2**63 - 1)
    assert outputs.bound(size) == size * share // 65_536
