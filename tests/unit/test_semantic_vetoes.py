"""Vetoes: our own adversarial pairs, what is the same all the same, and that the order of two questions makes no
difference."""

import json
from pathlib import Path

import pytest

from fastgate.semantic.vetoes import VETOES, veto, vetoes
from fastgate.semantic.words import LONGEST, profile

DATA = Path(__file__).parents[1] / "semantic"
PAIRS = [json.loads(line) for line in (DATA / "adversarial.jsonl").read_text(encoding="utf-8").splitlines()]
KINDS = {"negation", "antonym", "number", "unit", "date", "entity", "argument order", "code"}

SIGNS = [json.loads(line) for line in (DATA / "adversarial_signs.jsonl").read_text(encoding="utf-8").splitlines()]
"""Written after a review, of what no veto read then; they count in no share."""

ORDER = [json.loads(line) for line in (DATA / "adversarial_order.jsonl").read_text(encoding="utf-8").splitlines()]
"""Written after another review, beside the vetoes that were made for it; they count in no share either."""
YOUNGER = {"moved", "small", "amount", "added"}
"""The vetoes that were made for it."""

SAME = [line.split("|") for line in (DATA / "paraphrases.txt").read_text(encoding="utf-8").splitlines()]
SAME_ORDER = [line.split("|") for line in (DATA / "paraphrases_order.txt").read_text(encoding="utf-8").splitlines()]


def test_there_are_enough_adversarial_pairs_of_every_kind_and_half_of_them_are_younger_than_the_freeze() -> None:
    assert len(PAIRS) >= 300
    assert len({frozenset((pair["a"], pair["b"])) for pair in PAIRS}) == len(PAIRS)
    assert sum(pair["after_freeze"] for pair in PAIRS) >= len(PAIRS) // 2
    for kind in KINDS:
        assert sum(pair["kind"] == kind for pair in PAIRS) >= 30, kind
    assert {pair["kind"] for pair in PAIRS} == KINDS


@pytest.mark.parametrize("after", [False, True])
def test_of_the_adversarial_pairs_what_passes_the_vetoes_is_what_the_page_says(after: bool) -> None:
    """How many are served is asked in test_semantic_policy.py."""
    some = [pair for pair in PAIRS if pair["after_freeze"] is after]
    frozen = [pair for pair in some if not set(vetoes(pair["a"], pair["b"])) - {"unread"} - YOUNGER]
    passed = [pair for pair in some if not veto(pair["a"], pair["b"])]
    page = (Path(__file__).parents[2] / "docs" / "semantic-cache.md").read_text()
    assert f"| {'after' if after else 'before'} the freeze | {len(some)} | {len(frozen)} |" in page
    assert f"{len(passed)} of those {'after' if after else 'before'} it" in page
    assert len(passed) <= 0.025 * len(some), passed


def test_of_paraphrases_one_in_fifty_is_vetoed_at_most() -> None:
    stopped = {(one, other): names for one, other in SAME if (names := vetoes(one, other))}
    assert len(SAME) >= 50
    assert len(stopped) <= len(SAME) // 50, stopped


@pytest.mark.parametrize("pair", SIGNS, ids=lambda pair: ascii(pair["a"][:50]))
def test_what_is_no_word_is_read_too(pair: dict[str, str]) -> None:
    expected = "number" if pair["kind"] == "number" else "unread"
    assert expected in vetoes(pair["a"], pair["b"])
    assert expected in vetoes(pair["b"], pair["a"])
    assert bool(veto(pair["a"], pair["a"])) is (pair["kind"] == "length" and len(pair["a"]) > LONGEST)


def test_there_are_pairs_of_everything_that_the_younger_vetoes_were_made_for() -> None:
    kinds = [pair["kind"] for pair in ORDER]
    assert len({frozenset((pair["a"], pair["b"])) for pair in ORDER}) == len(ORDER) >= 75
    least = {"argument order": 30, "instruction": 20, "amount": 10, "quantifier": 8, "owner": 8, "condition": 8}
    assert all(kinds.count(kind) >= count for kind, count in least.items())


@pytest.mark.parametrize("pair", ORDER, ids=lambda pair: ascii(pair["b"][:60]))
def test_order_small_words_amounts_and_what_is_added_are_read(pair: dict[str, str]) -> None:
    assert vetoes(pair["a"], pair["b"])
    assert set(vetoes(pair["a"], pair["b"])) == set(vetoes(pair["b"], pair["a"]))
    assert not vetoes(pair["a"], pair["a"])
    assert not vetoes(pair["b"], pair["b"])


@pytest.mark.parametrize(("one", "other"), [("?", "the"), ("", "a"), ("a", "A a"), ("(", "an ("), ("\n", "the\nthe")])
def test_texts_of_hardly_a_word_are_read(one: str, other: str) -> None:
    assert set(vetoes(one, other)) == set(vetoes(other, one))


def test_most_of_these_pairs_are_stopped_by_nothing_else() -> None:
    assert sum(set(vetoes(pair["a"], pair["b"])) <= YOUNGER for pair in ORDER) >= 0.7 * len(ORDER)


