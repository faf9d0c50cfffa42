"""No usage within the given counts costs more than its bound, nor than a strict hold, over the whole catalogue."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.price import ANY_TIER, UNASKED_TIERS, PriceTable, Usage
from fastgate.budgets.holds import Terms, asked_tier
from fastgate.pricing import listed
from fastgate.pricing.amounts import PriceError
from fastgate.pricing.catalogue import Catalogue
from fastgate.pricing.table import build_table
from fastgate.wire.money import MOST_NANO, nano_of, share_of
from fastgate.wire.prices import UNSTATED, ModelPrice
from fastgate.wire.request import ChatRequest
from fastgate.wire.usage import FEES, LENGTHS, PROMPT_BUCKETS, Bucket, Geo, Tier

SEARCHES = (Bucket.WEB_SEARCH, Bucket.FILE_SEARCH)
OUTPUT_BUCKETS = (Bucket.OUTPUT, Bucket.REASONING, Bucket.AUDIO_OUTPUT)
UNASKED = (Tier.STANDARD, Tier.FLEX, Tier.PRIORITY, Tier.BATCH)
MEDIA = tuple(
    bucket for bucket in Bucket if "AUDIO_" in bucket.name or "_AUDIO" in bucket.name or "IMAGE" in bucket.name
)

# Before and after prices change, and a peak hour.
MOMENTS = [
    int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9
    for text in ("2026-07-01T02:00", "2026-10-13T12:00", "2026-11-21T07:30", "2026-11-21T12:00", "2027-03-01T12:00")
]


def models() -> list[ModelPrice]:
    """Everything that the catalogue can price, by its own ids, each price once."""
    named = [("sim", f"sim-{size}") for size in ("small", "large", "reasoning", "cached")]
    for provider_type, listed_id in listed.PROVIDER_IDS.items():
        named += [(provider_type, model.id) for model in listed.providers()[listed_id].models]
    found: dict[object, ModelPrice] = {}
    for provider_type, name in named:
        with suppress(PriceError):  # a listed price that is not exact prices nothing
            model = Catalogue().find(provider_type, name)
            if model is not None:
                found.setdefault(model.rows, model)
    return list(found.values())


LISTED = models()
MODELS = [model for model in LISTED if model.by_token]
MEASURED = [model for model in LISTED if not model.by_token]
"""Billed by the length of audio or text."""
TABLE = PriceTable(build_table(MODELS))
LENGTHS_TABLE = PriceTable(build_table(MEASURED))


def thresholds(model: ModelPrice) -> list[int]:
    return sorted({band.above for row in model.rows for band in row.bands if band.above > 0})


def usage_of(prompt: Sequence[int], output: Sequence[int], tier: Tier, geo: Geo) -> Usage:
    usage = Usage(tier=tier, geo=geo, request=1)
    for bucket, count in zip((*PROMPT_BUCKETS, *OUTPUT_BUCKETS), (*prompt, *output), strict=True):
        usage[bucket] = count
    return usage


def test_the_catalogue_is_not_empty() -> None:
    assert len(MODELS) > 350
    assert {row.tier for model in MODELS for row in model.rows} == set(Tier)
    for bucket in Bucket:
        assert any(band.prices[bucket] > 0 for model in LISTED for row in model.rows for band in row.bands), bucket.name
    assert sum(bool(thresholds(model)) for model in MODELS) > 30


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_bound_covers_cost(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(MODELS) - 1))
    edges = [edge + delta for edge in thresholds(MODELS[index]) for delta in (-1, 0, 1)]
    inputs = data.draw(st.one_of(st.integers(0, 2_000_000), st.sampled_from([0, 1, *edges])))
    outputs = data.draw(st.integers(0, 200_000))
    prompt = split(data, data.draw(st.integers(0, inputs)) if data.draw(st.booleans()) else inputs, len(PROMPT_BUCKETS))
    output = split(data, data.draw(st.integers(0, outputs)), len(OUTPUT_BUCKETS))
    tier, geo = data.draw(st.sampled_from(list(Tier))), data.draw(st.sampled_from(list(Geo)))
    at_ns = data.draw(st.one_of(st.sampled_from(MOMENTS), st.integers(0, 2**62)))
    searches = data.draw(st.integers(0, 5))
    usage = usage_of(prompt, output, tier, geo)
    for bucket, count in zip(SEARCHES, split(data, searches, len(SEARCHES)), strict=True):
        usage[bucket] = count
    cost = TABLE.cost(index, usage, at_ns)

    assert cost <= TABLE.bound(index, inputs, outputs, at_ns, tier=tier, searches=searches)
    assert cost <= TABLE.bound(index, inputs, outputs, at_ns, tier=tier, geo=geo, searches=searches)
    assert cost <= TABLE.bound(index, inputs, outputs, at_ns, tier=ANY_TIER, searches=searches)
    if tier in UNASKED:
        assert cost <= TABLE.bound(index, inputs, outputs, at_ns, tier=UNASKED_TIERS, searches=searches)
    if not any(usage[bucket] for bucket in MEDIA):
        assert cost <= TABLE.bound(index, inputs, outputs, at_ns, tier=tier, searches=searches, media=False)


def split(data: st.DataObject, total: int, parts: int) -> list[int]:
    """A total cut at random places."""
    cuts = sorted(data.draw(st.lists(st.integers(0, total), min_size=parts - 1, max_size=parts - 1)))
    return [upper - lower for lower, upper in zip([0, *cuts], [*cuts, total], strict=True)]


@pytest.mark.parametrize("tier", list(Tier))
def test_bound_is_reached_at_a_corner_and_never_passed(tier: Tier) -> None:
    """Costs are linear between thresholds, so the corners decide: all of the prompt and output in one bucket each."""
    at_ns = MOMENTS[3]
    for index, model in enumerate(MODELS):
        for inputs in (1, *(edge + delta for edge in thresholds(model) for delta in (0, 1))):
            bound = TABLE.bound(index, inputs, 1_000, at_ns, tier=tier, geo=Geo.GLOBAL)
            dearest = 0
            reachable = {inputs, *(edge for edge in thresholds(model) if edge < inputs)}
            for served in {tier, Tier.STANDARD}:
                for prompt in reachable:
                    for heard in PROMPT_BUCKETS:
                        for spoken in OUTPUT_BUCKETS:
                            usage = Usage(tier=served, request=1)
                            usage[heard], usage[spoken] = prompt, 1_000
                            dearest = max(dearest, TABLE.cost(index, usage, at_ns))
            assert dearest <= bound <= dearest + 1, (model.model, inputs)


@settings(max_examples=300)
@given(st.integers(0, len(MODELS) - 1), st.integers(0, 10**6), st.integers(0, 10**5), st.sampled_from(MOMENTS))
def test_bound_does_not_fall_with_more_tokens(index: int, inputs: int, outputs: int, at_ns: int) -> None:
    bound = TABLE.bound(index, inputs, outputs, at_ns)

    assert bound <= TABLE.bound(index, inputs + 1, outputs, at_ns)
    assert bound <= TABLE.bound(index, inputs, outputs + 1, at_ns)


@settings(max_examples=300)
@given(
    st.integers(0, len(MODELS) - 1),
    st.lists(st.integers(0, 10**6), min_size=len(PROMPT_BUCKETS), max_size=len(PROMPT_BUCKETS)),
    st.lists(st.integers(0, 10**6), min_size=3, max_size=3),
    st.sampled_from(list(Tier)),
    st.sampled_from(list(Geo)),
    st.sampled_from(MOMENTS),
)
def test_lines_sum_to_the_cost(
    index: int, prompt: list[int], output: list[int], tier: Tier, geo: Geo, at_ns: int
) -> None:
    usage = usage_of(prompt, output, tier, geo)

    assert TABLE.cost(index, usage, at_ns) == nano_of(sum(map(share_of, TABLE.lines(index, usage, at_ns))))


@settings(max_examples=300)
@given(
    st.integers(-1, len(MODELS) - 1),
    st.integers(0, 10**18),
    st.sampled_from(list(Tier)),
    st.sampled_from(list(Geo)),
    st.sampled_from(list(Geo)),
    st.sampled_from(MOMENTS),
)
def test_a_charge_is_the_exact_cost_where_it_ran_and_the_most_that_is_counted_beyond(
    index: int, tokens: int, tier: Tier, said: Geo, ran: Geo, at_ns: int
) -> None:
    usage = usage_of([tokens] * len(PROMPT_BUCKETS), [tokens] * 3, tier, said)
    charged = TABLE.charge(index, usage, at_ns, ran)

    assert usage.geo == (said or ran)
    exact = nano_of(sum(map(share_of, TABLE.lines(index, usage, at_ns)))) if index >= 0 else 0
    assert charged == min(exact, MOST_NANO)


@settings(max_examples=1_000, deadline=None)
@given(
    st.integers(0, len(MEASURED) - 1),
    st.integers(0, 10**12),
    st.integers(0, 10**7),
    st.sampled_from(list(Tier)),
    st.sampled_from(list(Geo)),
    st.sampled_from(MOMENTS),
)
def test_what_is_billed_by_its_length_is_exact_and_bounded(
    index: int, audio_us: int, characters: int, tier: Tier, geo: Geo, at_ns: int
) -> None:
    prices = {bucket for bucket in LENGTHS if MEASURED[index].rows[0].bands[0].prices[bucket] != UNSTATED}
    usage = Usage(tier=tier, geo=geo, request=1)
    if Bucket.AUDIO_TIME in prices:
        usage[Bucket.AUDIO_TIME] = audio_us
    if Bucket.CHARACTER in prices:
        usage[Bucket.CHARACTER] = characters
    cost = LENGTHS_TABLE.cost(index, usage, at_ns)
    held = LENGTHS_TABLE.bound(
        index, 0, 0, at_ns, tier=tier, audio_us=usage[Bucket.AUDIO_TIME], characters=usage[Bucket.CHARACTER]
    )

    assert cost == nano_of(sum(map(share_of, LENGTHS_TABLE.lines(index, usage, at_ns))))
    assert cost <= held


def test_what_a_model_is_not_billed_by_has_no_price() -> None:
    """Neither nothing nor anything else's: a report in another unit than the listed one must not pass for free."""
    for table, listed_models in ((TABLE, MODELS), (LENGTHS_TABLE, MEASURED)):
        for index, model in enumerate(listed_models):
            prices = model.rows[0].bands[0].prices
            for bucket in set(Bucket) - FEES:
                usage = Usage()
                usage[bucket] = 1
                if prices[bucket] == UNSTATED:
                    with pytest.raises(KeyError, match="no price"):
                        table.cost(index, usage, MOMENTS[3])
                    with pytest.raises(KeyError, match="no price"):
                        table.lines(index, usage, MOMENTS[3])
                else:
                    table.cost(index, usage, MOMENTS[3])
    for tokens in ((1, 0), (0, 1)):
        with pytest.raises(KeyError, match="no price"):
            LENGTHS_TABLE.bound(0, *tokens, MOMENTS[3])
    for length in ({"audio_us": 1}, {"characters": 1}):
        with pytest.raises(KeyError, match="no price"):
            TABLE.bound(0, 0, 0, MOMENTS[3], **length)


