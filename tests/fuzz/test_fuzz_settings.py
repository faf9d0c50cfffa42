"""Configurations that stay well-formed while their values and names change, so that the mutations reach every check."""

import json
import random
from pathlib import Path
from typing import Any

import yaml

from fastgate.config import ConfigErrors, Problem, plain
from fastgate.config.demo import demo
from fastgate.config.documents import read_document
from fastgate.config.variables import Variables
from tests.fuzz.harness import TARGETS, change_tree, main, run, target

GOLDEN = Path(__file__).parents[1] / "golden" / "check"
ENVIRONMENT = {"OPENAI_API_KEY": "sk-openai", "CLAUDE_CODE_KEY": "sk-fg-claude-code", "EMPTY": ""}
SEEDS = [demo(9000), *(path.read_text(encoding="utf-8") for path in sorted(GOLDEN.glob("valid_*.yaml")))]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 65_536, 10**30, 0.5, -1e308, "", " ", "0", "1e3", "-1", "0.0000000001", "9" * 40,
    "${OPENAI_API_KEY}", "${NONE}", "${EMPTY}", "${NONE:-}", "${file:/dev/null}", "${file:/}", "${", "$${",
    "${file:\0}", "\ud7ff", "é" * 300, "a/b", "*", "****", "openai/*", "month", "lifetime", "2027-01-01T00:00:00Z",
    "sim", "http://[::1", "http://a:b", "http://[x]/", "//", "acme", "ide", "x" * 5_000, "\x85", "\u2028", [], {},
    [[]], [None], [{}], ["*"], {"": ""}, {"every": 3, "unit": "hour"}, {"ceiling": {}}, {"id": "x"},
]  # fmt: skip

NAMES = ["zebra", "", "<<", "models", "x" * 300]


def accepted(text: str) -> bool:
    """Whether a configuration is valid; raises where the reader breaks its promise."""
    try:
        document = read_document(text, "fastgate.yaml", Variables(ENVIRONMENT, GOLDEN))
    except ConfigErrors as errors:
        promised(errors.problems)
        return False
    json.dumps(plain(document.config), allow_nan=False)
    return True


def promised(problems: list[Problem]) -> None:
    assert problems, "refused without a reason"
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert str(problem).isprintable(), "a message of several lines or with control characters"


def mutated_values(rng: random.Random, seed: str) -> str:
    """The same structure with a few values or names replaced, removed or doubled."""
    tree = yaml.safe_load(seed)
    for _ in range(rng.randint(1, 4)):
        change_tree(rng, tree, VALUES, NAMES)
    return json.dumps(tree, default=str)  # YAML made dates of timestamps


@target("settings", seeds=[bytes([number]) for number in range(8)])
def check_settings(data: bytes) -> None:
    """The input chooses the mutations."""
    rng = random.Random(data)
    accepted(mutated_values(rng, rng.choice(SEEDS)))


def test_for_a_short_while() -> None:
    assert run(TARGETS["settings"], seed=1, rounds=150) == 150


if __name__ == "__main__":
    main(["settings"])
