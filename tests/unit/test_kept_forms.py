"""Forms of answers that were made lately: found again, bounded, those not asked for first to go."""

import pytest

from fastgate.gateway.forms import Forms, Pieces


def never() -> Pieces | None:
    pytest.fail("it is there")


def test_what_was_made_is_found_again() -> None:
    forms = Forms()
    assert forms.of("a", lambda: [b"one", b"two"]) == [b"one", b"two"]
    assert forms.of("a", never) == [b"one", b"two"]
    assert forms.of("b", lambda: [b"three"]) == [b"three"]


def test_what_has_no_such_form_is_not_remembered() -> None:
    forms = Forms()
    assert forms.of("a", lambda: None) is None
    assert forms.of("a", lambda: [b"one"]) == [b"one"]


def test_what_was_not_asked_for_gives_way() -> None:
    forms = Forms(10_000)
    for name in "abc":
        forms.of(name, lambda: [bytes(3_000)])
    assert forms.of("a", never)
    forms.of("d", lambda: [bytes(3_000)])
    assert forms.of("a", never)
    made = []
    forms.of("b", lambda: made.append("b") or [b"again"])
    assert made == ["b"]


def test_what_is_too_long_is_given_and_not_kept() -> None:
    forms, made = Forms(1_000), []
    for _ in range(2):
        assert forms.of("a", lambda: made.append("a") or [bytes(2_000)]) == [bytes(2_000)]
    assert made == ["a", "a"]
    assert forms.of("b", lambda: [b"short"]) == [b"short"]
    assert forms.of("b", never) == [b"short"]
