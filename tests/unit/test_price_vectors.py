"""Worked examples: usage as the buckets hold it, and the sum written out in decimals."""

from decimal import Decimal
from typing import NamedTuple

import pytest

from fastgate._core.price import PriceTable, Usage
from fastgate.pricing.catalogue import Catalogue
from fastgate.pricing.overlay import geo_of
from fastgate.pricing.table import build_table
from fastgate.wire.usage import Geo, Tier

NOON = 1_795_262_400 * 10**9  # 2026-11-21 12:00 UTC


class Part(NamedTuple):
    """One model's share of a request."""

    provider_type: str
    model: str
    usage: Usage


class Example(NamedTuple):
    """``terms`` are (count, USD per million); ``fees`` USD; ``total`` what the list of examples states."""

    name: str
    parts: tuple[Part, ...]
    terms: tuple[tuple[int, str], ...]
    total: str
    factor: str = "1"
    fees: str = "0"
    at_ns: int = NOON


def one(
    name: str, provider_type: str, model: str, usage: Usage, *terms: tuple[int, str], total: str, **rest: str
) -> Example:
    return Example(name, (Part(provider_type, model, usage),), terms, total, **rest)  # type: ignore[arg-type]


def claude(name: str, model: str, usage: Usage, *terms: tuple[int, str], total: str, **rest: str) -> Example:
    return one(name, "anthropic", f"claude-{model}", usage, *terms, total=total, **rest)


def gpt(name: str, model: str, usage: Usage, *terms: tuple[int, str], total: str, **rest: str) -> Example:
    return one(name, "openai", model, usage, *terms, total=total, **rest)


def fallback(name: str, fable_input: int, *terms: tuple[int, str], total: str) -> Example:
    refused = Part("anthropic", "claude-fable-5", Usage(input=fable_input))
    answered = Part("anthropic", "claude-opus-4-8", Usage(input=412, output=264))
    return Example(name, (refused, answered), terms, total)


GEMINI_PARTS = Usage(input=10_500, cache_read=20_000, output=700, reasoning=1_300)
DEEPSEEK = Usage(input=1_000, cache_read=8_000, output=1_000)

