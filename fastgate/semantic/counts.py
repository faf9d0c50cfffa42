"""What was decided and how right it was: counters that outlive the process, and the intervals that follow from them."""

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

import msgspec

from fastgate.wire.semantic import Found
from fastgate.wire.semantic_entries import Range, TenantReport

NORMAL_95: Final = 1.959963984540054
"""The two-sided 95 % quantile of the normal distribution."""
WOULD_BE: Final = ("serve", "shadow", "audit")
"""Verdicts on questions that an entry's answer is, or but for chance or shadow mode would be, served to."""
MEASURED: Final = ("shadow", "audit")
"""Those of them whose answers are compared."""


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
    would_save_nano: int = 0
    since_ms: int = 0
    used_ms: int = 0
    sharers: str = ""


@dataclass
class Counts:
    """``events``: by name, how often; amounts are nano-USD."""

    events: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    """Would-be hits whose answers were compared: those of shadow mode, and those that chance sent to the provider."""
    wrong: int = 0
    saved_nano: int = 0
    expected: float = 0.0
    would_save_nano: int = 0
    """In shadow mode."""
    since_ms: int = 0
    used_ms: int = 0
    sharers: str = ""
    """Sum of the error of each hit or would-be hit, as its decision put it."""

    @property
    def hits(self) -> int:
        """Answers that were served, or would have been."""
        return self.events["serve"] + self.events["shadow"]

    def decide(self, found: Found, now_ms: int) -> None:
        """One question was decided."""
        self.since_ms, self.used_ms = self.since_ms or now_ms, now_ms
        self.events["find"] += 1
        self.events[found.verdict] += 1
        if found.verdict in WOULD_BE:
            self.expected += found.error

    def compare(self, verdict: str, same: bool, cost_nano: int) -> None:
        """A provider's answer was compared with an entry's; ``cost_nano``: what it cost."""
        self.events["compared"] += 1
        if verdict in MEASURED:
            self.compared += 1
            self.wrong += not same
        if verdict == "shadow":
            self.would_save_nano += cost_nano

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
        hits = sum(self.events[verdict] for verdict in WOULD_BE)
        return self.expected / hits if hits else 0.0

    def report(self, tenant: bytes) -> TenantReport:
        """As a tenant's."""
        return TenantReport(
            tenant, self.sharers, self.since_ms, dict(self.events), self.compared, self.wrong, self.error_per_hit(),
            self.error_per_request(), self.saved_nano, self.would_save_nano, self.expected_error(),
        )  # fmt: skip

    def dump(self) -> bytes:
        """For :func:`load`."""
        return msgspec.msgpack.encode(
            Saved(
                dict(self.events), self.compared, self.wrong, self.saved_nano, self.expected, self.would_save_nano,
                self.since_ms, self.used_ms, self.sharers,
            )
        )  # fmt: skip


def load(data: bytes | None) -> Counts:
    """What was dumped; what cannot be read counts for nothing."""
    if data is None:
        return Counts()
    try:
        saved = msgspec.msgpack.decode(data, type=Saved)
    except msgspec.MsgspecError:
        return Counts()
    return Counts(**{**msgspec.structs.asdict(saved), "events": Counter(saved.events)})
