"""Every row of ``tests/vectors``: from what a provider reports, through parser and prices, to the nano-dollar."""

from collections import Counter
from decimal import Decimal, Inexact

import pytest

from fastgate._core.price import PriceTable
from fastgate.dialects.base import Charge
from fastgate.pricing.catalogue import Catalogue
from fastgate.pricing.overlay import geo_of
from fastgate.pricing.table import build_table
from fastgate.wire.money import nano_of, share_of
from fastgate.wire.usage import Bucket, Geo, Tier
from tests.support.arithmetic import to_the_nano, worked_out
from tests.support.vectors import Vector, label, vectors


def lines(vector: Vector, charge: Charge) -> list[tuple[int, int, int, int]]:
    """Count, price and factor of each bucket of a charge, at the price of its model."""
    found = Catalogue().find(vector.type, charge.model or vector.model, base_url=vector.host)
    assert found is not None
    prices = PriceTable(build_table([found]))
    charge.usage.geo = charge.usage.geo or geo_of(vector.type, vector.host)
    parts = prices.lines(0, charge.usage, vector.at_ns)
    assert nano_of(sum(map(share_of, parts))) == prices.cost(0, charge.usage, vector.at_ns)
    return parts


@pytest.mark.parametrize("vector", vectors("*"), ids=label)
def test_cost(vector: Vector) -> None:
    charges = vector.charges()
    assert charges is not None

    parts = [part for charge in charges for part in lines(vector, charge)]
    cost = nano_of(sum(map(share_of, parts)))

    assert Decimal(cost) / 10**9 == vector.expected
    assert vector.total is None or vector.expected == Decimal(vector.total)


def test_there_are_enough_and_of_every_dimension() -> None:
    further = len(vectors("*")) - len(vectors("worked"))
    assert len(vectors("worked")) == 34
    assert further >= 120
    assert Counter(vector.type for vector in vectors("*")).keys() >= {
        "openai", "anthropic", "gemini", "bedrock", "deepseek", "xai", "groq",
    }  # fmt: skip
    usages = [charge.usage for vector in vectors("*") for charge in vector.charges() or ()]
    seen = Counter(bucket for usage in usages for bucket in Bucket if usage[bucket])
    assert all(seen[bucket] >= 4 for bucket in Bucket)
    assert {usage.tier for usage in usages} == set(Tier)
    assert {usage.geo for usage in usages} == set(Geo)


def test_the_arithmetic_is_its_own() -> None:
    assert worked_out("(1_000*2.5 + 50*10)/1e6*1.1") == Decimal("0.0033")
    assert to_the_nano(worked_out("0.0000000005")) == 0
    assert to_the_nano(worked_out("3*0.0000000005")) == Decimal("0.000000002")
    for text in ("__import__('os')", "2**9", "price", "-1", "True", "1 if 1 else 2"):
        with pytest.raises(ValueError, match="no sum"):
            worked_out(text)
    with pytest.raises(Inexact):
        worked_out("1/3")
