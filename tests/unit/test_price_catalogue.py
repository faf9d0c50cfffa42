"""Where prices come from: the listed data, the overlay, the simulator's, and what operators state."""

from decimal import Decimal

import pytest

from fastgate._core.price import PriceTable, Usage
from fastgate.pricing import listed, overlay
from fastgate.pricing.amounts import PriceError, complete, femto, parse_usd, scaled
from fastgate.pricing.catalogue import Catalogue, overridden
from fastgate.pricing.table import build_table
from fastgate.wire.prices import ModelPrice, PriceBand, PriceOverride, PriceRow
from fastgate.wire.usage import Bucket, Geo, Tier

NOON = 1_795_262_400 * 10**9


def price(model: ModelPrice | None, bucket: Bucket, tier: Tier = Tier.STANDARD) -> Decimal:
    """USD per million of the base band in force at noon."""
    assert model is not None
    usage = Usage(tier=tier)
    usage[bucket] = 1
    return Decimal(PriceTable(build_table([model])).lines(0, usage, NOON)[0][2]) / 10**9


@pytest.mark.parametrize(
    ("provider_type", "model"),
    [
        ("openai", "gpt-99"),
        ("openai", "claude-opus-5-5"),
        ("anthropic", "gpt-5"),
        ("openai-compatible", "gpt-5"),
        ("ollama", "llama3"),
        ("sim", "sim-huge"),
        ("no-such-type", "gpt-5"),
        ("openai", ""),
    ],
)
def test_an_unknown_price_is_none(provider_type: str, model: str) -> None:
    assert Catalogue().find(provider_type, model) is None


@pytest.mark.parametrize("model", ["gpt-image-1.5", "omni-moderation-latest"])
def test_a_model_whose_units_the_buckets_cannot_hold_is_unpriced(model: str) -> None:
    assert Catalogue().find("openai", model) is None


def test_a_model_keeps_the_name_that_was_asked_for() -> None:
    found = Catalogue().find("anthropic", "claude-opus-5-5-20261001", provider="claude")
    assert found is not None
    assert (found.provider, found.model) == ("claude", "claude-opus-5-5-20261001")
    assert found.source.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("base_url", "model", "usd"),
    [
        ("https://api.deepseek.com", "deepseek-v4-pro", "0.66"),
        ("https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", "0.59"),
        ("http://127.0.0.1:9000/v1", "deepseek-v4-pro", None),
        (None, "deepseek-v4-pro", None),
    ],
)
def test_a_compatible_provider_is_known_by_its_address(base_url: str | None, model: str, usd: str | None) -> None:
    found = Catalogue().find("openai-compatible", model, base_url=base_url)
    assert (None if found is None else price(found, Bucket.INPUT)) == (None if usd is None else Decimal(usd))


def test_sizes_come_from_the_list_and_the_overlay() -> None:
    found = Catalogue().find("openai", "gpt-6.1-sol")
    assert found is not None
    assert (found.context_window, found.max_output) == (1_050_000, 128_000)


@pytest.mark.parametrize(
    ("provider_type", "model", "reasons"),
    [
        ("openai", "gpt-5.5", True),
        ("openai", "o3-mini", True),
        ("openai", "gpt-4o-mini", False),
        ("anthropic", "claude-opus-5-5", False),
        ("gemini", "gemini-2.5-pro", True),
        ("gemini", "gemini-2.0-flash", False),
        ("sim", "sim-reasoning", True),
        ("sim", "sim-small", None),
    ],
)
def test_which_models_reason_unasked_is_known_of_the_large_makers(
    provider_type: str, model: str, reasons: bool | None
) -> None:
    found = Catalogue({}).find(provider_type, model)
    assert found is not None
    assert found.reasons is reasons


def test_the_search_fee_fills_in_where_the_list_has_none() -> None:
    # In femto-USD per request: 0.01 USD each.
    for provider_type, model in (("anthropic", "claude-3-opus-latest"), ("openai", "gpt-5.3-codex")):
        assert price(Catalogue().find(provider_type, model), Bucket.WEB_SEARCH) == Decimal(10**13) / 10**9


