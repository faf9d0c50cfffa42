"""Whatever is done to a valid configuration: the answer is a configuration, or problems that have a place."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate.config import Config, ConfigErrors
from fastgate.config.documents import read_document
from fastgate.config.variables import Variables
from tests.fuzz.harness import mutated
from tests.fuzz.test_fuzz_settings import ENVIRONMENT, GOLDEN, SEEDS, accepted, mutated_values

TOKENS = (b"- ", b"  ", b": ", b"&a ", b"*a", b"<<: ", b"!!int ", b"${", b"}", b"'", b'"', b"|\n", b"{", b"[", b"? ")


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SEEDS))
def test_mutated_text(rng: random.Random, seed: str) -> None:
    accepted(mutated(rng, seed.encode(), [seed.encode()], TOKENS).decode("utf-8", "replace"))


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SEEDS))
def test_mutated_values(rng: random.Random, seed: str) -> None:
    accepted(mutated_values(rng, seed))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    accepted(text.encode("utf-8", "replace").decode())


def test_the_seeds_are_valid() -> None:
    for seed in SEEDS:
        config = read_document(seed, "fastgate.yaml", Variables(ENVIRONMENT, GOLDEN)).config
        assert isinstance(config, Config)


def test_mutations_find_both_answers() -> None:
    rng = random.Random(4)
    answers = {accepted(mutated_values(rng, rng.choice(SEEDS))) for _ in range(200)}
    assert answers == {True, False}


def test_the_target_notices_an_error_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("broken")

    monkeypatch.setattr("fastgate.config.documents.findings", broken)
    with pytest.raises(KeyError):
        accepted(SEEDS[0])


def test_a_problem_outside_of_the_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> None:
        raise ConfigErrors([])

    monkeypatch.setattr("tests.fuzz.test_fuzz_settings.read_document", nowhere)
    with pytest.raises(AssertionError):
        accepted("")
