"""The share of requests that are answered wrongly stays under ``max_error``, whatever the truth behind similarities,
and however it changes; and what is learnt and spent moves the way that it should."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.semantic.budget import BINS, CENTRES, EVERY, WORST, Budget, bin_of
from fastgate.semantic.features import NAMES
from fastgate.semantic.learning import OnlineLogistic, departure, logistic
from fastgate.semantic.policy import Neighbour, Policy

REQUESTS = 6_000
WORDS = [
    first + last
    for first in ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi")
    for last in ("lan", "mor", "tis", "vek", "ron")
]

Truth = Callable[[float, float], float]
"""Similarity and time (0 to 1) to the probability that it is the same question."""

TRUTHS: dict[str, Truth] = {
    "as the prior has it": lambda similarity, time: logistic(25 * (similarity - 0.90)),
    "steeper and later": lambda similarity, time: logistic(80 * (similarity - 0.96)),
    "flat": lambda similarity, time: 0.9,
    "no answer is ever the same": lambda similarity, time: 0.0,
    "drifts to the worse at once": lambda similarity, time: logistic(60 * (similarity - (0.88, 0.96)[time >= 0.5])),
    "drifts to the worse slowly": lambda similarity, time: logistic(60 * (similarity - 0.86 - 0.1 * time)),
    "drifts to the better": lambda similarity, time: logistic(60 * (similarity - (0.97 if time < 0.4 else 0.88))),
}


def simulated(max_error: float, truth: Truth, seed: int) -> tuple[int, int]:
    """Hits and errors of a stream; half of the requests have a neighbour, whose words say nothing."""
    rng = random.Random(f"simulation {seed}")
    policy = Policy(max_error, rng=random.Random(seed))
    hits = errors = 0
    for at in range(REQUESTS):
        text = f"what is {' '.join(rng.sample(WORDS, 3))}"
        neighbours = []
        if rng.random() < 0.5:
            similarity = rng.uniform(0.75, 1.0)
            neighbours = [Neighbour(at, text, similarity, ())]
        decision = policy.decide(text, neighbours)
        if not neighbours:
            assert decision.verdict == "miss"
            continue
        same = rng.random() < truth(neighbours[0].similarity, at / REQUESTS)
        if decision.verdict == "serve":
            hits += 1
            errors += not same
        elif decision.verdict == "explore":
            policy.learn(text, neighbours[0], same)
    return hits, errors


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("max_error", [0.01, 0.05])
def test_errors_stay_under_the_setting(max_error: float, name: str) -> None:
    for seed in (1, 2):
        hits, errors = simulated(max_error, TRUTHS[name], seed)
        assert errors <= max_error * REQUESTS, (name, seed, hits, errors)


def test_the_cache_is_of_use_where_similarity_tells() -> None:
    hits, _ = simulated(0.01, TRUTHS["as the prior has it"], 1)
    assert hits > 0.02 * REQUESTS


def test_who_allows_more_errors_gets_more_hits() -> None:
    hits = [simulated(max_error, TRUTHS["as the prior has it"], 1)[0] for max_error in (0.002, 0.005, 0.02)]
    assert hits == sorted(hits)
    assert hits[0] < hits[2]


probabilities = st.floats(0.0, 1.0)
vectors = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3)


@given(vectors, st.lists(st.integers(0, 7), unique=True, max_size=4), st.booleans())
def test_a_comparison_moves_belief_its_way(vector: list[float], words: list[int], same: bool) -> None:
    model = OnlineLogistic([0.1, -0.2, 0.3], [1.0, 1.0, 1.0], 8, 0.3)
    before = model.believe(vector, words).score
    model.learn(vector, words, same)
    after = model.believe(vector, words).score
    assert after >= before - 1e-9 if same else after <= before + 1e-9


@given(st.lists(st.tuples(vectors, st.booleans()), max_size=40))
def test_the_covariance_stays_one(rows: list[tuple[list[float], bool]]) -> None:
    model = OnlineLogistic([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], 8, 0.3)
    for vector, same in rows:
        model.learn(vector, [1], same)
    assert np.linalg.eigvalsh((model.covariance + model.covariance.T) / 2).min() > 0
    assert (model.word_variances > 0).all()


@given(st.lists(st.tuples(st.floats(0.7, 1.0), st.booleans()), max_size=40), st.floats(0.7, 1.0))
def test_an_entry_departs_towards_what_was_found(seen: list[tuple[float, bool]], similarity: float) -> None:
    before = departure(seen, 0.88, 20.0, 1.0, most=50)
    assert departure([*seen, (similarity, True)], 0.88, 20.0, 1.0, most=50) >= before - 0.01
    assert departure([*seen, (similarity, False)], 0.88, 20.0, 1.0, most=50) <= before + 0.01


@given(probabilities, probabilities)
def test_bins_are_in_order(one: float, other: float) -> None:
    assert 0 <= bin_of(one) < BINS
    if one <= other:
        assert bin_of(one) <= bin_of(other)


@given(st.lists(st.tuples(probabilities, st.booleans()), max_size=200), probabilities)
def test_evidence_moves_the_bound_its_way(comparisons: list[tuple[float, bool]], wrong: float) -> None:
    budget = Budget(0.02)
    for value, same in comparisons:
        budget.compare(value, same)
    before = budget.bound(wrong)
    assert 0.0 <= before <= 1.0
    for _ in range(20):
        budget.compare(wrong, False)
    assert budget.bound(wrong) >= min(before, 0.5) - 1e-9


@given(st.lists(st.tuples(probabilities, st.booleans()), max_size=300), st.floats(0.001, 0.2), st.floats(0.001, 0.2))
def test_the_cut_off_is_never_worse_than_even_and_grows_with_what_may_be_spent(
    stream: list[tuple[float, bool]], one: float, other: float
) -> None:
    small, large = Budget(min(one, other)), Budget(max(one, other))
    for wrong, same in stream:
        for budget in (small, large):
            budget.request(wrong)
            budget.compare(wrong, same)
    for _ in range(2 * EVERY):
        small.request(None)
        large.request(None)
    assert 0.0 <= small.cutoff <= large.cutoff + 1e-9 <= WORST + 2e-9


def test_what_was_spent_wrongly_closes_the_cache() -> None:
    budget = Budget(0.01)
    low = float(CENTRES[5])
    for _ in range(2_000):
        budget.request(low)
        budget.serve(low)
        budget.compare(low, False)
    assert budget.cutoff < low
    assert budget.allowed() == 0.0


def test_names_of_features_are_those_of_the_priors() -> None:
    from fastgate.semantic.priors import DEVIATION, MEAN

    assert set(NAMES) == set(MEAN) == set(DEVIATION)
    assert all(value > 0 for value in DEVIATION.values())
