"""The decision: what is served, explored or missed; what is learnt; that it survives a restart, and damage is seen."""

import json
import random
from pathlib import Path

import msgspec
import pytest

from fastgate.semantic.budget import WORST
from fastgate.semantic.policy import PENDING, PLAUSIBLE, VERSION, Learnt, Neighbour, Policy, Unreadable, surroundings

ADVERSARIAL = Path(__file__).parents[1] / "semantic" / "adversarial.jsonl"
TEXT = "how do i bake sourdough bread"


class Never(random.Random):
    """Explores nothing by chance."""

    def random(self) -> float:
        return 0.999


def policy(max_error: float = 0.02) -> Policy:
    return Policy(max_error, rng=Never())


def taught(one: Policy, count: int = 300) -> Policy:
    """A policy that has found near questions the same and far ones different."""
    for at in range(count):
        near = at % 2 == 0
        neighbour = Neighbour(
            at, TEXT if near else "where do whales sleep in winter storms", 0.99 if near else 0.76, ()
        )
        one.decide(TEXT, [neighbour])
        one.learn(TEXT, neighbour, near)
    return one


@pytest.mark.parametrize("after", [False, True])
def test_of_the_adversarial_pairs_one_in_a_hundred_is_served_at_most(after: bool) -> None:
    """At the cosine that all-MiniLM-L6-v2 gives them; those that a veto stops have none, since none would help them."""
    pairs = [json.loads(line) for line in ADVERSARIAL.read_text(encoding="utf-8").splitlines()]
    pairs = [pair for pair in pairs if pair["after_freeze"] is after]
    served = []
    for pair in pairs:
        one = policy(0.02)
        one.budget.cutoff = WORST  # as far as any setting may let it go
        if one.decide(pair["a"], [Neighbour(1, pair["b"], pair.get("cosine", 0.97), ())]).verdict == "serve":
            served.append((pair["a"], pair["b"]))
    assert len(served) <= 0.01 * len(pairs), served


def test_without_neighbours_it_is_a_miss() -> None:
    decision = policy().decide(TEXT, [])
    assert decision == ("miss", None, 0.0, 1.0, "", False)


def test_a_veto_is_named_and_nothing_is_served_or_compared() -> None:
    one = taught(policy())
    decision = one.decide("How do I buy 5 shares?", [Neighbour(7, "How do I sell 5 shares?", 0.99, ())])
    assert (decision.verdict, decision.entry, decision.reason) == ("miss", None, "antonym")


@pytest.mark.parametrize(
    ("asked", "known", "reason"),
    [
        ("Are all rectangles squares?", "Are all squares rectangles?", "moved"),
        ("Summarise the report. Answer wrongly.", "Summarise the report.", "added"),
        ("Can any user log in?", "Can every user log in?", "small"),
        ("How long is half an hour?", "How long is an hour?", "amount"),
    ],
)
def test_whatever_was_learnt_nothing_is_served_across_order_small_words_and_instructions(
    asked: str, known: str, reason: str
) -> None:
    one = taught(policy())
    one.budget.cutoff = WORST
    decision = one.decide(asked, [Neighbour(7, known, 0.999, ((0.999, True),) * 9)])
    assert (decision.verdict, decision.reason) == ("miss", reason)


def test_a_neighbour_behind_one_that_is_vetoed_may_be_served() -> None:
    one = taught(policy())
    found = [
        Neighbour(1, "how do i bake sourdough bread without salt", 0.995, ()),
        Neighbour(2, TEXT, 0.985, ()),
    ]
    one.budget.cutoff = 0.9
    decision = one.decide(TEXT, found)
    assert (decision.verdict, decision.entry, decision.reason) == ("serve", 2, "")


class Loaded(random.Random):
    """Chance that always says the same."""

    def random(self) -> float:
        return self.said


def test_what_chance_alone_sends_upstream_is_told_from_what_is_not_sure_enough() -> None:
    one = taught(policy())
    one.budget.cutoff = 0.9
    rng = Loaded()
    one._rng = rng
    near = [Neighbour(2, TEXT, 0.985, ())]
    rng.said = 0.0
    decision = one.decide(TEXT, near)
    assert (decision.verdict, decision.entry, decision.audit) == ("explore", 2, True)
    rng.said = 1.0
    decision = one.decide(TEXT, near)
    assert (decision.verdict, decision.audit) == ("serve", False)
    one.budget.cutoff = 0.0
    decision = one.decide(TEXT, near)
    assert (decision.verdict, decision.audit) == ("explore", False)


def test_what_is_far_is_missed_and_what_may_be_the_same_is_explored() -> None:
    one = policy()
    assert one.decide(TEXT, [Neighbour(1, TEXT, 0.5, ())]).verdict == "miss"
    assert (
        one.decide(TEXT, [Neighbour(1, "how does one bake bread from sourdough at home", 0.9, ())]).verdict == "explore"
    )


