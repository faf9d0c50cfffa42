"""What pricing a request costs, as a ratio to the same sum in Python integers, taken in the same run.

Budget on the request path: 250 ns for a cost, 500 ns for a bound. The reference takes about 500 ns on a 2-core EPYC VM.
"""

from functools import partial
from typing import Final

import pytest

from benchmarks.turns import Compare
from fastgate._core.price import PriceTable, Usage
from fastgate.pricing.catalogue import Catalogue
from fastgate.pricing.table import build_table
from fastgate.wire.prices import ModelPrice

NOON: Final = 1_795_262_400 * 10**9  # 2026-11-21 12:00 UTC
MODELS: Final = (("anthropic", "claude-opus-5-5"), ("openai", "gpt-6.1-sol"), ("deepseek", "deepseek-v4-pro"))
USAGE: Final = Usage(input=1_200, cache_read=90_000, cache_write=4_000, output=700, reasoning=300)


def models() -> list[ModelPrice]:
    found = [Catalogue().find(provider_type, model) for provider_type, model in MODELS]
    return [model for model in found if model is not None]


TABLE: Final = PriceTable(build_table(models()))
LINES: Final = TABLE.lines(0, USAGE, NOON)


def in_python() -> int:
    """The reference: products, sum and rounding of the same usage, with prices already selected."""
    total = 0
    for _, count, femto, permille in LINES:
        total += count * femto * permille
    nano, rest = divmod(total, 10**9)
    return nano + (rest > 500_000_000 or (rest == 500_000_000 and nano % 2))


def test_the_reference_is_the_same_sum() -> None:
    assert in_python() == TABLE.cost(0, USAGE, NOON)


@pytest.mark.parametrize("index", range(len(MODELS)), ids=[model for _, model in MODELS])
def test_cost(compare: Compare, index: int) -> None:
    compare(f"price: cost, {MODELS[index][1]}", partial(TABLE.cost, index, USAGE, NOON), in_python)


@pytest.mark.parametrize("index", range(len(MODELS)), ids=[model for _, model in MODELS])
def test_bound(compare: Compare, index: int) -> None:
    bound = partial(TABLE.bound, index, 300_000, 4_000, NOON)
    compare(f"price: bound, {MODELS[index][1]}", bound, in_python)
