"""How much to hold for a request, and which cap to send upstream."""

from dataclasses import dataclass
from typing import Final

from fastgate._core.learned import TokenRate
from fastgate._core.price import PriceTable
from fastgate.wire.request import ChatRequest
from fastgate.wire.usage import Tier

TEMPLATE_TOKENS: Final = 64
"""What a chat template may add to the bytes of a body, and what an answer's framing may add to its cap."""
IMAGE_TOKENS: Final = 20_000
"""More than any image of a supported provider is billed, whether its bytes are in the body or behind an address."""
_ANY_TIER: Final = -1
_PLAIN_TIERS: Final = frozenset({None, "default", "standard", "standard_only", "flex"})
"""Tiers asked for that are never billed above the standard one, projects that set another default aside."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Upper bounds of one attempt."""

    input_tokens: int
    output_tokens: int
    cap: int | None
    """The output cap to add to the request; None: it has one, or needs none."""


def bound_tokens(
    request: ChatRequest,
    size: int,
    *,
    strict: bool,
    rate: TokenRate,
    capped: bool,
    max_output: int | None,
    default_cap: int,
) -> Bound:
    """Bounds for a body of ``size`` bytes; ``capped``: a hard budget applies, so that the request must not go without a cap.

    Input is one token per byte (``strict``) or what the traffic has taught. Output is the client's cap, else the smaller of the
    gateway's and the model's, times the choices asked for.
    """
    text = size - request.image_bytes
    tokens = text + TEMPLATE_TOKENS if strict else rate.bound(text)
    tokens += IMAGE_TOKENS * request.images
    cap = request.output_cap
    added = None
    if cap is None:
        cap = default_cap if max_output is None else min(default_cap, max_output)
        if capped:
            added = cap
    elif max_output is not None and not strict:
        cap = min(cap, max_output)
    return Bound(tokens, cap * request.n + request.prediction_bytes, added)


def hold_amount(
    prices: PriceTable, price: int, bound: Bound, request: ChatRequest, *, strict: bool, now_ns: int
) -> int:
    """nano-USD to hold; 0 where nothing prices the model and the key allows that."""
    if price < 0:
        return 0
    plain = request.service_tier in _PLAIN_TIERS and not request.fast
    tier = Tier.STANDARD if plain and not strict else _ANY_TIER
    return prices.bound(price, bound.input_tokens, bound.output_tokens, now_ns, tier)