EXAMPLES = [
    claude(
        "1 agent's stream",
        "opus-5-5",
        Usage(input=10, cache_write=60, cache_write_1h=40, cache_read=1_000, output=3),
        (10, "4"), (60, "5"), (40, "8"), (1_000, "0.2"), (3, "20"),
        total="0.000920000",
    ),
    claude(
        "2 agent's turn",
        "sonnet-5-5",
        Usage(input=25, cache_write=4_000, cache_read=180_000, output=812),
        (25, "2"), (4_000, "2.5"), (180_000, "0.1"), (812, "10"),
        total="0.036170000",
    ),
    claude(
        "3 at the threshold",
        "haiku-5-5",
        Usage(input=20_000, cache_write=10_000, cache_read=70_000, output=500),
        (20_000, "0.1"), (10_000, "0.125"), (70_000, "0.01"), (500, "0.5"),
        total="0.004200000",
    ),
    claude(
        "4 above the threshold",
        "haiku-5-5",
        Usage(input=20_001, cache_write=10_000, cache_read=70_000, output=500),
        (20_001, "0.5"), (10_000, "0.625"), (70_000, "0.05"), (500, "2.5"),
        total="0.021000500",
    ),
    claude(
        "5 fast, in the US",
        "opus-5-5",
        Usage(input=1_500, cache_write=2_000, cache_read=30_000, output=900, tier=Tier.FAST, geo=Geo.US),
        (1_500, "8"), (2_000, "10"), (30_000, "0.4"), (900, "40"),
        factor="1.1",
        total="0.088000000",
    ),
    claude(
        "6 long context",
        "sonnet-4-5",
        Usage(input=150_000, cache_write=20_000, cache_read=40_000, output=2_000),
        (150_000, "6"), (20_000, "7.5"), (40_000, "0.6"), (2_000, "22.5"),
        total="1.119000000",
    ),
    claude(
        "7 batch",
        "fable-5-2",
        Usage(input=12_000, cache_write_1h=5_000, cache_read=100_000, output=3_000, tier=Tier.BATCH),
        (12_000, "4"), (5_000, "8"), (100_000, "0.1"), (3_000, "20"),
        total="0.158000000",
    ),
    claude(
        "8 three searches",
        "sonnet-5",
        Usage(input=105, cache_write=7_345, cache_read=7_123, output=6_039, web_search=3),
        (105, "2"), (7_345, "2.5"), (7_123, "0.2"), (6_039, "10"),
        fees="0.03",
        total="0.110387100",
    ),
    claude(
        "9 with a compaction",
        "opus-5-5",
        Usage(input=23_000 + 180_000, output=1_000 + 3_500),
        (23_000, "4"), (1_000, "20"), (180_000, "4"), (3_500, "20"),
        total="0.902000000",
    ),
    fallback("10 refused unbilled", 0, (412, "5"), (264, "25"), total="0.008660000"),
    fallback("11 refused billed", 535, (535, "10"), (412, "5"), (264, "25"), total="0.014010000"),
    gpt(
        "12 cached and written",
        "gpt-6.1-sol",
        Usage(input=10_000, cache_read=90_000, cache_write=20_000, output=1_500, reasoning=2_500),
        (10_000, "2"), (90_000, "0.1"), (20_000, "2.5"), (4_000, "10"),
        total="0.119000000",
    ),
    gpt(
        "13 at the threshold",
        "gpt-6.1-sol",
        Usage(input=72_000, cache_read=200_000, output=1_000),
        (72_000, "2"), (200_000, "0.1"), (1_000, "10"),
        total="0.174000000",
    ),
    gpt(
        "14 above the threshold",
        "gpt-6.1-sol",
        Usage(input=20_000, cache_read=250_000, cache_write=30_000, output=2_500),
        (20_000, "4"), (250_000, "0.2"), (30_000, "5"), (2_500, "15"),
        total="0.317500000",
    ),
    gpt(
        "15 flex",
        "gpt-5.5",
        Usage(input=18_000, cache_read=32_000, output=6_000, tier=Tier.FLEX),
        (18_000, "2.5"), (32_000, "0.25"), (6_000, "15"),
        total="0.143000000",
    ),
    gpt(
        "16 priority",
        "gpt-5.4",
        Usage(input=5_904, cache_read=4_096, output=1_200, tier=Tier.PRIORITY),
        (5_904, "5"), (4_096, "0.5"), (1_200, "30"),
        total="0.067568000",
    ),
    gpt(
        "17 priority asked, default served",
        "gpt-5.4",
        Usage(input=5_904, cache_read=4_096, output=1_200),
        (5_904, "2.5"), (4_096, "0.25"), (1_200, "15"),
        total="0.033784000",
    ),
    gpt(
        "18 ultrafast",
        "gpt-6-astra",
        Usage(input=2_000, cache_read=8_000, output=1_500, tier=Tier.ULTRAFAST),
        (2_000, "60"), (8_000, "6"), (1_500, "300"),
        total="0.618000000",
    ),
    gpt(
        "19 regional host",
        "gpt-6.1-terra",
        Usage(input=4_000, output=1_000, geo=geo_of("openai", "https://eu.api.openai.com/v1")),
        (4_000, "1"), (1_000, "5"),
        factor="1.1",
        total="0.009900000",
    ),
    gpt(
        "20 audio",
        "gpt-audio",
        Usage(input=300, audio_input=1_200, output=150, audio_output=2_400),
        (300, "2.5"), (1_200, "32"), (150, "10"), (2_400, "64"),
        total="0.194250000",
    ),
    gpt(
        "21 three choices",
        "gpt-4o-mini",
        Usage(input=812, output=939),
        (812, "0.15"), (939, "0.6"),
        total="0.000685200",
    ),
    one(
        "22 before a dated change",
        "gemini",
        "gemini-3.8-flash",
        GEMINI_PARTS,
        (10_500, "0.75"), (20_000, "0.075"), (2_000, "3.75"),
        total="0.016875000",
    ),
    one(
        "23 after a dated change",
        "gemini",
        "gemini-3.8-flash",
        GEMINI_PARTS,
        (10_500, "1.5"), (20_000, "0.15"), (2_000, "7.5"),
        total="0.033750000",
    )._replace(at_ns=1_798_761_600 * 10**9),  # 2027-01-01 00:00 UTC
    one(
        "24 grounded, above the threshold",
        "gemini",
        "gemini-3.1-pro-preview",
        Usage(input=100_001, cache_read=150_000, output=800, reasoning=2_200, web_search=2),
        (100_001, "4"), (150_000, "0.4"), (3_000, "18"),
        fees="0.028",
        total="0.542004000",
    ),
    one(
        "26 regional profile",
        "bedrock",
        "us.anthropic.claude-sonnet-5-5",
        Usage(input=1_000, cache_write=500, cache_write_1h=500, cache_read=20_000, output=700),
        (1_000, "2.2"), (500, "2.75"), (500, "4.4"), (20_000, "0.11"), (700, "11"),
        total="0.015675000",
    ),
    one(
        "27 off-peak",
        "deepseek",
        "deepseek-v4-pro",
        DEEPSEEK,
        (1_000, "0.66"), (8_000, "0.022"), (1_000, "1.98"),
        total="0.002816000",
    ),
    one(
        "28 peak",
        "deepseek",
        "deepseek-v4-pro",
        DEEPSEEK,
        (1_000, "1.32"), (8_000, "0.044"), (1_000, "3.96"),
        total="0.005632000",
    )._replace(at_ns=NOON - 10 * 3_600 * 10**9),  # 02:00 UTC
    one(
        "29 reasoning outside",
        "xai",
        "grok-4.7",
        Usage(input=2_000, cache_read=3_000, output=400, reasoning=1_600),
        (2_000, "2"), (3_000, "0.5"), (2_000, "6"),
        total="0.017500000",
    ),
    gpt("30 embeddings", "text-embedding-3-small", Usage(input=7), (7, "0.02"), total="0.000000140"),
    gpt(
        "31 transcription",
        "gpt-4o-transcribe",
        Usage(input=14, audio_input=1_200, output=45),
        (14, "2.5"), (1_200, "6"), (45, "10"),
        total="0.007685000",
    ),
    gpt(
        "32 image edit",
        "gpt-image-2",
        Usage(input=60, image_input=1_500, output=4_160),
        (60, "5"), (1_500, "8"), (4_160, "30"),
        total="0.137100000",
    ),
]  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_worked_example(example: Example) -> None:
    arithmetic = sum((count * Decimal(usd) for count, usd in example.terms), Decimal(0)) / 10**6
    expected = arithmetic * Decimal(example.factor) + Decimal(example.fees)

    nano = sum(cost(part, example.at_ns) for part in example.parts)

    assert Decimal(nano) / 10**9 == expected == Decimal(example.total)


def cost(part: Part, at_ns: int) -> int:
    found = Catalogue().find(part.provider_type, part.model)
    assert found is not None
    prices = PriceTable(build_table([found]))
    nano = prices.cost(0, part.usage, at_ns)
    femto_permille = sum(count * price * permille for _, count, price, permille in prices.lines(0, part.usage, at_ns))
    assert round(Decimal(femto_permille) / 10**9) == nano
    return nano
