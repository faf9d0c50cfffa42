"""What is said of the semantic cache's entries between its process and who asks about them."""

from typing import Annotated

import msgspec
from msgspec import Meta

Hash = Annotated[bytes, Meta(min_length=16, max_length=16)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Range = tuple[float, float, float]
"""A share, its lower and its upper bound (95 %)."""
Conditions = Annotated[
    tuple[tuple[str, Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]], ...], Meta(max_length=64)
]


class Wanted(msgspec.Struct, array_like=True, frozen=True):
    """Entries of which all this holds; nothing: all that have not expired."""

    said: Conditions = ()
    """Names of what is said in ``about`` (``key``, ``team``, ..., ``tag:<name>``), each with its alternatives."""
    from_ms: Number = 0
    """Kept at this moment or later."""
    until_ms: Number | None = None
    """Kept before this one."""
    tenant: Hash | None = None


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One entry, as :class:`Entries` shows it; ``about`` is JSON."""

    id: int
    partition: bytes
    tenant: bytes
    text: str
    about: bytes
    created_ms: int
    expires_ms: int
    used_ms: int
    hits: int
    compared: int
    same: int
    kind: int = 0
    cost_nano: int = 0
    """What each hit saves, nano-USD."""
    size: int = 0
    """Bytes of the answer and the question."""


class TenantReport(msgspec.Struct, array_like=True, frozen=True):
    """What was decided for one tenant, as :class:`~fastgate.wire.semantic.Reported` has it for all."""

    tenant: bytes
    sharers: str
    """Its name; empty: no answer was kept for it yet."""
    since_ms: int
    counts: dict[str, int]
    compared: int
    wrong: int
    error_per_hit: Range
    error_per_request: Range
    saved_nano: int
    would_save_nano: int
    expected_error: float


def entry_id(number: int) -> str:
    """An entry's id as answers, rows and the API have it: 16 hexadecimal digits."""
    return f"{number:016x}"
