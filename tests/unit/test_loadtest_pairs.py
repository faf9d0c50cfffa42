"""The method of ``make bench-compare``, on blocks whose truth is known."""

from collections.abc import Iterator

import numpy as np
import pytest

from loadtest.compare import Found, Plan
from loadtest.pairs import AFTER, BEFORE, ORDERS, Block, Slowdown, bounds, markdown, ratios, slowdowns

PLAN = Plan("")


def blocks(
    seed: int, *, slower: float, drift: float = 0.0, layout: float = 0.0, noise: float = 0.02
) -> Iterator[Block]:
    """Blocks of 50 µs, times ``slower`` after; ``drift``: what the machine slows down by from each to the next."""
    lots = np.random.default_rng(seed)
    machine = 1.0
    for sitting in range(PLAN.sittings):
        luck = {BEFORE: 1.0, AFTER: slower * lots.normal(1, layout)}
        for turn in range(PLAN.rounds):
            for tree in ORDERS[turn % 2]:
                cost = 50 * machine * luck[tree] * lots.normal(1, noise)
                machine += drift
                yield Block(tree, 1, sitting, turn, cost, 1e6 / cost, 0.0)


def one(found: Iterator[Block]) -> Slowdown:
    cpu, rate = slowdowns(list(found))
    assert (cpu.figure, rate.figure) == ("µs of CPU per request", "requests/s")
    assert cpu.ratio == pytest.approx(rate.ratio)
    return cpu


def test_what_slowly_changes_falls_on_both() -> None:
    found = one(blocks(1, slower=1.0, drift=0.01, noise=0.0))
    assert found.low == pytest.approx(1.0, abs=1e-9)
    assert found.high == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("layout", [0.0, 0.03], ids=["alike", "each start a little different"])
def test_the_bounds_have_the_truth_within_them_as_often_as_they_say(layout: float) -> None:
    found = [
        bounds(ratios(list(blocks(seed, slower=1.1, layout=layout)), lambda block: block.cpu)) for seed in range(100)
    ]
    assert sum(low <= 1.1 <= high for low, high in found) >= 90


@pytest.mark.parametrize(
    ("slower", "verdict", "met"),
    [(1.0, "yes", True), (0.8, "yes", True), (1.05, "unsure", True), (1.2, "NO", False)],
)
def test_a_slowdown_counts_where_it_is_sure(slower: float, verdict: str, met: bool) -> None:
    found = Found("before", "after", slowdowns=[one(blocks(3, slower=slower))])
    assert f"| {verdict} |" in markdown(found.slowdowns, 1.05)
    assert [bound.met for bound in found.bounds(1.05)] == [met]


def test_medians_are_shown_as_they_were_measured() -> None:
    figures = [Block(tree, 16, 0, 0, cpu, rate, 0) for tree, cpu, rate in ((BEFORE, 50, 9000), (AFTER, 75, 6000))]
    cells = [line.split(" | ") for line in markdown(list(slowdowns(figures)), 1.05).splitlines()[2:]]
    assert [row[1:5] for row in cells] == [
        ["µs of CPU per request", "50.0", "75.0", "1.500"],
        ["requests/s", "9,000", "6,000", "1.500"],
    ]
