"""The compiled table: which row holds, what it costs, and what damaged bytes do."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from fastgate._core.price import ANY_TIER, UNASKED_TIERS, PriceTable, Usage
from fastgate.pricing.amounts import PriceError
from fastgate.pricing.table import build_table
from fastgate.wire.money import nano_of, share_of
from fastgate.wire.prices import ModelPrice, PriceBand, PriceRow
from fastgate.wire.usage import FEES, Bucket, Geo, Tier

NOON = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()) * 10**9
DAY = 86_400 * 10**9
USD_PER_MILLION = 10**9  # in femto-USD per token


def flat(price: int) -> tuple[int, ...]:
    return tuple(0 if bucket in FEES else price for bucket in Bucket)


def row(price: int = USD_PER_MILLION, tier: Tier = Tier.STANDARD, **fields: Any) -> PriceRow:
    return PriceRow(tier, (PriceBand(-1, flat(price)),), **fields)


def table(*rows: PriceRow) -> PriceTable:
    return PriceTable(build_table([ModelPrice("p", "m", rows)]))


def dollars_per_million(prices: PriceTable, at_ns: int = NOON, **fields: Any) -> float:
    return prices.cost(0, Usage(input=10**6, **fields), at_ns) / 10**9


@pytest.mark.parametrize(
    ("femto", "nano"),
    [(499_999, 0), (500_000, 0), (500_001, 1), (1_499_999, 1), (1_500_000, 2), (2_500_000, 2), (2_500_001, 3)],
)
def test_a_cost_is_rounded_once_half_to_even(femto: int, nano: int) -> None:
    assert table(row(femto)).cost(0, Usage(input=1), NOON) == nano
    # The sum is rounded, not its parts.
    assert table(row(femto)).cost(0, Usage(input=1, output=1), NOON) == round(2 * femto / 10**6)


@pytest.mark.parametrize(
    ("femto", "nano"),
    [(5_000_000, 6), (5_000_001, 6), (4_545_455, 5), (454_545, 0), (454_546, 1), (1_363_636, 1), (1_363_637, 2)],
)
def test_a_regional_factor_is_applied_before_the_rounding(femto: int, nano: int) -> None:
    # 5,000,000 x 1.1 is 5.5 nano-USD, which goes to 6; 1,363,636 x 1.1 is 1.4999996.
    assert table(row(femto, geo_permille=1100)).cost(0, Usage(input=1, geo=Geo.US), NOON) == nano


def test_a_regional_factor_leaves_fees_alone() -> None:
    prices = list(flat(USD_PER_MILLION))
    prices[Bucket.WEB_SEARCH], prices[Bucket.REQUEST] = 10**13, 10**12
    prices_of = table(PriceRow(Tier.STANDARD, (PriceBand(-1, tuple(prices)),), geo_permille=1100))
    usage = Usage(input=1000, web_search=3, request=1, geo=Geo.US)

    assert prices_of.cost(0, usage, NOON) == 1_100_000 + 30_000_000 + 1_000_000
    assert prices_of.lines(0, usage, NOON) == [
        (Bucket.INPUT, 1000, USD_PER_MILLION, 1100),
        (Bucket.WEB_SEARCH, 3, 10**13, 1000),
        (Bucket.REQUEST, 1, 10**12, 1000),
    ]


HOUR_US = 3_600_000_000


def by_the_hour(femto: int, permille: int = 1000) -> PriceTable:
    prices = [0 if bucket is Bucket.INPUT else price for bucket, price in zip(Bucket, flat(1), strict=True)]
    prices[Bucket.INPUT], prices[Bucket.AUDIO_TIME] = 500_000, femto
    return table(PriceRow(Tier.STANDARD, (PriceBand(-1, tuple(prices)),), geo_permille=permille))


@pytest.mark.parametrize(
    ("femto_per_hour", "audio_us", "nano", "bound"),
    [
        (36 * 10**13, 37_500_000, 3_750_000, 3_750_000),
        (4 * 10**13, 1_000_000, 11_111, 11_112),  # 0.04 USD by the hour is no whole number by the second
        (4 * 10**13, HOUR_US - 1, 40_000_000, 40_000_000),
        (500_000, HOUR_US, 0, 1),  # half a nano-USD goes to the even one
        (500_000, HOUR_US + 1, 1, 1),  # and a seven-thousandth of a femto-USD more does not
        (500_000, HOUR_US - 1, 0, 1),
        (1_500_000, HOUR_US, 2, 2),
        (1, 1, 0, 1),
        (10**6, HOUR_US + 1, 1, 2),
    ],
)
def test_the_time_of_audio_is_rounded_once_whatever_is_left_of_an_hour(
    femto_per_hour: int, audio_us: int, nano: int, bound: int
) -> None:
    prices, usage = by_the_hour(femto_per_hour), Usage(audio_time=audio_us)
    assert prices.cost(0, usage, NOON) == nano
    assert nano_of(sum(map(share_of, prices.lines(0, usage, NOON)))) == nano
    assert prices.bound(0, 0, 0, NOON, audio_us=audio_us) == bound


@pytest.mark.parametrize(("audio_us", "nano"), [(HOUR_US - 1, 5), (HOUR_US, 6), (HOUR_US + 1, 6)])
def test_a_regional_factor_is_applied_to_what_is_left_of_an_hour(audio_us: int, nano: int) -> None:
    # 5,000,000 femto-USD x 1.1 is 5.5 nano-USD, which goes to 6.
    prices, usage = by_the_hour(5_000_000, permille=1100), Usage(audio_time=audio_us, geo=Geo.US)
    assert prices.cost(0, usage, NOON) == nano
    assert nano_of(sum(map(share_of, prices.lines(0, usage, NOON)))) == nano


def test_half_a_nano_dollar_of_tokens_and_a_bit_of_an_hour_are_more_than_half() -> None:
    assert by_the_hour(1).cost(0, Usage(input=1), NOON) == 0
    assert by_the_hour(1).cost(0, Usage(input=1, audio_time=1), NOON) == 1


def test_a_long_time_is_exact_and_too_long_a_one_an_overflow() -> None:
    largest = 2**63 - 1
    assert by_the_hour(36 * 10**13).cost(0, Usage(audio_time=largest), NOON) == round(
        Fraction(largest * 36 * 10**7, HOUR_US)
    )
    with pytest.raises(OverflowError):
        by_the_hour(largest).cost(0, Usage(audio_time=largest), NOON)
    with pytest.raises(OverflowError):
        by_the_hour(largest).bound(0, 0, 0, NOON, audio_us=largest)


def test_a_large_cost_is_exact_where_64_bits_are_not_enough() -> None:
    # 8,000,000 tokens at 1,150 USD per million: 9,200 USD fit in 64 bits of femto-USD, twice that does not.
    assert table(row(1_150 * USD_PER_MILLION)).cost(0, Usage(input=16_000_001), NOON) == 18_400_001_150_000


def test_the_largest_cost_fits_and_the_next_is_an_overflow() -> None:
    largest = 2**63 - 1
    prices = table(row(10**6))

    assert prices.cost(0, Usage(input=largest), NOON) == largest
    with pytest.raises(OverflowError):
        prices.cost(0, Usage(input=largest, output=1), NOON)
    with pytest.raises(OverflowError):
        table(row(largest)).cost(0, Usage(input=largest, cache_read=largest, output=largest, geo=Geo.US), NOON)
    with pytest.raises(OverflowError):
        table(row(largest)).bound(0, largest, largest, NOON)


@pytest.mark.parametrize(("prompt", "price"), [(99, 1), (100, 1), (101, 2), (200, 2), (201, 5), (10**6, 5)])
def test_several_thresholds_move_the_whole_request(prompt: int, price: int) -> None:
    bands = (PriceBand(-1, flat(10**6)), PriceBand(100, flat(2 * 10**6)), PriceBand(200, flat(5 * 10**6)))
    prices = table(PriceRow(Tier.STANDARD, bands))

    split = Usage(
        input=prompt - 10, cache_read=4, cache_write=3, cache_write_1h=1, audio_input=1, image_input=1, output=7
    )
    assert prices.cost(0, split, NOON) == (prompt + 7) * price


def test_an_empty_usage_costs_nothing() -> None:
    assert table(row()).cost(0, Usage(), NOON) == 0
    assert table(row()).lines(0, Usage(), NOON) == []


def test_dates_are_inclusive_at_the_start_and_exclusive_at_the_end() -> None:
    prices = table(row(), row(2 * USD_PER_MILLION, valid_from_ns=NOON, valid_until_ns=NOON + DAY))

    assert dollars_per_million(prices, NOON - 1) == 1
    assert dollars_per_million(prices, NOON) == 2
    assert dollars_per_million(prices, NOON + DAY - 1) == 2
    assert dollars_per_million(prices, NOON + DAY) == 1


def test_of_several_rows_in_force_the_last_wins() -> None:
    prices = table(
        row(), row(2 * USD_PER_MILLION, valid_from_ns=NOON), row(3 * USD_PER_MILLION, valid_from_ns=NOON + 5)
    )

    assert [dollars_per_million(prices, NOON + i) for i in (-1, 0, 4, 5)] == [1, 2, 2, 3]


@pytest.mark.parametrize(
    ("start", "end", "inside", "outside"),
    [
        (3600, 4 * 3600, ["01:00:00", "03:59:59"], ["00:59:59", "04:00:00", "12:00:00"]),
        (22 * 3600, 2 * 3600, ["22:00:00", "23:59:59", "00:00:00", "01:59:59"], ["21:59:59", "02:00:00"]),
        (0, 86_400, ["00:00:00", "23:59:59"], []),
    ],
)
def test_times_of_day_are_utc_and_may_pass_midnight(
    start: int, end: int, inside: list[str], outside: list[str]
) -> None:
    prices = table(row(), row(2 * USD_PER_MILLION, day_from_s=start, day_until_s=end))

    for day in ("1969-07-20", "2026-11-21", "2028-02-29"):
        for clock in (*inside, *outside):
            at_ns = int(datetime.fromisoformat(f"{day}T{clock}+00:00").timestamp()) * 10**9
            assert dollars_per_million(prices, at_ns) == (2 if clock in inside else 1), (day, clock)


def test_a_tier_has_rows_of_its_own_and_else_costs_as_standard() -> None:
    prices = table(
        row(),
        row(USD_PER_MILLION // 2, Tier.FLEX),
        row(2 * USD_PER_MILLION, Tier.PRIORITY, valid_from_ns=NOON),
    )

    assert dollars_per_million(prices, tier=Tier.FLEX) == 0.5
    assert dollars_per_million(prices, tier=Tier.PRIORITY) == 2
    assert dollars_per_million(prices, NOON - 1, tier=Tier.PRIORITY) == 1
    assert dollars_per_million(prices, tier=Tier.BATCH) == 1
    assert dollars_per_million(prices, tier=99) == 1
    assert [prices.has_tier(0, tier, NOON) for tier in (*Tier, 99, -1)] == [
        True, True, True, False, False, False, False, False,
    ]  # fmt: skip
    assert not prices.has_tier(0, Tier.PRIORITY, NOON - 1)


def test_the_bound_takes_the_dearest_band_that_the_prompt_can_reach() -> None:
    # Above the threshold everything is cheaper here, so the dearest request stays just below it.
    prices = table(PriceRow(Tier.STANDARD, (PriceBand(-1, flat(5 * 10**6)), PriceBand(100, flat(10**6)))))

    assert prices.bound(0, 100, 10, NOON) == 110 * 5
    assert prices.bound(0, 300, 10, NOON) == 110 * 5
    assert prices.bound(0, 1000, 10, NOON) == 1010


def test_the_bound_covers_what_a_provider_may_choose_and_what_was_named() -> None:
    prices = table(
        row(10**6),
        row(2 * 10**6, Tier.PRIORITY, geo_permille=1500),
        row(4 * 10**6, Tier.FAST),
        row(10**5, Tier.FLEX),
    )

    assert prices.bound(0, 10, 10, NOON) == prices.bound(0, 10, 10, NOON, tier=ANY_TIER) == 80
    assert prices.bound(0, 10, 10, NOON, tier=UNASKED_TIERS) == 60
    assert prices.bound(0, 10, 10, NOON, tier=UNASKED_TIERS, geo=Geo.GLOBAL) == 40
    assert prices.bound(0, 10, 10, NOON, tier=Tier.FAST) == 80
    assert prices.bound(0, 10, 10, NOON, tier=Tier.STANDARD) == 20
    assert prices.bound(0, 10, 10, NOON, tier=Tier.FLEX) == 20


def test_the_bound_counts_fees_and_rounds_up() -> None:
    prices = list(flat(1))
    prices[Bucket.WEB_SEARCH], prices[Bucket.REQUEST] = 10**7, 3 * 10**6
    prices[Bucket.AUDIO_INPUT], prices[Bucket.AUDIO_OUTPUT] = 10**6, 2 * 10**6
    bounds = table(PriceRow(Tier.STANDARD, (PriceBand(-1, tuple(prices)),)))

    assert bounds.bound(0, 0, 0, NOON) == 3
    assert bounds.bound(0, 1, 0, NOON, media=False) == 4
    assert bounds.bound(0, 1, 1, NOON) == 3 + 1 + 2
    assert bounds.bound(0, 0, 0, NOON, searches=2) == 23


@pytest.mark.parametrize("model", [-1, 1, 2**31 - 1])
def test_a_model_outside_is_a_key_error(model: int) -> None:
    prices = table(row())

    with pytest.raises(KeyError):
        prices.cost(model, Usage(input=1), NOON)
    with pytest.raises(KeyError):
        prices.bound(model, 1, 1, NOON)
    with pytest.raises(KeyError):
        prices.lines(model, Usage(input=1), NOON)
    with pytest.raises(KeyError):
        prices.has_tier(model, 0, NOON)


def test_wrong_arguments_are_errors() -> None:
    nothing: Any = None

    with pytest.raises(TypeError):
        table(row()).cost(0, nothing, NOON)
    with pytest.raises(TypeError):
        table(row()).lines(0, nothing, NOON)
    with pytest.raises(ValueError, match="negative"):
        table(row()).bound(0, -1, 0, NOON)


def test_many_models_keep_their_places() -> None:
    models = [ModelPrice("p", str(i), (row(i * USD_PER_MILLION), row(i, Tier.FLEX))) for i in range(300)]
    prices = PriceTable(build_table(models))

    assert len(prices) == prices.count == 300
    assert [prices.cost(i, Usage(input=10**6), NOON) for i in range(300)] == [i * 10**9 for i in range(300)]


def test_the_table_reads_any_buffer_in_place_wherever_it_lies() -> None:
    data = build_table([ModelPrice("p", "m", (row(),))])
    for offset in range(9):
        memory = bytearray(offset) + data
        prices = PriceTable(memoryview(memory)[offset:].toreadonly())
        assert dollars_per_million(prices) == 1


def test_an_empty_table_prices_nothing() -> None:
    with pytest.raises(KeyError):
        PriceTable(build_table([])).cost(0, Usage(), NOON)


def test_damaged_bytes_are_refused_or_harmless() -> None:
    data = build_table([ModelPrice("p", "m", (row(), row(2, Tier.FLEX, day_from_s=0, day_until_s=5)))])

    for size in range(len(data)):
        with pytest.raises(ValueError, match="price table"):
            PriceTable(data[:size])
    with pytest.raises(ValueError, match="price table"):
        PriceTable(data + b"\0")
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            try:
                prices = PriceTable(bytes(damaged))
                for tier in Tier:
                    prices.cost(0, Usage(input=1000, tier=tier), NOON)
                    prices.bound(0, 1000, 1000, NOON, tier=tier)
            except (ValueError, OverflowError, KeyError):
                pass


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at all times"),
        ([row(tier=Tier.FLEX)], "at all times"),
        ([row(valid_from_ns=5)], "at all times"),
        ([row(day_from_s=0, day_until_s=5)], "at all times"),
        ([row(), row(day_from_s=5)], "both ends"),
        ([row(), row(day_from_s=5, day_until_s=5)], "empty"),
        ([row(), row(day_from_s=5, day_until_s=86_401)], "86401"),
        ([row(geo_permille=-1)], "permille"),
        ([row(-2)], "prices"),
        ([row(2**63)], "prices"),
        ([PriceRow(Tier.STANDARD, ())], "without a band"),
        ([PriceRow(Tier.STANDARD, (PriceBand(0, flat(1)),))], "start at -1"),
        ([PriceRow(Tier.STANDARD, (PriceBand(-1, flat(1)), PriceBand(5, flat(1)), PriceBand(5, flat(1))))], "ascend"),
        ([PriceRow(Tier.STANDARD, (PriceBand(-1, (1, 2)),))], "needs 16 prices"),
    ],
)
def test_contradictory_rows_are_not_built(rows: list[PriceRow], message: str) -> None:
    with pytest.raises(PriceError, match=f"p/m: .*{message}"):
        build_table([ModelPrice("p", "m", tuple(rows))])
