"""The compiled terms against a second opinion: the same rules in plain Python, whose integers have no end.

Every count goes up to and beyond what the unit can count: it says the same, or raises where they come to more.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.price import ANY_TIER, UNASKED_TIERS, PriceTable
from fastgate.budgets.holds import Bound, Terms, asked_tier
from fastgate.pricing.table import build_table
from fastgate.wire.prices import ModelPrice, PriceBand, PriceRow
from fastgate.wire.request import ChatRequest
from fastgate.wire.snapshot import PriceRecord
from fastgate.wire.usage import Bucket, Tier

MOST: Final = 2**63 - 1
AT_NS: Final = 1_790_000_000 * 10**9
DEAR: Final = {Bucket.AUDIO_INPUT: 7_000, Bucket.AUDIO_OUTPUT: 9_000, Bucket.WEB_SEARCH: 10**10}


def rows(factor: int) -> tuple[PriceBand, ...]:
    """Prices that differ by bucket, tier and length of the prompt, and by what is asked for beside text."""
    cheap = tuple(factor * DEAR.get(bucket, 1_000 + bucket) for bucket in Bucket)
    return PriceBand(-1, cheap), PriceBand(200_000, tuple(2 * price for price in cheap))


MODELS: Final = (
    ModelPrice("p", "tiers", tuple(PriceRow(tier, rows(2 + tier), geo_permille=1_100) for tier in Tier)),
    ModelPrice("p", "free", (PriceRow(Tier.STANDARD, (PriceBand(-1, (0,) * len(Bucket)),)),)),
)
TABLE: Final = PriceTable(build_table(list(MODELS)))
TAUGHT: Final = {"nothing": 65_536, "little": 32_768, "some": 49_152}
"""Tokens per byte that a model is held for, in 1/65536, by what its traffic has taught of it."""
SMALL: Final = st.integers(0, 200_000)
EDGES: Final = st.sampled_from([0, 10**8, 2**47, MOST // 50_000, MOST // 25_000, MOST])
COUNTS: Final = SMALL | st.builds(lambda edge, by: max(0, edge + by), EDGES, st.integers(-70, 70)) | st.just(10**30)
SIZES: Final = st.integers(0, 10**6) | COUNTS
FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "stream": st.booleans(),
    "output_cap": COUNTS,
    "cap_field": st.sampled_from(["max_tokens", "max_completion_tokens"]),
    "n": st.integers(1, 20_000) | COUNTS,
    "thinking_budget": COUNTS,
    "reasons": st.booleans(),
    "service_tier": st.sampled_from(["", "auto", "standard", "flex", "priority", "fast", "ultrafast", "scale", "new"]),
    "fast": st.booleans(),
    "geo": st.sampled_from(["", "us"]),
    "has_tools": st.booleans(),
    "has_hosted_tools": st.booleans(),
    "unseen": st.sampled_from(["", "a file"]),
    "has_audio_output": st.booleans(),
    "images": st.integers(0, 5) | COUNTS,
    "image_bytes": SIZES | st.just(-MOST),
    "prediction_bytes": COUNTS,
}
REQUESTS: Final = st.builds(lambda said: ChatRequest("m", **said), st.fixed_dictionaries({}, optional=FIELDS))
SAID: Final = st.fixed_dictionaries(
    {"capped": st.booleans(), "strict": st.booleans(), "default_cap": st.integers(0, 1_000_000) | st.just(MOST)},
    optional={
        "max_output": st.none() | st.integers(0, 2 * 10**8) | st.just(MOST),
        "context_window": st.none() | st.integers(0, 2_000_000) | st.just(MOST),
        "cap_fields": st.just(("max_tokens",)),
        "geo": st.integers(0, 1),
        "instalments": st.booleans(),
        "reasons": st.none() | st.booleans(),
    },
)
STRICT: Final = {"capped": True, "strict": True, "default_cap": 1}
LEARNED: Final = {**STRICT, "strict": False}


class Model:
    """What was taught of a model: its rates."""

    def __init__(self, arena: Arena, taught: str) -> None:
        self.rate = TokenRate(arena, taught)
        self.others = OutputRate(arena, f"{taught} answers"), OutputRate(arena, f"{taught} thoughts")
        self.share = TAUGHT[taught]
        for _ in range(32 if taught != "nothing" else 0):
            self.rate.observe(self.share * 100 // 150, 65_536)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    arena = Arena(str(tmp_path_factory.mktemp("arena") / "arena"), create=True)
    return {taught: Model(arena, taught) for taught in TAUGHT}


class Plain:
    """The rules, as they are written down."""

    def __init__(self, model: Model, price: int, said: dict[str, Any]) -> None:
        self.share, self.price = model.share, price
        self.answers, self.thoughts = model.others
        self.said = {
            "max_output": None, "context_window": None, "cap_fields": (), "geo": 0, "instalments": False,
            "reasons": None, **said,
        }  # fmt: skip

    def text_tokens(self, size: int) -> int:
        if self.said["strict"]:
            return size + 64
        return counted(min(size, size * self.share // 65_536 + 1, MOST - 64) + 64)

    def input_tokens(self, request: ChatRequest, size: int) -> int:
        text = counted(counted(size) - counted(request.image_bytes))
        tokens = self.text_tokens(text) + counted(request.images) * (50_000 if self.said["strict"] else 25_000)
        tokens += 1_024 if request.has_tools else 0
        hidden = request.unseen or request.has_hosted_tools
        return counted(max(tokens, self.said["context_window"] or 1_000_000) if hidden else tokens)

    def output_tokens(self, request: ChatRequest) -> int:
        most = self.said["max_output"]
        if request.output_cap is None:
            each = min([self.said["default_cap"], *([] if most is None else [most])])
        else:
            each = min([request.output_cap, 10**8, *([] if most is None or self.said["strict"] else [most])])
        return counted(each * min(request.n, 10_000) + counted(request.prediction_bytes))

    def cap(self, request: ChatRequest, *, free: bool) -> int | None:
        if free or not self.said["capped"]:
            return None
        if request.output_cap is None:
            most = self.said["max_output"]
            return int(self.said["default_cap"] if most is None else min(self.said["default_cap"], most))
        return None if request.cap_field in self.said["cap_fields"] else request.output_cap

    def amount(self, bound: Bound, output_tokens: int, request: ChatRequest, tier: int) -> int:
        if self.price < 0:
            return 0
        named = request.service_tier
        known = {None, "auto", "default", "standard", "standard_only", "flex", "priority", "fast", "ultrafast"}
        strict = self.said["strict"]
        if named not in known or (strict and tier not in (Tier.STANDARD, Tier.PRIORITY)):
            tier = ANY_TIER
        elif strict:
            tier = UNASKED_TIERS
        return TABLE.bound(
            self.price, bound.input_tokens, output_tokens, AT_NS, tier=tier,
            geo=-1 if strict or request.geo else self.said["geo"],
            searches=10 if request.has_hosted_tools else 0,
            media=bool(strict or request.images or request.has_audio_output),
        )  # fmt: skip

    def reasons(self, request: ChatRequest) -> bool | None:
        return self.said["reasons"] if request.reasons is None else request.reasons

    def rate(self, request: ChatRequest) -> OutputRate:
        return self.thoughts if self.reasons(request) else self.answers

    def is_common(self, request: ChatRequest, *, free: bool) -> bool:
        """Nothing has to be looked at but sizes before it is held for."""
        rare = free or self.said["strict"] or request.thinking_budget is not None or request.fast
        return not (rare or request.service_tier is not None or (request.stream and self.said["instalments"]))


def counted(count: int) -> int:
    """What the unit can count."""
    if not -(2**63) <= count <= MOST:
        raise OverflowError
    return count


def outcome(work: Callable[[], Any]) -> Any:
    """What it gives, or the kind of error it raises."""
    try:
        return work()
    except (OverflowError, ValueError) as error:
        return type(error)


def parts(bound: Bound) -> tuple[int, int, int | None]:
    return bound.input_tokens, bound.output_tokens, bound.cap


@settings(max_examples=2_000, deadline=None)
@given(request=REQUESTS, said=SAID, taught=st.sampled_from(sorted(TAUGHT)), price=st.integers(-1, 1), size=SIZES,
       free=st.booleans())  # fmt: skip
@example(ChatRequest("m", n=10**30, output_cap=10**30), STRICT, "some", 0, 1, False)
@example(ChatRequest("m", images=MOST // 25_000 + 1), LEARNED, "some", 0, 1, False)
@example(ChatRequest("m", prediction_bytes=MOST), LEARNED, "some", 1, 1, False)
@example(ChatRequest("m"), LEARNED, "little", 1, 2**48, False)
@example(ChatRequest("m"), LEARNED, "nothing", 1, MOST, False)
@example(ChatRequest("m"), STRICT, "little", 1, MOST - 63, False)
def test_terms_are_the_plain_rules(
    models: dict[str, Model],
    request: ChatRequest,
    said: dict[str, Any],
    taught: str,
    price: int,
    size: int,
    free: bool,
) -> None:
    model = models[taught]
    terms, plain = Terms(TABLE, price, model.rate, *model.others, **said), Plain(model, price, said)
    assert terms.reasoning(request) is plain.reasons(request)
    assert terms.output_rate(request) is plain.rate(request)
    bound = outcome(lambda: terms.bound(request, size, free=free))
    expected = outcome(
        lambda: (plain.input_tokens(request, size), plain.output_tokens(request), plain.cap(request, free=free))
    )
    if not isinstance(bound, Bound):
        assert (bound, bound) == (expected, outcome(lambda: terms.quote(request, size, AT_NS, free)))
        return
    assert parts(bound) == expected
    tokens, tier = bound.output_tokens, asked_tier(request)
    amount = outcome(lambda: plain.amount(bound, tokens, request, tier))
    assert outcome(lambda: terms.amount(bound, tokens, request, tier, AT_NS)) == amount
    quote = outcome(lambda: terms.quote(request, size, AT_NS, free))
    common = plain.is_common(request, free=free)
    if common and not isinstance(amount, int):
        assert quote is amount
        return
    teaches = not (request.images or request.unseen or request.has_hosted_tools)
    assert (parts(quote[0]), *quote[1:]) == (
        parts(bound), tokens, amount if common else None, plain.rate(request), plain.reasons(request), teaches
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(request=REQUESTS, said=SAID, size=st.integers(0, 10**6), others=st.lists(st.integers(-1, 1), max_size=3))
def test_several_attempts_are_held_for_one_by_one(
    models: dict[str, Model], request: ChatRequest, said: dict[str, Any], size: int, others: list[int]
) -> None:
    model = models["some"]
    alone = [Terms(TABLE, price, model.rate, *model.others, **said) for price in (0, *others)]
    known = PriceRecord("m", "", 0, max_output=7)
    together = alone[0].tried_with("m", [(f"other-{price}", price, known) for price in others])
    assert [name for name, _ in together.attempts] == ["m", *(f"other-{price}" for price in others)]
    bound = outcome(lambda: together.bound(request, size))
    if isinstance(bound, Bound):
        asked = bound, bound.output_tokens, request, asked_tier(request), AT_NS
        assert outcome(lambda: together.amount(*asked)) == outcome(lambda: sum(one.amount(*asked) for one in alone))
        assert together.quote(request, size, AT_NS, False)[2] is None


class Reordered(msgspec.Struct):
    """A request of another class, which has its members elsewhere."""

    prediction_bytes: int = 1_000
    image_bytes: int = 0
    images: int = 0
    has_audio_output: bool = False
    unseen: str = ""
    has_hosted_tools: bool = False
    has_tools: bool = True
    geo: str | None = None
    fast: bool = False
    service_tier: str | None = None
    reasons: bool | None = None
    thinking_budget: int | None = None
    n: int = 2
    cap_field: str | None = None
    output_cap: int | None = 30
    stream: bool = False


def test_a_request_may_be_of_any_class_with_slots(models: dict[str, Model]) -> None:
    terms = Terms(TABLE, 0, models["nothing"].rate, *models["nothing"].others, capped=False, strict=True, default_cap=1)
    ours = ChatRequest("m", prediction_bytes=1_000, has_tools=True, n=2, output_cap=30)
    for request in (ours, Reordered(), ours):
        assert parts(terms.bound(request, 500)) == (500 + 64 + 1_024, 2 * 30 + 1_000, None)

    class Loose:
        def __init__(self) -> None:
            self.images = 0

    for call in (terms.output_rate, lambda other: terms.bound(other, 1), lambda other: terms.quote(other, 1, 1, False)):
        for other in (Loose(), None):
            with pytest.raises(TypeError, match=r"has no slot|not be None"):
                call(other)
    assert parts(terms.bound(ours, 500)) == (1_588, 1_060, None)
