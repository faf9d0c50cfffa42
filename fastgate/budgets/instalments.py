"""A stream's hold in instalments: a first slice, topped up while its output flows, never more than the whole cap."""

from typing import Final

import msgspec

from fastgate._core.learned import OutputRate
from fastgate.budgets.holds import MOST_CHOICES, MOST_TOKENS, Bound, Terms
from fastgate.wire.request import ChatRequest

SLICE: Final = 1024
"""Tokens of output of each choice that a stream is held for ahead of what it may have used."""
HALVINGS: Final = 2
"""How often the first slice is halved where there is no room for it."""
LEAST: Final = 64
"""Tokens of the smallest instalment: near a limit they become smaller, so that what is left serves several streams."""
NEVER: Final = 2**63 - 1


class Instalments(msgspec.Struct, frozen=True, gc=False):
    """How the hold of one stream follows its output; all in tokens of output, of all choices together."""

    rate: OutputRate
    whole: int
    """What it may cost at all."""
    hidden: int
    """What may be billed without being seen: reasoning, and predictions that were rejected."""
    slice: int

    @classmethod
    def of(cls, terms: Terms, bound: Bound, request: ChatRequest) -> "Instalments":
        """Those of a stream within ``bound``."""
        rate = terms.output_rate(request)
        choices = min(request.n, MOST_CHOICES)
        hidden = choices * hidden_reasoning(terms, request) + request.prediction_bytes
        return cls(rate, bound.output_tokens, hidden, min(choices * SLICE, bound.output_tokens))

    def first(self, halvings: int = 0) -> int:
        """To be held before anything is sent; less, halved so often, where there is no room for a slice."""
        return min(self.whole, self.hidden + (self.slice >> halvings))

    @property
    def low(self) -> int:
        """Where no more is ahead, it is time for the next instalment."""
        return self.slice // 4

    @property
    def most_reserve(self) -> int:
        """The most that is kept ahead for what a provider writes until it hears that it is to stop."""
        return self.slice // 2

    def used(self, output_bytes: int, reported: int) -> int:
        """The most that may have been used by now."""
        return min(self.whole, max(self.rate.bound(output_bytes) + self.hidden, reported))

    def wanted(self, used: int, held: int) -> int:
        """By how much to grow: to a slice ahead of what is used."""
        return max(0, min(self.whole, used + self.slice) - held)

    def due(self, held: int, ahead: int) -> tuple[int, int]:
        """The bytes of output, and the tokens reported of it, at which less than ``ahead`` is left of what is held."""
        if held >= self.whole:
            return NEVER, NEVER
        return self.rate.reach(held - ahead - self.hidden), held - ahead


def hidden_reasoning(terms: Terms, request: ChatRequest) -> int:
    """Tokens that one choice may be billed for reasoning that nobody sees.

    What the request sets aside for it; else what was seen of the model, and half of it. Where a model reasons, asked or
    not, of which too little was seen, its whole cap.
    """
    if request.thinking_budget is not None:
        return request.thinking_budget
    rate = terms.output_rate(request)
    if terms.reasoning(request) and not rate.learned:
        return MOST_TOKENS
    return rate.likely_reasoning
