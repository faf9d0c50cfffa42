"""What was decided and how right it was: counters that outlive the process, and the intervals that follow from them."""

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

import msgspec

NORMAL_95: Final = 1.959963984540054
"""The two-sided 95 % quantile of the normal distribution."""

Range = tuple[float, float, float]
"""Estimate, lower and upper bound."""


def wilson(hits: int, trials: int) -> Range:
    """A share with its 95 % interval (Wilson's score interval); nothing tried: anything is possible."""
    if not trials:
        return 0.0, 0.0, 1.0
    square = NORMAL_95**2
    share = hits / trials
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = NORMAL_95 * sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return share, max(0.0, middle - half), min(1.0, middle + half)


class Saved(msgspec.Struct, array_like=True):
    """As it is kept."""

    events: dict[str, int]
    compared: int
    wrong: int
    saved_nano: int
    expected: float


@dataclass
class Counts:
    """``events``: by name, how often; amounts are nano-USD."""

    events: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    """Would-be hits (shadow mode) whose answers were compared."""
    wrong: int = 0
    saved_nano: int = 0
    expected: float = 0.0
    """Sum of the error of each hit or would-be hit, as its decision put it."""

    @property
    def hits(self) -> int:
        """Answers that were served, or would have been."""
        return self.events["serve"] + self.events["shadow"]

    def error_per_hit(self) -> Range:
        """Of the would-be hits, the share with a wrong answer."""
        return wilson(self.wrong, self.compared)

    def error_per_request(self) -> Range:
        """Of all that was asked, the share that was, or would have been, answered wrongly."""
        share = self.hits / self.events["find"] if self.events["find"] else 0.0
        estimate, lower, upper = self.error_per_hit()
        return estimate * share, lower * share, upper * share

    def expected_error(self) -> float:
        """Per hit, as the decisions put it."""
        return self.expected / self.hits if self.hits else 0.0

    def dump(self) -> bytes:
        """For :func:`load`."""
        return msgspec.msgpack.encode(
            Saved(dict(self.events), self.compared, self.wrong, self.saved_nano, self.expected)
        )


def load(data: bytes | None) -> Counts:
    """What was dumped; what cannot be read counts for nothing."""
    if data is None:
        return Counts()
    try:
        saved = msgspec.msgpack.decode(data, type=Saved)
    except msgspec.MsgspecError:
        return Counts()
    return Counts(Counter(saved.events), saved.compared, saved.wrong, saved.saved_nano, saved.expected)