@pytest.mark.parametrize(
    ("model", "permille"),
    [
        ("claude-opus-4-5", 1000),
        ("claude-sonnet-4-5", 1000),
        ("claude-haiku-4-5", 1000),
        ("claude-3-5-sonnet", 1000),
        ("claude-opus-4-1", 1000),
        ("claude-opus-4-6", 1100),
        ("claude-sonnet-4-6", 1100),
        ("claude-opus-4-8", 1100),
        ("claude-opus-5", 1100),
        ("claude-haiku-5-5", 1100),
        ("claude-fable-5-2", 1100),
    ],
)
def test_claude_costs_a_tenth_more_in_the_us_since_4_6(model: str, permille: int) -> None:
    found = Catalogue().find("anthropic", model)
    assert found is not None
    assert {row.geo_permille for row in found.rows} == {permille}


@pytest.mark.parametrize(
    ("provider_type", "base_url", "geo"),
    [
        ("openai", "https://eu.api.openai.com/v1", Geo.US),
        ("openai", "https://us.api.openai.com/v1", Geo.US),
        *(("openai", f"https://{region}.api.openai.com/v1", Geo.US) for region in ("ae", "au", "in", "jp", "EU")),
        ("vertex", "https://aiplatform.eu.rep.googleapis.com", Geo.US),
        ("vertex", "https://aiplatform.googleapis.com", Geo.GLOBAL),
        ("openai", "https://api.openai.com/v1", Geo.GLOBAL),
        ("openai", "https://proxy.example/eu.api.openai.com/v1", Geo.GLOBAL),
        ("openai", "https://eu.api.openai.com.example/v1", Geo.GLOBAL),
        ("openai", None, Geo.GLOBAL),
        ("anthropic", "https://eu.api.openai.com", Geo.GLOBAL),
    ],
)
def test_a_regional_host_pins_the_geography(provider_type: str, base_url: str | None, geo: Geo) -> None:
    assert overlay.geo_of(provider_type, base_url) is geo


def test_every_overlay_entry_matches_a_listed_model() -> None:
    providers = listed.providers()
    for entry in overlay.ENTRIES:
        for pattern in entry.models:
            models = providers[entry.provider].models
            only = overlay.Entry(entry.provider, (pattern,), "", "")
            assert any(only.matches(entry.provider, model.id) for model in models), (entry.provider, pattern)


# USD per million: input, cache read, write, 1h write, output, reasoning, audio in, audio out.
SIMULATED = {
    "sim-small": "0.15 0.075 0.1875 0.30 0.60 0.60 0.15 0.60",
    "sim-large": "2.50 0.25 3.125 5.00 10.00 10.00 40.00 80.00",
    "sim-reasoning": "1.10 0.275 1.375 2.20 4.40 3.30 1.10 4.40",
    "sim-cached": "1.00 0.10 1.25 2.00 5.00 5.00 1.00 5.00",
    "sim-embedding": "0.02 0.02 0.02 0.02 0 0 0.02 0",
}


@pytest.mark.parametrize(("model", "columns"), SIMULATED.items())
@pytest.mark.parametrize("provider_type", ["sim", "openai-compatible", "anthropic"])
def test_simulated_models_have_prices_at_any_provider(provider_type: str, model: str, columns: str) -> None:
    found = Catalogue().find(provider_type, model)
    assert [str(price(found, Bucket(i)).normalize()) for i in range(8)] == [
        str(Decimal(usd).normalize()) for usd in columns.split()
    ]
    assert found is not None
    assert (found.context_window, found.max_output) == (1_000_000, 131_072)


def test_only_the_large_simulated_model_has_tiers_and_a_region() -> None:
    large, small = (Catalogue().find("sim", model) for model in ("sim-large", "sim-small"))
    factors = {tier: price(large, Bucket.AUDIO_INPUT, tier) / 40 for tier in Tier}
    assert factors == {
        Tier.STANDARD: 1,
        Tier.FLEX: Decimal("0.5"),
        Tier.PRIORITY: 2,
        Tier.BATCH: Decimal("0.5"),
        Tier.FAST: 2,
        Tier.ULTRAFAST: 1,
    }
    assert large is not None
    assert small is not None
    assert {row.geo_permille for row in large.rows} == {1100}
    assert len(small.rows) == 1


