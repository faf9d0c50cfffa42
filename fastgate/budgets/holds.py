"""How much to hold for a request, and which cap to send upstream."""

from collections.abc import Iterable
from typing import Final

import msgspec

from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.price import ANY_TIER, UNASKED_TIERS, PriceTable
from fastgate.wire.request import ChatRequest
from fastgate.wire.snapshot import PriceRecord
from fastgate.wire.usage import Tier

TEMPLATE_TOKENS: Final = 64
"""What a chat template may add to the bytes of a body, and what an answer's framing may add to its cap."""
IMAGE_TOKENS: Final = 50_000
"""More than any image is billed, whether its bytes are in the body or behind an address: gpt-4o-mini takes 2,833 tokens
and 5,667 for each of up to 8 tiles. Half of it where the bound is learned, which no other model comes near."""
TOOL_TOKENS: Final = 1024
"""What providers add to a prompt that declares tools."""
MOST_TOKENS: Final = 10**8
MOST_CHOICES: Final = 10**4
"""No provider takes more; what asks for more is refused there, and its bound need not overflow here."""
LARGEST_WINDOW: Final = 1_000_000
"""Tokens: the context window of a model of which none is known."""
HOSTED_SEARCHES: Final = 10
"""Paid searches held for where the provider may run tools of its own."""
_ANY_GEO: Final = -1
_PLAIN: Final = frozenset({None, "auto", "default", "standard", "standard_only", "flex"})
_ASKED: Final[dict[str, Tier]] = {"priority": Tier.PRIORITY, "fast": Tier.PRIORITY, "ultrafast": Tier.ULTRAFAST}


class Bound(msgspec.Struct, frozen=True, gc=False):
    """Upper bounds of one attempt."""

    input_tokens: int
    output_tokens: int
    cap: int | None
    """The output cap to add to the request; None: it has one, or needs none."""


NOTHING: Final = Bound(0, 0, None)
"""The bounds of a request that has none yet."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What bounds the cost of every attempt on one way to serve a model, whatever the request."""

    prices: PriceTable
    price: int
    """Index into the price table; -1: nothing prices the model and the key allows that."""
    rate: TokenRate
    answers: OutputRate
    """Of requests that are answered without reasoning, as far as is known."""
    thoughts: OutputRate
    """Of those that ask for it, and of all to a model that reasons unasked."""
    capped: bool
    """A hard budget applies, so no request must go without a cap."""
    strict: bool
    """The bound is absolute."""
    default_cap: int
    """The gateway's, in tokens of output."""
    max_output: int | None = None
    """The model's own, in tokens; None: unknown."""
    context_window: int | None = None
    cap_fields: tuple[str, ...] = ()
    """Members by which the provider is known to take an output cap."""
    geo: int = 0
    instalments: bool = False
    """Streams are held for by slices: something limits them, and the bound need not be absolute."""
    reasons: bool | None = None
    """The model reasons unasked; None: not known."""
    attempts: "tuple[tuple[str, Terms], ...]" = ()
    """The models that the provider may run one after the other, this one first, each with the terms at its own price;
    empty: this one alone, as almost always."""

    def tried_with(self, model: str, others: Iterable[tuple[str, int, PriceRecord]]) -> "Terms":
        """The same where ``model``, which they are of, is tried first and then others: name, price, what is known."""
        attempts, outputs, windows, reasons = [(model, self)], [self.max_output], [self.context_window], {self.reasons}
        for name, price, known in others:
            attempts.append((name, msgspec.structs.replace(self, price=price)))
            outputs.append(known.max_output)
            windows.append(known.context_window)
            reasons.add(known.reasons)
        return msgspec.structs.replace(
            self,
            attempts=tuple(attempts),
            max_output=_largest(outputs),
            context_window=_largest(windows),
            reasons=True in reasons or (None if None in reasons else False),
        )

    def reasoning(self, request: ChatRequest) -> bool | None:
        """Whether an answer may have reasoning that nobody sees; None: only the traffic can tell."""
        return self.reasons if request.reasons is None else request.reasons

    def output_rate(self, request: ChatRequest) -> OutputRate:
        """What the traffic has taught of answers to such requests."""
        return self.thoughts if self.reasoning(request) else self.answers

    def bound(self, request: ChatRequest, size: int, *, free: bool = False) -> Bound:
        """Bounds for a body of ``size`` bytes; ``free``: it is not billed, so it needs no cap.

        Input is one token per byte (``strict``) or what the traffic has taught; the model's context window, where the
        body does not show all of it. Output is the client's cap, else the smaller of the gateway's and the model's,
        times the choices asked for. A client's cap is added once more where the provider may not know its member.
        """
        text = size - request.image_bytes
        tokens = text + TEMPLATE_TOKENS if self.strict else self.rate.bound(text)
        tokens += (IMAGE_TOKENS if self.strict else IMAGE_TOKENS // 2) * request.images
        tokens += TOOL_TOKENS if request.has_tools else 0
        if request.unseen or request.has_hosted_tools:
            tokens = max(tokens, self.context_window or LARGEST_WINDOW)
        cap, most = request.output_cap, self.max_output
        added = None
        if cap is None:
            cap = self.default_cap if most is None else min(self.default_cap, most)
            if self.capped and not free:
                added = cap
        else:
            if self.capped and not free and request.cap_field not in self.cap_fields:
                added = cap
            cap = min(cap, MOST_TOKENS if most is None or self.strict else min(most, MOST_TOKENS))
        return Bound(tokens, cap * min(request.n, MOST_CHOICES) + request.prediction_bytes, added)

    def amount(self, bound: Bound, output_tokens: int, request: ChatRequest, tier: int, now_ns: int) -> int:
        """nano-USD to hold for ``tier``, the one asked for, and so much output; 0 where nothing prices the model.

        Of several attempts each is held for as if it ran as long as the request lets it.
        """
        if self.attempts:
            return sum(terms.amount(bound, output_tokens, request, tier, now_ns) for _, terms in self.attempts)
        if self.price < 0:
            return 0
        strict = self.strict
        if request.service_tier not in _PLAIN and request.service_tier not in _ASKED:
            tier = ANY_TIER
        elif strict:  # a project may have another default, which an absolute bound has to cover
            tier = UNASKED_TIERS if tier in (Tier.STANDARD, Tier.PRIORITY) else ANY_TIER
        return self.prices.bound(
            self.price,
            bound.input_tokens,
            output_tokens,
            now_ns,
            tier=tier,
            geo=_ANY_GEO if strict or request.geo else self.geo,
            searches=HOSTED_SEARCHES if request.has_hosted_tools else 0,
            media=strict or request.images > 0 or request.has_audio_output,
        )


def _largest(sizes: list[int | None]) -> int | None:
    """Of the sizes of several models; None where one is not known."""
    known = [size for size in sizes if size is not None]
    return max(known) if len(known) == len(sizes) else None


def why_unbounded(request: ChatRequest, context_window: int | None) -> str:
    """Why no absolute bound can be given for a request; empty: there is one."""
    if request.has_hosted_tools:
        return "the provider may run tools of its own, whose input and number the request does not show"
    if request.beside:
        return f"it may be billed for {request.beside}, whose size it does not show"
    if request.unseen and context_window is None:
        return f"it names {request.unseen} without showing it, and the model's context window is unknown"
    return ""


def asked_tier(request: ChatRequest) -> Tier:
    """The dearest tier that the request asks for; the standard one where it asks for none, or an unknown one."""
    return Tier.FAST if request.fast else _ASKED.get(request.service_tier or "", Tier.STANDARD)
