"""The simulator's prices: each figure worked by hand."""

from decimal import Decimal
from pathlib import Path

import pytest

from fastgate.simulator.prices import PRICES, Counts, PricesError, read_prices

# input, cache read, cache write, cache write 1h, output, reasoning, audio in, audio out, searches
NOTHING: Counts = (0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("model", "counts", "tier", "geo", "usd"),
    [
        ("sim-small", (1000, 0, 0, 0, 100, 0, 0, 0, 0), "standard", "global", "0.00021"),
        ("sim-small", (1, 0, 0, 0, 0, 0, 0, 0, 0), "standard", "global", "0.00000015"),
        ("sim-small", (0, 1000, 1000, 1000, 0, 1000, 0, 0, 0), "standard", "global", "0.0011625"),
        ("sim-small", (1000, 0, 0, 0, 100, 0, 0, 0, 0), "priority", "us", "0.00021"),
        ("sim-reasoning", (1000, 0, 0, 0, 1000, 1000, 0, 0, 0), "standard", "global", "0.0088"),
        ("sim-cached", (100, 200, 300, 400, 500, 0, 0, 0, 0), "standard", "global", "0.003795"),
        ("sim-embedding", (1000, 0, 0, 0, 0, 0, 0, 0, 0), "standard", "global", "0.00002"),
        ("sim-large", (1000, 0, 0, 0, 100, 0, 0, 0, 0), "standard", "global", "0.0035"),
        ("sim-large", (1000, 0, 0, 0, 100, 0, 0, 0, 0), "flex", "global", "0.00175"),
        ("sim-large", (1000, 0, 0, 0, 100, 0, 0, 0, 0), "batch", "global", "0.00175"),
        ("sim-large", (1000, 0, 0, 0, 100, 0, 0, 0, 0), "priority", "global", "0.007"),
        ("sim-large", (1000, 0, 0, 0, 100, 0, 0, 0, 0), "fast", "us", "0.0077"),
        ("sim-large", (1000, 0, 0, 0, 100, 0, 10, 10, 3), "standard", "global", "0.0347"),
        ("sim-large", (1000, 0, 0, 0, 100, 0, 0, 0, 3), "fast", "us", "0.0377"),
    ],
)
def test_a_price_is_what_its_table_says(model: str, counts: Counts, tier: str, geo: str, usd: str) -> None:
    assert PRICES[model].usd(counts, tier, geo, long=False) == Decimal(usd)


def test_exactly_at_the_threshold_the_low_rates_apply_and_one_token_above_the_high_ones() -> None:
    large = PRICES["sim-large"]
    at: Counts = (100_000, 50_000, 30_000, 20_000, 1000, 0, 0, 0, 0)
    above: Counts = (100_001, 50_000, 30_000, 20_000, 1000, 0, 0, 0, 0)
    assert not large.is_long(at)
    assert large.is_long(above)
    assert large.usd(at, "standard", "global", large.is_long(at)) == Decimal("0.46625")
    assert large.usd(above, "standard", "global", large.is_long(above)) == Decimal("0.927505")
    assert large.usd(above, "flex", "global", large.is_long(above)) == Decimal("0.4637525")


def test_audio_counts_towards_the_threshold_and_output_does_not() -> None:
    large = PRICES["sim-large"]
    assert large.is_long((199_999, 0, 0, 0, 0, 0, 2, 0, 0))
    assert not large.is_long((200_000, 0, 0, 0, 90_000, 90_000, 0, 90_000, 9))
    assert not PRICES["sim-small"].is_long((10**9, 0, 0, 0, 0, 0, 0, 0, 0))


def test_sums_of_any_size_stay_exact() -> None:
    huge = 10**30 + 1
    usd = PRICES["sim-small"].usd((huge, 0, 0, 0, 0, 0, 0, 0, 0), "standard", "global", long=False)
    assert f"{usd:f}" == "150000000000000000000000.00000015"


def test_a_price_file_adds_models_and_fills_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        """
tiny-1: {input_usd_per_million: "0.10", output_usd_per_million: "0.40", cache_read_usd_per_million: "0.01"}
odd/name: {input_usd_per_million: 3, output_usd_per_million: 9, behaves: cached, source: contract,
  tiers: {flex: "0.5"}, long_context: {above_tokens: 10, input_usd_per_million: 6, output_usd_per_million: 12}}
"""
    )
    prices = read_prices(path)
    assert {"sim-small", "tiny-1", "odd/name"} < set(prices)
    tiny = prices["tiny-1"]
    assert [str(rate) for rate in tiny.vector()] == ["0.10", "0.01", "0.10", "0.10", "0.40", "0.40", "0.10", "0.40"]
    assert tiny.usd((0, 0, 0, 0, 0, 1_000_000, 0, 0, 0), "standard", "global", long=False) == Decimal("0.4")
    odd = prices["odd/name"]
    assert odd.behaves == "cached"
    assert odd.usd((11, 0, 0, 0, 0, 0, 0, 0, 0), "flex", "global", long=True) == Decimal("0.000033")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("m: {input_usd_per_million: 0.1, output_usd_per_million: '1'}", "0.1 is not exact"),
        ("m: {input_usd_per_million: '0.1'}", "output_usd_per_million"),
        ("m: {input_usd_per_million: '1', output_usd_per_million: '1', inptu: 3}", "inptu"),
        ("m: {input_usd_per_million: 'x', output_usd_per_million: '1'}", "decimal"),
        ("m: [", "while parsing"),
        ("- 1", "object"),
    ],
)
def test_a_price_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(PricesError, match=says) as caught:
        read_prices(path)
    assert str(path) in str(caught.value)


def test_a_price_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="No such file"):
        read_prices(tmp_path / "none.yaml")
