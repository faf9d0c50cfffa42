"""Failures by chance: how often, and which requests."""

import pytest

from fastgate.simulator.faults import Fault, Faults, FaultsError, fault


def test_names_are_statuses_or_kinds() -> None:
    assert fault("429") == Fault("status", 429)
    assert fault("cut") == Fault("cut", 0)


@pytest.mark.parametrize("rates", ["x=0.1", "200=0.1", "429", "429=", "429=2", "429=-1", "429=nan", "cut=0.6,hang=0.6"])
def test_rates_that_make_no_sense_are_refused(rates: str) -> None:
    with pytest.raises(FaultsError):
        Faults(rates)


def test_without_rates_nothing_fails() -> None:
    assert not Faults("")
    assert Faults(" ").draw(1) is None


def test_a_share_of_one_fails_every_request() -> None:
    faults = Faults("503=1")
    assert {faults.draw(number) for number in range(100)} == {Fault("status", 503)}


def test_the_shares_are_kept() -> None:
    faults = Faults("429=0.1, cut=0.2", seed=3)
    drawn = [faults.draw(number) for number in range(20_000)]
    assert abs(drawn.count(Fault("status", 429)) / 20_000 - 0.1) < 0.01
    assert abs(drawn.count(Fault("cut")) / 20_000 - 0.2) < 0.01


def test_the_fate_of_a_request_depends_on_seed_request_and_attempt_alone() -> None:
    forwards, backwards = Faults("500=0.5", seed=5), Faults("500=0.5", seed=5)
    one = {number: [forwards.draw(number) for _ in range(4)] for number in range(64)}
    other = {number: [backwards.draw(number) for _ in range(4)] for number in reversed(range(64))}
    assert one == other
    assert any(len(set(map(str, fates))) == 2 for fates in one.values()), "a retry should be able to succeed"
    reseeded = Faults("500=0.5", seed=6)
    assert one != {number: [reseeded.draw(number) for _ in range(4)] for number in range(64)}