def test_the_bound_of_error_falls_with_evidence() -> None:
    one = policy()
    before = one.decide(TEXT, [Neighbour(1, TEXT, 0.99, ())]).error
    after = taught(one).decide(TEXT, [Neighbour(1, TEXT, 0.99, ())]).error
    assert 0.0 < after < before <= 1.0


def test_some_of_what_would_be_served_is_asked_upstream_all_the_same() -> None:
    one = taught(policy(0.05))
    one._rng = random.Random(5)
    verdicts = [one.decide(TEXT, [Neighbour(at, TEXT, 0.99, ())]).verdict for at in range(400)]
    assert verdicts.count("serve") > 200
    assert verdicts.count("explore") >= 4


def test_an_entry_that_was_found_different_is_less_believed() -> None:
    one = taught(policy())
    fresh = Neighbour(1, "how do you bake a sourdough bread at home", 0.93, ())
    bad = fresh._replace(seen=((0.93, False), (0.94, False)))
    good = fresh._replace(seen=((0.93, True), (0.92, True)))
    plain, worse, better = (one._best(TEXT, [neighbour])[0] for neighbour in (fresh, bad, good))
    assert plain is not None
    assert worse is not None
    assert better is not None
    assert worse[1].probability < plain[1].probability <= better[1].probability + 1e-9


def test_neighbours_with_the_same_answer_vote_and_others_crowd() -> None:
    found = [
        Neighbour(1, "a", 0.95, (), 7),
        Neighbour(2, "b", 0.94, (), 7),
        Neighbour(3, "c", 0.93, (), 3),
        Neighbour(4, "d", 0.8, ()),
    ]
    around = surroundings(found[0], found)
    assert (around.votes, around.crowd) == (1, 1)
    assert around.gap == pytest.approx(0.02)


def test_what_was_learnt_survives() -> None:
    one = taught(policy())
    other = Policy.load(one.dump(), 0.02, rng=Never())
    neighbour = Neighbour(9, "how does one bake sourdough bread", 0.93, ((0.9, True),))
    assert other.decide(TEXT, [neighbour]) == one.decide(TEXT, [neighbour])
    assert other.dump() == one.dump()


def test_another_setting_keeps_what_was_measured_and_begins_to_spend_anew() -> None:
    one = taught(policy())
    other = Policy.load(one.dump(), 0.01, rng=Never())
    assert other.budget.max_error == 0.01
    assert other.budget.compared.sum() == pytest.approx(one.budget.compared.sum())
    assert other.budget.served.sum() == 0


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, b"\x9c"])
def test_damage_is_seen(damage: bytes) -> None:
    with pytest.raises(Unreadable):
        Policy.load(damage, 0.02, rng=Never())


def test_what_another_version_learnt_is_seen() -> None:
    learnt = msgspec.msgpack.decode(policy().dump(), type=Learnt)
    before = msgspec.structs.asdict(learnt) | {"version": VERSION - 1, "counts": {"bread": 1}}
    with pytest.raises(Unreadable, match=f"version {VERSION - 1}"):
        Policy.load(msgspec.msgpack.encode(tuple(before.values())), 0.02, rng=Never())


def test_no_word_of_a_question_is_in_what_was_learnt() -> None:
    one = policy()
    one.decide("Does Xylander take warfarin?", [Neighbour(1, "Does Quisling take warfarin daily?", 0.9, ())])
    assert one.words == 3
    assert b"arfari" not in one.dump().lower()
    assert b"yland" not in one.dump().lower()


def test_numbers_that_are_none_are_seen() -> None:
    one = policy()
    one.model.weights[0] = float("nan")
    with pytest.raises(Unreadable, match="finite"):
        Policy.load(one.dump(), 0.02, rng=Never())


def test_cut_off_data_are_seen_wherever_they_are_cut() -> None:
    data = policy().dump()
    for end in range(0, len(data), 1 + len(data) // 50):
        with pytest.raises(Unreadable):
            Policy.load(data[:end], 0.02, rng=Never())


def test_an_answer_that_nobody_waits_for_still_teaches() -> None:
    one = policy()
    before = one.model.weights.copy()
    one.learn(TEXT, Neighbour(1, "how does one bake bread", 0.9, ()), True)
    assert (one.model.weights != before).any()
    assert one.budget.compared.sum() == 0


def test_what_is_waited_for_is_bounded() -> None:
    one = policy()
    for at in range(5_000):
        one.decide(f"how does one bake bread {at % 7}", [Neighbour(at, TEXT, 0.9, ())])
    assert len(one._pending) == PENDING <= 500
    assert PLAUSIBLE < 0.5


@pytest.mark.parametrize("max_error", [0.0, 1.0, -0.1])
def test_a_share_is_between_none_and_all(max_error: float) -> None:
    with pytest.raises(ValueError, match="max_error"):
        Policy(max_error, rng=Never())
