"""Every list price of the golden file, at its threshold and just above, summed by the standard library's decimals."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from fastgate._core.price import PriceTable, Usage
from fastgate.pricing.catalogue import Catalogue
from fastgate.pricing.table import build_table
from fastgate.wire.usage import Tier

LIST = Path(__file__).parents[1] / "golden/prices/list-2026-11-21.txt"
ROWS = [tuple(line.split()) for line in LIST.read_text().splitlines() if line and not line.startswith("#")]


def nanos(when: str) -> int:
    return int(datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()) * 10**9


NOON = nanos("2026-11-21T12:00:00")


def table(provider_type: str, model: str) -> PriceTable:
    found = Catalogue().find(provider_type, model)
    assert found is not None
    return PriceTable(build_table([found]))


def cost(provider_type: str, model: str, usage: Usage, at_ns: int = NOON) -> Decimal:
    """USD."""
    return Decimal(table(provider_type, model).cost(0, usage, at_ns)) / 10**9


def test_the_golden_file_is_whole() -> None:
    assert len(ROWS) == 62
    assert all(len(row) == 8 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_list_price(row: tuple[str, ...]) -> None:
    provider_type, model, *columns, threshold = row
    prompt = 1_000_003 if threshold == "-" else int(threshold)
    sides = [0] if threshold == "-" else [0, 1]
    for side in sides:
        fresh, write, write_1h, read, output = (
            None if column == "-" else Decimal(column.split("/")[side if "/" in column else 0]) for column in columns
        )
        assert fresh is not None
        assert output is not None
        # Not listed: written and read tokens cost what fresh ones cost, a one-hour write what a write costs.
        write = fresh if write is None else write
        write_1h = write if write_1h is None else write_1h
        read = fresh if read is None else read
        usage = Usage(
            input=prompt + side - 9_157,
            cache_write=3_001,
            cache_write_1h=2_011,
            cache_read=4_145,
            output=701,
            reasoning=99,
        )
        expected = usage[0] * fresh + 3_001 * write + 2_011 * write_1h + 4_145 * read + 800 * output
        assert cost(provider_type, model, usage) == (expected / 10**6).quantize(Decimal("1e-9"))


# Tiers, with the prices that each is listed at: input, cache read, output in USD per million.
TIERS = [
    ("openai", "gpt-5", Tier.FLEX, "0.625", "0.0625", "5"),
    ("openai", "gpt-5.5", Tier.FLEX, "2.5", "0.25", "15"),
    ("openai", "o3", Tier.FLEX, "1", "0.25", "4"),
    ("openai", "gpt-5", Tier.PRIORITY, "2.5", "0.25", "20"),
    ("openai", "gpt-5.4", Tier.PRIORITY, "5", "0.5", "30"),
    ("openai", "gpt-5.4-mini", Tier.PRIORITY, "1.5", "0.15", "9"),
    ("openai", "gpt-5.6-sol", Tier.PRIORITY, "8", "0.8", "40"),
    ("openai", "gpt-6-astra", Tier.PRIORITY, "20", "2", "100"),
    ("openai", "gpt-6.1-sol", Tier.PRIORITY, "4", "0.2", "20"),
    ("openai", "gpt-5.5", Tier.PRIORITY, "12.5", "1.25", "75"),
    ("openai", "gpt-5-mini", Tier.PRIORITY, "0.45", "0.045", "3.6"),
    ("openai", "gpt-4.1", Tier.PRIORITY, "3.5", "0.875", "14"),
    ("openai", "o3", Tier.PRIORITY, "3.5", "0.875", "14"),
    ("openai", "gpt-4o", Tier.PRIORITY, "4.25", "2.125", "17"),
    ("openai", "gpt-4o-mini", Tier.PRIORITY, "0.25", "0.125", "1"),
    ("openai", "gpt-6-astra", Tier.ULTRAFAST, "60", "6", "300"),
    ("openai", "gpt-6.1-sol", Tier.ULTRAFAST, "12", "0.6", "60"),
    ("openai", "gpt-5", Tier.BATCH, "0.625", "0.0625", "5"),
    ("openai", "gpt-5.4", Tier.BATCH, "1.25", "0.13", "7.5"),  # a rounded list price, not half of 0.25
    ("openai", "gpt-4o", Tier.BATCH, "1.25", "1.25", "5"),
    ("anthropic", "claude-opus-5-5", Tier.BATCH, "2", "0.1", "10"),
    ("anthropic", "claude-opus-5-5", Tier.FAST, "8", "0.4", "40"),
    ("anthropic", "claude-opus-5", Tier.FAST, "10", "1", "50"),
    ("anthropic", "claude-opus-4-8", Tier.FAST, "10", "1", "50"),
    ("anthropic", "claude-fable-5-2", Tier.FAST, "16", "0.4", "80"),
    ("anthropic", "claude-mythos-5-2", Tier.FAST, "16", "0.4", "80"),
]


@pytest.mark.parametrize(("provider_type", "model", "tier", "fresh", "read", "output"), TIERS)
def test_tier_price(provider_type: str, model: str, tier: Tier, fresh: str, read: str, output: str) -> None:
    usage = Usage(input=1_000, cache_read=2_000, output=300, tier=tier)
    expected = 1_000 * Decimal(fresh) + 2_000 * Decimal(read) + 300 * Decimal(output)
    assert cost(provider_type, model, usage) == expected / 10**6


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.5"])
def test_priority_has_no_long_context_tier_where_the_list_has_none(model: str) -> None:
    prices = table("openai", model)
    below = Usage(input=272_000, tier=Tier.PRIORITY)
    above = Usage(input=272_001, tier=Tier.PRIORITY)

    assert prices.lines(0, below, NOON)[0][2] == prices.lines(0, above, NOON)[0][2]
    assert prices.lines(0, Usage(input=272_001), NOON)[0][2] == 2 * prices.lines(0, Usage(input=272_000), NOON)[0][2]


# A date (UTC) and the price of a million fresh tokens on it.
DATED = [
    ("openai", "gpt-5.6-sol", "2026-08-20T23:59:59", "5"),
    ("openai", "gpt-5.6-sol", "2026-08-21T00:00:00", "4"),
    ("openai", "gpt-5.6-terra", "2026-07-29T23:59:59", "2.5"),
    ("openai", "gpt-5.6-terra", "2026-07-30T00:00:00", "2"),
    ("openai", "gpt-5.6-luna", "2026-07-29T23:59:59", "1"),
    ("openai", "gpt-5.6-luna", "2026-07-30T00:00:00", "0.2"),
    ("gemini", "gemini-4-argon", "2026-11-30T23:59:59", "2"),
    ("gemini", "gemini-4-argon", "2026-12-01T00:00:00", "4"),
    ("gemini", "gemini-3.8-flash", "2026-12-31T23:59:59", "0.75"),
    ("gemini", "gemini-3.8-flash", "2027-01-01T00:00:00", "1.5"),
    ("mistral", "mistral-large-4", "2026-10-20T00:00:00", "1.36"),
    ("mistral", "mistral-large-4", "2026-10-28T23:59:59", "1.36"),
    ("mistral", "mistral-large-4", "2026-10-29T00:00:00", "0.7"),
    ("deepseek", "deepseek-v4-pro", "2026-11-21T00:59:59", "0.66"),
    ("deepseek", "deepseek-v4-pro", "2026-11-21T01:00:00", "1.32"),
    ("deepseek", "deepseek-v4-pro", "2026-11-21T03:59:59", "1.32"),
    ("deepseek", "deepseek-v4-pro", "2026-11-21T04:00:00", "0.66"),
    ("deepseek", "deepseek-v4-pro", "2026-11-21T06:00:00", "1.32"),
    ("deepseek", "deepseek-v4-pro", "2026-11-21T10:00:00", "0.66"),
]


@pytest.mark.parametrize(("provider_type", "model", "when", "fresh"), DATED)
def test_price_of_a_moment(provider_type: str, model: str, when: str, fresh: str) -> None:
    usage = Usage(input=10_000)
    assert cost(provider_type, model, usage, nanos(when)) == 10_000 * Decimal(fresh) / 10**6


@pytest.mark.parametrize("model", ["grok-4.7", "grok-4.3"])
def test_the_high_tier_of_xai_starts_at_the_threshold(model: str) -> None:
    low, at, above = (cost("xai", model, Usage(input=n)) / n for n in (199_999, 200_000, 200_001))
    assert at == above == 2 * low


def test_successive_variants_keep_the_base_prices_they_do_not_override() -> None:
    found = Catalogue().find("openai", "gpt-4o")
    assert found is not None
    batch = [row for row in found.rows if row.tier is Tier.BATCH]
    # Batch halves input and output, keeps the cached price, and the search fee.
    assert [row.bands[0].prices[:2] for row in batch] == [(1_250_000_000, 1_250_000_000)]
    assert batch[0].bands[0].prices[9] == found.rows[0].bands[0].prices[9] == 10**13


def test_thresholds_ascend_in_every_row() -> None:
    for provider_type, model, *_ in ROWS:
        found = Catalogue().find(provider_type, model)
        assert found is not None
        for row in found.rows:
            assert row.bands[0].above == -1
            assert all(lower.above < upper.above for lower, upper in pairwise(row.bands))