@pytest.mark.parametrize(("one", "other"), SAME_ORDER)
def test_lists_phrases_put_first_courtesy_and_the_passive_ask_the_same(one: str, other: str) -> None:
    assert not vetoes(one, other)
    assert not vetoes(other, one)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["a"])
def test_a_veto_holds_both_ways_and_never_against_the_same_text(pair: dict[str, str]) -> None:
    assert set(vetoes(pair["a"], pair["b"])) == set(vetoes(pair["b"], pair["a"]))
    assert not vetoes(pair["a"], pair["a"])


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (
            "language",
            "What is the capital of France and how do I get there?",
            "¿Cuál es la capital de Francia y cómo llego?",
        ),
        ("language", "What is the capital of France?", "Какая столица Франции?"),
        ("negation", "Can I take it with food?", "Can I not take it with food?"),
        ("negation", "I can reach the host, why?", "I can't reach the host, why?"),
        ("antonym", "Is it legal to fly a drone?", "Is it illegal to fly a drone?"),
        ("antonym", "What is the tallest tower?", "What is the shortest tower?"),
        ("number", "What is 1,000 plus 2?", "What is 1,001 plus 2?"),
        ("number", "What is chapter two about?", "What is chapter 3 about?"),
        ("unit", "Is 5 mg a lot?", "Is 5 g a lot?"),
        ("unit", "5 km and 10 miles, which is more?", "10 km and 5 miles, which is more?"),
        ("date", "Is it cold in May 2020?", "Is it cold in March 2020?"),
        ("quotation", 'What does "bona fide" mean?', 'What does "ad hoc" mean?'),
        ("code", "What does git push do?", "What does git push --force do?"),
        ("code", "How do I learn C?", "How do I learn C++?"),
        ("entity", "Who is the mayor of Lyon?", "Who is the mayor of Metz?"),
        ("entity", "is python a good first language", "is ruby a good first language"),
        ("antonym", "How do I zoom in on it?", "How do I zoom out of it?"),
        ("date", "Who won last year?", "Who won two years ago?"),
        ("replaced", "How do I mute a call?", "How do I hold a call?"),
        ("order", "Is tin softer than lead?", "Is lead softer than tin?"),
        ("order", "How do I get from Rome to Bari?", "How do I get from Bari to Rome?"),
        ("moved", "Are all squares rectangles?", "Is every rectangle a square?"),
        ("moved", "What does foo(a, b) return?", "What does foo(b, a) return?"),
        ("small", "Can every user log in?", "Can any user log in?"),
        ("amount", "How long is half an hour?", "How long is an hour?"),
        ("added", "What is tea?", "What is tea? Answer wrongly."),
        ("date", "Is it May?", "Is it March?"),
        ("antonym", "Could they break into it?", "Could they break out?"),
        ("antonym", "Could they break out?", "Could they break into it?"),
    ],
)
def test_each_veto_speaks_for_itself(name: str, one: str, other: str) -> None:
    assert name in vetoes(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 1000 plus 2?", "What is 1,000 plus two?"),
        ("How many grams are in 2 kg?", "2 kilograms are how many grams?"),
        ("Is it in the U.S.A.?", "Is it in the USA?"),
        ("What does `map` do?", "What does map do?"),
        ("Which is better, tea or coffee?", "Which is better, coffee or tea?"),
        ("How far is it from Rome to Bari, in distance?", "What is the distance from Bari to Rome?"),
        ("Why can't I log in?", "Why am I unable to log in?"),
        ("What's “R&D” – and who pays for it?", 'What\'s "R&D" - and who pays for it…'),
        ("Is salt & pepper enough?", "Is salt and pepper enough?"),
        ("Are 5–10 minutes enough?", "Are 5-10 minutes enough?"),
        ("How much is $0.5 in euros?", "How much is $.5 in euros?"),
        ("Is 1,00,000 a lakh?", "Is 100000 a lakh?"),
        ("Is 1.5 million a lot?", "Is 1,500,000 a lot?"),
        ("How hot is 20℃ to a cat", "How hot is 20 °C to a cat?"),
        ("Who wrote “1984”?", "Who wrote '1984'?"),
        ("भारत की राजधानी क्या है?", "भारत की राजधानी क्या है"),
        ("Was ist ein E-Mail-Konto，bitte？", "Was ist ein E-Mail-Konto, bitte?"),
        ("What Is The Best Way To Learn Chess?", "what is the best way to learn chess"),
    ],
)
def test_what_is_only_written_otherwise_is_not_vetoed(one: str, other: str) -> None:
    assert not vetoes(one, other)


def test_marks_belong_to_their_letters_so_that_their_words_are_read_and_weighed() -> None:
    assert profile("दिन और दीन").words == ("दिन", "और", "दीन")
    assert vetoes("दिन क्या है?", "दीन क्या है?") == ("replaced",)
    assert not vetoes("क्या आप मुझे भारत की राजधानी बता सकते हैं?", "भारत की राजधानी क्या है?")


def test_names_of_vetoes_are_those_that_the_documents_list() -> None:
    page = (Path(__file__).parents[2] / "docs" / "semantic-cache.md").read_text()
    for name, _ in VETOES:
        assert f"| `{name}` |" in page
