"""How much to hold for a request, and which cap to send upstream.

The arithmetic is compiled; here is what goes by an API's names, and what is rare.
"""

from collections.abc import Iterable
from typing import Any, Final

from fastgate._core import terms
from fastgate._core.terms import MOST_CHOICES, MOST_TOKENS, Bound
from fastgate.wire.request import ChatRequest
from fastgate.wire.snapshot import PriceRecord
from fastgate.wire.usage import Tier

__all__ = ["MOST_CHOICES", "MOST_TOKENS", "NOTHING", "Bound", "Terms", "asked_tier", "why_unbounded"]

NOTHING: Final = Bound(0, 0, None)
"""The bounds of a request that has none yet."""
_ASKED: Final[dict[str, Tier]] = {"priority": Tier.PRIORITY, "fast": Tier.PRIORITY, "ultrafast": Tier.ULTRAFAST}
_PLAIN: Final = frozenset({"auto", "default", "standard", "standard_only", "flex"})
_FIELDS: Final = (
    "prices", "price", "rate", "answers", "thoughts", "capped", "strict", "default_cap", "max_output", "context_window",
    "cap_fields", "geo", "instalments", "reasons", "attempts",
)  # fmt: skip


class Terms(terms.Terms):
    """What bounds the cost of every attempt on one way to serve a model, whatever the request."""

    __slots__ = ()

    known_tiers = _PLAIN | _ASKED.keys()

    def replaced(self, **more: Any) -> "Terms":
        """The same but for these fields."""
        return Terms(**{name: getattr(self, name) for name in _FIELDS} | more)

    def tried_with(self, model: str, others: Iterable[tuple[str, int, PriceRecord]]) -> "Terms":
        """The same where ``model``, which they are of, is tried first and then others: name, price, what is known."""
        attempts, outputs, windows, reasons = [(model, self)], [self.max_output], [self.context_window], {self.reasons}
        for name, price, known in others:
            attempts.append((name, self.replaced(price=price)))
            outputs.append(known.max_output)
            windows.append(known.context_window)
            reasons.add(known.reasons)
        return self.replaced(
            attempts=tuple(attempts),
            max_output=_largest(outputs),
            context_window=_largest(windows),
            reasons=True in reasons or (None if None in reasons else False),
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
