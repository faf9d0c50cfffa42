"""The reading of questions and what goes by it: any text is read, in either order alike, and nothing is against
itself."""

from fastgate.semantic.compare import compare_texts
from fastgate.semantic.features import NAMES, Frequencies, Surroundings, features
from fastgate.semantic.pairs import pair
from fastgate.semantic.vetoes import vetoes
from fastgate.semantic.words import LONGEST, profile
from tests.fuzz.harness import TARGETS, main, run, target

SEEDS = [
    b"How do I convert 5 km to 3.10 miles?\x00How do I convert 3.10 miles to 5 km?",
    b'Why can\'t I call `foo_bar()` in C++ -- "now"?\x00why can I call std::vector<int> with --force && -r',
    "Wie groß ist die Stadt München?\x00Какая столица Франции? 東京 서울 ไทย".encode(),
    b"U.S.A. vs. e.g. B.Tech II, $5 million, 50% of 1,000,000.00 rs.\x00no. 5 isn't 10k",
]
TOKENS = [
    b"not ",
    b"n't",
    b"1e999",
    b"5 million",
    b"'s",
    b'""',
    b"`",
    b" to ",
    b" II ",
    "’".encode(),
    "ﬁ".encode(),
    "\u0130".encode(),
    b"99999999999k billion",
]


@target("semantic", seeds=SEEDS, tokens=TOKENS)
def check_semantic(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape" if len(data) % 2 else "replace")
    one, _, other = text.partition("\x00")
    read = profile(one)
    assert len(read.words) == len(read.stems)
    assert len(read.joined) <= 20 * LONGEST + 20
    assert set(vetoes(one, other)) == set(vetoes(other, one))
    assert not vetoes(one, one)
    vector = features(pair(one, other), 0.9, Surroundings(0.1, 1, 0, 0.0, 0.0), Frequencies())
    assert len(vector) == len(NAMES)
    assert all(abs(value) < 100 for value in vector)
    assert compare_texts(one, one) == "same"
    assert compare_texts(one, other) == compare_texts(other, one)


def test_questions_for_a_short_while() -> None:
    assert run(TARGETS["semantic"], seed=1, rounds=2_000) == 2_000


if __name__ == "__main__":
    main(["semantic"])