ASKED = (None, "auto", "default", "standard_only", "flex", "priority", "fast", "ultrafast", "scale", "something new")


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenRate, OutputRate, OutputRate]:
    arena = Arena(str(tmp_path_factory.mktemp("arena") / "arena"), create=True)
    return TokenRate(arena, "p/m"), OutputRate(arena, "p/m answers"), OutputRate(arena, "p/m thoughts")


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_a_strict_hold_covers_whatever_is_billed(
    rates: tuple[TokenRate, OutputRate, OutputRate], data: st.DataObject
) -> None:
    """Whatever tier, region and buckets the provider reports, as long as it keeps to the cap."""
    index = data.draw(st.integers(0, len(MODELS) - 1))
    request = ChatRequest(
        "m",
        output_cap=data.draw(st.one_of(st.none(), st.integers(0, 100_000))),
        n=data.draw(st.integers(1, 5)),
        service_tier=data.draw(st.sampled_from(ASKED)),
        fast=data.draw(st.booleans()),
        geo=data.draw(st.sampled_from([None, "us", "global"])),
        has_tools=data.draw(st.booleans()),
        has_audio_output=data.draw(st.booleans()),
        images=data.draw(st.integers(0, 2)),
        prediction_bytes=data.draw(st.integers(0, 1_000)),
    )
    most = MODELS[index].max_output
    terms = Terms(TABLE, index, *rates, capped=True, strict=True, default_cap=16_384, max_output=most)
    bound = terms.bound(request, data.draw(st.integers(1, 1_500_000)))
    at_ns = data.draw(st.sampled_from(MOMENTS))
    held = terms.amount(bound, bound.output_tokens, request, asked_tier(request), at_ns)

    served = data.draw(st.sampled_from([*UNASKED, *tiers_asked(request)]))
    prompt = split(data, data.draw(st.integers(0, bound.input_tokens)), len(PROMPT_BUCKETS))
    output = split(data, data.draw(st.integers(0, bound.output_tokens)), len(OUTPUT_BUCKETS))
    usage = usage_of(prompt, output, served, data.draw(st.sampled_from(list(Geo))))

    assert TABLE.cost(index, usage, at_ns) <= held


def tiers_asked(request: ChatRequest) -> list[Tier]:
    """Tiers that a provider may serve only where they are asked for."""
    named = {"ultrafast": [Tier.ULTRAFAST], "scale": list(Tier), "something new": list(Tier)}
    return [*([Tier.FAST] if request.fast else []), *named.get(request.service_tier or "", [])]
