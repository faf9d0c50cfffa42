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
