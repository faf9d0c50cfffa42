"""Whether two answers say the same: by their text, else by their vectors, else by a judge."""

import pytest

from fastgate.semantic.compare import DIFFERENT_BELOW, SAME_FROM, compare, cosine, normalised

LONG = "The heart pumps blood through the body, which carries oxygen to every organ and takes carbon dioxide back."
OTHER = (
    "Blood is pumped through the body by the heart; it brings oxygen to the organs and returns carbon dioxide again."
)


def vectors(similarity: float) -> tuple[list[float], list[float]]:
    return [1.0, 0.0], [similarity, (1.0 - similarity**2) ** 0.5]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Paris.", "paris"),
        ("**Paris**", "The answer is: Paris"),
        ("Sure! Of course. It is 5.", "It is  5"),
        ("`a`", "a"),
        ("ﬁne", "fine"),
        ("", "."),
        ("“Paris”", '"Paris"'),
        ("```\nif x:\n    y()\n```", "```\nif x:  \n    y()\n```\n"),
    ],
)
def test_form_makes_no_difference(one: str, other: str) -> None:
    assert compare(one, other) == compare(other, one) == "same"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Paris", "Rome"),
        ("Yes, it is.", "No, it is not."),
        ("Yes.", "It isn't."),
        ("It is 5.", "It is 6."),
        ("", "something"),
        (LONG + " That takes 20 seconds.", OTHER + " That takes 60 seconds."),
        (f"Yes. {LONG}", f"No. {OTHER}"),
    ],
)
def test_what_the_words_tell_apart_no_vector_brings_together(one: str, other: str) -> None:
    assert compare(one, other, vectors=vectors(0.999), judged=True) == "different"
    assert compare(other, one, vectors=vectors(0.999), judged=True) == "different"


def test_vectors_decide_outside_a_band_and_a_judge_within_it() -> None:
    assert compare(LONG, OTHER) == "unsure"
    assert compare(LONG, OTHER, vectors=vectors(SAME_FROM + 0.01)) == "same"
    assert compare(LONG, OTHER, vectors=vectors(DIFFERENT_BELOW - 0.01)) == "different"
    between = vectors((SAME_FROM + DIFFERENT_BELOW) / 2)
    assert compare(LONG, OTHER, vectors=between) == "unsure"
    assert compare(LONG, OTHER, vectors=between, judged=True) == "same"
    assert compare(LONG, OTHER, vectors=between, judged=False) == "different"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("You should take this tablet with food.", "You should not take this tablet with food."),
        ("Grapes are safe for dogs of any age and size, in small amounts, as long as they are washed before.",
         "Grapes are toxic for dogs of any age and size, in small amounts, as long as they are washed before."),
        ("It is legal to park there overnight, as long as no sign says otherwise.",
         "It is illegal to park there overnight, as long as no sign says otherwise."),
        ("To send your commits to the server run `git push origin main` in the folder of the repository, then wait.",
         "To send your commits to the server run `git pull origin main` in the folder of the repository, then wait."),
        ("Use `>` to do that.", "Use `|` to do that."),
        ("The interval is [1, 2).", "The interval is (1, 2]."),
        ("It is 5!", "It is 5"),
        ("There are 10⁵ of them.", "There are 105 of them."),
        ("It is written in C#.", "It is written in C."),
        ("rm -rf *", "rm -rf"),
        ("SELECT * FROM t", "SELECT FROM t"),
        ("if x:\n    y()\n    z()", "if x:\n    y()\nz()"),
        ("That is US policy, and no other country has it.", "That is us policy, and no other country has it."),
        (LONG, LONG + " No, not at all."),
        (LONG * 30, LONG * 30 + " Quite so."),
    ],
)  # fmt: skip
def test_near_vectors_alone_do_not_say_what_the_words_deny(one: str, other: str) -> None:
    for mine, theirs in ((one, other), (other, one)):
        assert compare(mine, theirs) != "same"
        assert compare(mine, theirs, vectors=vectors(0.99)) != "same"


def test_a_judge_is_asked_of_all_that_is_not_far_apart() -> None:
    near = vectors(0.99)
    assert compare(LONG, OTHER, vectors=near, judge=True) == "unsure"
    assert compare(LONG, OTHER, vectors=near, judge=True, judged=False) == "different"
    assert compare(LONG, OTHER, vectors=vectors(DIFFERENT_BELOW - 0.01), judge=True) == "different"
    assert compare(LONG, LONG, judge=True) == "same"


def test_without_vectors_it_is_a_judges() -> None:
    assert compare(LONG, OTHER, judged=True) == "same"
    assert compare(LONG, OTHER, judged=False) == "different"


def test_a_judge_is_not_heard_where_the_vectors_are_clear() -> None:
    assert compare(LONG, OTHER, vectors=vectors(0.2), judged=True) == "different"


def test_cosine_of_nothing_is_nothing_and_lengths_have_to_agree() -> None:
    assert cosine([0.0, 0.0], [1.0, 0.0]) == 0.0
    assert cosine([3.0, 4.0], [6.0, 8.0]) == pytest.approx(1.0)
    with pytest.raises(ValueError):
        cosine([1.0], [1.0, 0.0])


def test_normalising_twice_changes_nothing() -> None:
    for text in ("Sure, sure, Paris.", "**The answer is** 5!", "  a\n b ", "Of course: Of course."):
        assert normalised(normalised(text)) == normalised(text)
