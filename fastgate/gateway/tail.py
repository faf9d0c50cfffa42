"""The end of an answer that is too long to be kept: usage is its last member in every API that answers so much."""

from typing import Final

from fastgate._core.body import BodyError, scan
from fastgate.dialects.base import Charge, Dialect

KEPT: Final = 64 << 10
_USAGE: Final = b'"usage"'


class TailMeter:
    """Passes everything on, counts it, and keeps the last bytes."""

    __slots__ = ("_tail", "size")

    def __init__(self) -> None:
        self.size = 0
        self._tail = b""

    def feed(self, chunk: bytes) -> bytes:
        """The chunk itself."""
        self.size += len(chunk)
        self._tail = chunk[-KEPT:] if len(chunk) >= KEPT else (self._tail + chunk)[-KEPT:]
        return chunk

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""

    def charges(self, dialect: Dialect) -> list[Charge] | None:
        """What the usage object at the end reports; None where there is none."""
        at = self._tail.rfind(_USAGE)
        if at < 0:
            return None
        try:
            return dialect.charges_of_answer(scan(b"{" + self._tail[at:], dialect.answer_fields))
        except BodyError:
            return None
