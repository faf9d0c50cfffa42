"""The functions that price a request run without the interpreter, as their annotation shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "fastgate/_core/price.pyx"
NATIVE = [
    "_in_force",
    "_is_fee",
    "_second_of_day",
    "_row_of",
    "_row",
    "_band",
    "_nano",
    "_cost",
    "_band_bound",
    "_row_bound",
    "_bound",
]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """(Python interaction, source text) of each line, as Cython annotates it under the directives of setup.py."""
    target = tmp_path_factory.mktemp("annotated") / "price.c"
    directives = [f"{name}=False" for name in ("boundscheck", "wraparound", "initializedcheck")] + ["cdivision=True"]
    options = [option for directive in directives for option in ("-X", directive)]
    command = [sys.executable, "-m", "cython", "-3", "--annotate", *options, "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True)
    page = target.with_suffix(".html").read_text()
    found = re.findall(r"<pre class=[\"']cython line score-(\d+)", page)
    return list(zip(map(int, found), SOURCE.read_text().splitlines(), strict=True))


def body(scores: list[tuple[int, str]], name: str) -> list[int]:
    """The scores of the lines from a function's signature to the next thing at the left margin."""
    start = next(i for i, (_, text) in enumerate(scores) if re.match(rf"cdef .*\b{name}\(", text))
    rest = scores[start + 1 :]
    end = next(i for i, (_, text) in enumerate(rest) if re.match(r"(cdef|@|def)", text))
    return [score for score, _ in [scores[start], *rest[:end]]]


@pytest.mark.parametrize("name", NATIVE)
def test_no_python_interaction(scores: list[tuple[int, str]], name: str) -> None:
    lines = body(scores, name)
    assert len(lines) >= 3
    assert set(lines) == {0}


def test_the_check_can_fail(scores: list[tuple[int, str]]) -> None:
    assert max(body(scores, "_check")) > 0
