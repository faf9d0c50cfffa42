"""What workers and the control process tell each other of limits that hosts share.

A request lacks so much of a window: one datagram each, on a Unix socket beside the arena. What is not heard is said
again by the next request that lacks.
"""

from enum import IntEnum
from typing import Final

import msgspec

from fastgate.wire.snapshot import BudgetRecord, LimitRecord

SOCKET: Final = "leases.sock"
LONGEST: Final = 4096
"""Bytes of a datagram."""


class StoreState(IntEnum):
    """How it stands with the store that hosts share limits by, as a host's workers are told."""

    GRANTS = 0
    AWAY = 1
    """It does not answer."""
    LEARNS = 2
    """It grants nothing until it knows again what hosts have."""
    REFUSES = 3
    """Another host goes by this one's name."""


class Withheld(IntEnum):
    """Why a host cannot have what is left of a limit: as a ``StoreState`` where that is it."""

    LEASED = StoreState.GRANTS
    """Other hosts have it."""
    AWAY = StoreState.AWAY
    LEARNS = StoreState.LEARNS
    REFUSES = StoreState.REFUSES
    STRANDED = 4
    """Hosts that are gone for good had it."""


class Want(msgspec.Struct, array_like=True, frozen=True):
    """``missing``: what the request would take of ``window`` (its number), which is counted in ``cell``."""

    cell: int
    window: int
    missing: int
    budget: BudgetRecord | None = None
    limit: LimitRecord | None = None
    """What is written of it, one of the two."""

    @property
    def record(self) -> BudgetRecord | LimitRecord:
        """Raises ValueError where it bears neither, or both."""
        if (self.budget is None) == (self.limit is None):
            raise ValueError("a want is of one budget or of one limit")
        record = self.limit if self.budget is None else self.budget
        assert record is not None
        return record


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Want).decode


def prefix_of(cluster: str) -> str:
    """Of all keys in Redis that hosts of ``cluster`` lease by: one slot of a Redis Cluster."""
    return f"fastgate:{{{cluster}}}:lease:"


def encoded(cell: int, window: int, missing: int, record: BudgetRecord | LimitRecord) -> bytes:
    """As one datagram."""
    if isinstance(record, BudgetRecord):
        return _encode(Want(cell, window, missing, budget=record))
    return _encode(Want(cell, window, missing, limit=record))


def want_of(datagram: bytes) -> Want:
    """The inverse. Raises ValueError."""
    want = _decode(datagram)
    if want.record is None or want.missing < 0 or want.cell < 0 or want.window < 0:
        raise ValueError("a want is not negative")
    return want