def test_an_override_replaces_all_prices_and_inherits_sizes() -> None:
    override = PriceOverride(
        input_usd_per_million="1.5",
        output_usd_per_million="6",
        cache_read_usd_per_million="0.375",
        request_usd="0.000000001",
        source="contract",
    )
    catalogue = Catalogue({"main": {"gpt-6.1-sol": override}})
    found = catalogue.find("openai", "gpt-6.1-sol", provider="main")
    listed_one = catalogue.find("openai", "gpt-6.1-sol", provider="other")

    assert found is not None
    assert (found.source, found.context_window, found.max_output) == ("contract", 1_050_000, 128_000)
    assert len(found.rows) == 1
    assert price(found, Bucket.INPUT, Tier.PRIORITY) == Decimal("1.5")
    assert price(found, Bucket.CACHE_READ) == Decimal("0.375")
    assert price(found, Bucket.CACHE_WRITE_1H) == Decimal("1.5")
    assert price(found, Bucket.REASONING) == 6
    assert price(found, Bucket.REQUEST) * 10**9 == 10**6
    assert price(listed_one, Bucket.INPUT) == 2


def test_an_override_prices_what_no_list_has() -> None:
    override = PriceOverride(
        input_usd_per_million="0.15", output_usd_per_million="0.60", context_window=8_192, max_output=1_024
    )
    found = Catalogue({"local": {"tiny-1": override}}).find("openai-compatible", "tiny-1", provider="local")
    assert found is not None
    assert (found.context_window, found.max_output, found.source) == (8_192, 1_024, "configuration")
    assert Catalogue({"local": {"tiny-1": override}}).find("openai-compatible", "tiny-2", provider="local") is None


def test_an_override_may_be_zero_when_an_operator_says_so() -> None:
    free = overridden("p", "m", PriceOverride(input_usd_per_million="0", output_usd_per_million="0"))
    assert PriceTable(build_table([free])).cost(0, Usage(input=10**6, output=10**6), NOON) == 0


@pytest.mark.parametrize(
    ("model", "bucket", "usd"),
    [
        ("whisper-1", Bucket.AUDIO_TIME, "0.36"),
        ("gpt-transcribe", Bucket.AUDIO_TIME, "0.27"),
        ("tts-1", Bucket.CHARACTER, "15"),
        ("tts-1-hd", Bucket.CHARACTER, "30"),
    ],
)
def test_some_models_are_billed_by_length_alone(model: str, bucket: Bucket, usd: str) -> None:
    found = Catalogue().find("openai", model)
    assert found is not None
    assert not found.by_token
    assert found.rows[0].bands[0].prices[bucket] == Decimal(usd) * (10**15 if bucket is Bucket.AUDIO_TIME else 10**9)


def test_a_model_that_is_billed_by_tokens_and_hours_is_unpriced() -> None:
    """Its answers report a length beside the tokens, which no parser reads yet."""
    assert Catalogue().find("mistral", "voxtral-small-24b-2507") is None


def test_an_override_prices_hours_and_characters() -> None:
    tokens = {"input_usd_per_million": "1", "output_usd_per_million": "2"}
    usage = Usage(input=1000, audio_time=90_000_000, character=1234)
    override = PriceOverride(**tokens, audio_usd_per_hour="0.111", character_usd_per_million="22")
    assert (
        PriceTable(build_table([overridden("p", "m", override)])).cost(0, usage, NOON)
        == 1_000_000 + 2_775_000 + 27_148_000
    )
    with pytest.raises(KeyError, match="no price"):
        PriceTable(build_table([overridden("p", "m", PriceOverride(**tokens))])).cost(0, usage, NOON)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-1", "plain decimal"),
        ("1e3", "plain decimal"),
        ("", "plain decimal"),
        ("0,15", "plain decimal"),
        (" 1", "plain decimal"),
        ("NaN", "plain decimal"),
        ("١", "plain decimal"),
        ("1.", "plain decimal"),
        ("0.0000000001", "whole number"),
        ("10000000000", "out of range"),
    ],
)
def test_an_override_that_is_not_exact_is_an_error_that_names_the_field(text: str, message: str) -> None:
    override = PriceOverride(input_usd_per_million=text, output_usd_per_million="1")
    with pytest.raises(PriceError, match=f"input_usd_per_million: .*{message}"):
        overridden("p", "m", override)


