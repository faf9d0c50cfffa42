"""The benchmark of the semantic cache counts right: classes, halves, streams, intervals. The data are made here."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.semantic.neighbours import Near, nearest
from benchmarks.semantic.pairs import Labelled, Questions, half, questions, read
from benchmarks.semantic.report import over_seeds, row, static_hits, wilson
from benchmarks.semantic.stream import Outcome, arrivals, learning, static


def test_lines_are_read_gzipped_or_not_and_a_bad_one_is_named(tmp_path: Path) -> None:
    rows = [{"a": "x", "b": "y", "same": 1}, {"a": "x", "b": "z", "same": 0}]
    text = "\n".join(json.dumps(each) for each in rows) + "\n"
    (tmp_path / "pairs.jsonl").write_text(text)
    (tmp_path / "pairs.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    wanted = [Labelled("x", "y", True), Labelled("x", "z", False)]
    assert read(tmp_path / "pairs.jsonl") == read(tmp_path / "pairs.jsonl.gz") == wanted
    (tmp_path / "bad.jsonl").write_text(text + '{"a": "x"}\n')
    with pytest.raises(ValueError, match=r"bad.jsonl:3: "):
        read(tmp_path / "bad.jsonl")


def test_classes_are_the_union_of_same_pairs() -> None:
    found = questions(
        [Labelled("a", "b", True), Labelled("c", "d", False), Labelled("b", "d", True), Labelled("e", "a", False)]
    )
    of = dict(zip(found.texts, found.classes, strict=True))
    assert of["a"] == of["b"] == of["d"]
    assert len({of["a"], of["c"], of["e"]}) == 3


def test_halves_share_no_question_and_make_the_whole() -> None:
    pairs = [Labelled(f"q{at}", f"q{at + (at % 3 > 0)}", at % 2 == 0) for at in range(300)]
    one, other = half(pairs, "develop"), half(pairs, "verify")
    assert sorted(one + other) == sorted(pairs)
    assert not set(questions(one).texts) & set(questions(other).texts)
    assert one
    assert other


def test_neighbours_are_exact_and_nearest_first() -> None:
    vectors = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = nearest(vectors, 0.5)
    for at in range(60):
        cosines = vectors @ vectors[at]
        wanted = sorted(
            (other for other in range(60) if other != at and cosines[other] >= 0.5), key=lambda other: -cosines[other]
        )
        assert near.others[at] == wanted
        assert near.cosines[at] == pytest.approx([float(cosines[other]) for other in wanted], abs=1e-6)


ASKED = Questions(
    ["how do i bake bread", "how can i bake bread", "how do i bake bread quickly", "where do whales sleep"],
    [0, 0, 1, 2],
)
NEAR = Near([[1, 2], [0, 2], [0, 1], []], [[0.97, 0.9], [0.97, 0.88], [0.9, 0.88], []])


def test_a_static_threshold_serves_the_nearest_entry_that_came_before() -> None:
    assert static(ASKED, NEAR, [0, 1, 2, 3], 0.95)[:3] == (4, 1, 0)
    assert static(ASKED, NEAR, [0, 1, 2, 3], 0.85)[:3] == (4, 2, 1)
    assert static(ASKED, NEAR, [0, 1, 2, 3], 0.99)[:3] == (4, 0, 0)


def test_what_was_served_becomes_no_entry() -> None:
    # 1 is served by 0, so that 2, nearest to 1, finds 0 alone, which is too far.
    near = Near([[1], [0, 2], [1, 0]], [[0.97], [0.97, 0.96], [0.96, 0.8]])
    asked = Questions(["a", "b", "c"], [0, 0, 0])
    assert static(asked, near, [0, 1, 2], 0.95)[:3] == (3, 1, 0)


def test_the_policy_learns_only_where_upstream_was_asked() -> None:
    (outcome,) = learning(ASKED, NEAR, [0, 1, 2, 3], [0.02], 1)
    assert outcome.requests == 4
    assert outcome.hits + outcome.explored <= 3
    assert outcome.errors <= outcome.hits


def test_orders_are_repeatable_and_differ_by_seed() -> None:
    assert arrivals(50, 1) == arrivals(50, 1) != arrivals(50, 2)
    assert sorted(arrivals(50, 1)) == list(range(50))


def test_intervals_by_the_book() -> None:
    # Newcombe (1998), table I: 81 of 263 and 15 of 148, Wilson's score method.
    assert wilson(81, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148)[1:] == pytest.approx((0.0624, 0.1605), abs=5e-5)
    # Student: the mean of 1..5 is 3 ± 2.776 * sqrt(2.5 / 5).
    assert over_seeds([1, 2, 3, 4, 5])[1:] == pytest.approx((3 - 1.963, 3 + 1.963), abs=1e-3)


def test_the_static_threshold_with_the_same_error_lies_between_two() -> None:
    rows = [
        row(str(at), [Outcome(1_000, hits, errors, 0, 0.0, {})])
        for at, (hits, errors) in enumerate([(100, 10), (50, 4), (20, 1)])
    ]
    assert static_hits(rows, 0.007) == pytest.approx(0.075)
    assert static_hits(rows, 0.02) is None
