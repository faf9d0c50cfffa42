"""A question that is asked, and what is kept of its answer."""

from typing import Final, NamedTuple

WHOLE: Final = 0
STREAM: Final = 1
UNSTATED: Final = 2
"""Kinds of answers that are kept: a body, all events of a stream, or of one whose client did not want its usage."""


class Question(NamedTuple):
    """What a request asks, and how long its answer may be kept."""

    key: bytes
    """A hash of the fingerprint; empty: the exact cache has nothing to do with it."""
    fingerprint: bytes
    tenant: bytes
    ttl_ms: int
    """0: its answer is not to be kept."""
    provider: str
    model: str
    """Who is asked: who is asked instead, where a budget has no room for it, gives another answer."""


def packed(cost: int, stated: bytes) -> bytes:
    """What an answer cost (nano-USD) and, of a stream that does not state it, its usage (JSON), as kept with it."""
    return cost.to_bytes(8, "little") + stated


def unpacked(usage: bytes) -> tuple[int, bytes]:
    """The other way."""
    return int.from_bytes(usage[:8], "little"), usage[8:]