def test_a_listed_price_that_is_not_exact_is_an_error_that_names_the_model() -> None:
    with pytest.raises(PriceError, match=r"openrouter/google/gemini-2.5-flash: cache_write_mtok: 0\.0833"):
        Catalogue().find("openrouter", "google/gemini-2.5-flash")


def test_amounts_are_exact_or_refused() -> None:
    assert femto(Decimal("0.003625"), 10**6, "p") == 3_625_000
    assert femto(parse_usd("0.000000001", "p"), 10**6, "p") == 1
    with pytest.raises(PriceError, match="whole"):
        femto(Decimal("0.18000000000000002"), 10**6, "p")
    with pytest.raises(PriceError, match="range"):
        femto(Decimal(-1), 10**6, "p")


@pytest.mark.parametrize(
    ("known", "bucket", "expected"),
    [
        ({Bucket.OUTPUT: 5}, Bucket.CACHE_READ, 1),
        ({Bucket.OUTPUT: 5}, Bucket.CACHE_WRITE, 1),
        ({Bucket.OUTPUT: 5}, Bucket.CACHE_WRITE_1H, 1),
        ({Bucket.CACHE_WRITE: 3}, Bucket.CACHE_WRITE_1H, 3),
        ({Bucket.OUTPUT: 5}, Bucket.REASONING, 5),
        ({Bucket.OUTPUT: 5}, Bucket.AUDIO_OUTPUT, 5),
        ({Bucket.OUTPUT: 5}, Bucket.AUDIO_INPUT, 1),
        ({Bucket.OUTPUT: 5}, Bucket.IMAGE_INPUT, 1),
        ({Bucket.CACHE_READ: 4}, Bucket.CACHE_READ_AUDIO, 4),
        ({Bucket.AUDIO_INPUT: 6}, Bucket.CACHE_READ_AUDIO, 6),
        ({Bucket.CACHE_READ: 4}, Bucket.CACHE_READ_IMAGE, 4),
        ({Bucket.IMAGE_INPUT: 6}, Bucket.CACHE_READ_IMAGE, 6),
        ({Bucket.AUDIO_OUTPUT: 7}, Bucket.OUTPUT, 7),
        ({}, Bucket.OUTPUT, 1),
        ({}, Bucket.WEB_SEARCH, 0),
        ({}, Bucket.REQUEST, 0),
    ],
)
def test_what_a_list_leaves_out_costs_what_it_is_a_kind_of(
    known: dict[Bucket, int], bucket: Bucket, expected: int
) -> None:
    assert complete({Bucket.INPUT: 1, **known})[bucket] == expected


def test_nothing_stands_in_for_an_input_price() -> None:
    with pytest.raises(PriceError, match="input"):
        complete({Bucket.OUTPUT: 1})


def test_scaling_leaves_fees_and_refuses_fractions() -> None:
    standard = PriceRow(
        Tier.STANDARD, (PriceBand(-1, complete({Bucket.INPUT: 4, Bucket.WEB_SEARCH: 9})),), day_from_s=1
    )
    half = scaled(standard, Tier.FLEX, 1, 2)

    assert (half.tier, half.day_from_s, half.bands[0].prices) == (Tier.FLEX, 1, (2,) * 9 + (9, 0, 2, 2, 0, -1, -1))
    with pytest.raises(PriceError, match="1/3"):
        scaled(standard, Tier.FLEX, 1, 3)
