"""What two gateways took for the same work, block beside block, and how sure their difference is."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadtest.report import table

BEFORE: Final = "before"
AFTER: Final = "after"
ORDERS: Final = ((BEFORE, AFTER, AFTER, BEFORE), (AFTER, BEFORE, BEFORE, AFTER))
"""Of the blocks of a round, in turn: what slowly changes meanwhile falls on both alike."""
RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95
FEWEST: Final = 6
"""Rounds in all: five lie on one side of the truth, and their bounds too, more often than once in twenty times."""

Ratios = NDArray[np.float64]
"""A row for each sitting, a column for each of its rounds."""


@dataclass(frozen=True)
class Block:
    """So many requests with prompts of one size, answered by one of the two."""

    tree: str
    prompt_kb: int
    sitting: int
    round: int
    cpu: float
    """Microseconds of the worker per request, all its threads, user and system."""
    rate: float
    """Requests a second."""
    idle: float
    """Share of the core that the other one's worker took meanwhile."""


@dataclass(frozen=True)
class Figure:
    """``shown`` is what people read of a block, ``cost`` what is compared: more of it is slower."""

    name: str
    shown: Callable[[Block], float]
    cost: Callable[[Block], float]


FIGURES: Final = (
    Figure("µs of CPU per request", lambda block: block.cpu, lambda block: block.cpu),
    Figure("requests/s", lambda block: block.rate, lambda block: 1 / block.rate),
)


@dataclass(frozen=True)
class Slowdown:
    """What prompts of one size cost after, as a multiple of before."""

    prompt_kb: int
    figure: str
    before: float
    """The median of the blocks, as it is shown."""
    after: float
    ratio: float
    """The median of the rounds; ``low`` and ``high`` are its bounds."""
    low: float
    high: float


def slowdowns(blocks: Sequence[Block]) -> Iterator[Slowdown]:
    """Of each size and figure."""
    for size in sorted({block.prompt_kb for block in blocks}):
        mine = [block for block in blocks if block.prompt_kb == size]
        for figure in FIGURES:
            before, after = (
                median(figure.shown(block) for block in mine if block.tree == tree) for tree in (BEFORE, AFTER)
            )
            found = ratios(mine, figure.cost)
            yield Slowdown(size, figure.name, before, after, float(np.median(found)), *bounds(found))


def ratios(blocks: Sequence[Block], cost: Callable[[Block], float]) -> Ratios:
    """After through before, within each round: what disturbed a round disturbed both."""
    sums: dict[tuple[int, int, str], float] = defaultdict(float)
    for block in blocks:
        sums[block.sitting, block.round, block.tree] += cost(block)
    sittings = sorted({block.sitting for block in blocks})
    rounds = sorted({block.round for block in blocks})
    return np.array([[sums[s, r, AFTER] / sums[s, r, BEFORE] for r in rounds] for s in sittings])


def bounds(found: Ratios) -> tuple[float, float]:
    """Of their median, by bootstrap: sittings are drawn first, then rounds within each.

    Rounds of a sitting are no independent witnesses: how a process came to lie in memory stays with it for life.
    """
    sittings, rounds = found.shape
    lots = np.random.default_rng(found.size)  # seeded, so that the same figures have the same bounds
    rows = lots.integers(0, sittings, (RESAMPLES, sittings, 1))
    columns = lots.integers(0, rounds, (RESAMPLES, sittings, rounds))
    medians = np.median(found[rows, columns].reshape(RESAMPLES, -1), axis=1)
    low, high = np.quantile(medians, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def markdown(found: Sequence[Slowdown], at_most: float) -> str:
    """The table: what it was, what it is, and whether it is more than it may be."""
    head = ["prompt", "", "before", "this tree", "slowdown", f"{CONFIDENCE:.0%} from", "to", f"at most {at_most:g}"]
    rows = []
    for one in found:
        medians = [f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" for value in (one.before, one.after)]
        times = [f"{value:.3f}" for value in (one.ratio, one.low, one.high)]
        verdict = "NO" if one.low > at_most else "yes" if one.high <= at_most else "unsure"
        rows.append([f"{one.prompt_kb} KB", one.figure, *medians, *times, verdict])
    return table(head, rows)
