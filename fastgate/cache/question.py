"""A question that is asked, and what is kept of its answer."""

from typing import Final, NamedTuple

WHOLE: Final = 0
STREAM: Final = 1
"""Kinds of answers that are kept: a body, or all events of a stream with its usage stated."""


class Question(NamedTuple):
    """What a request asks, and how long its answer may be kept."""

    key: bytes
    """A hash of the fingerprint."""
    fingerprint: bytes
    tenant: bytes
    ttl_ms: int
    """0: its answer is not to be kept."""
    provider: str
    model: str
    """Who is asked: who is asked instead, where a budget has no room for it, gives another answer."""


def packed(cost: int) -> bytes:
    """What an answer cost, as it is kept with it; nano-USD."""
    return cost.to_bytes(8, "little")


def unpacked(usage: bytes) -> int:
    """The other way."""
    return int.from_bytes(usage, "little")
