"""Answers that a provider compressed although nobody asked it to."""

import zlib
from typing import Final, Protocol

from fastgate._core.upstream_errors import ProtocolError

_KNOWN: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
MOST: Final = 64 << 20
"""Bytes that one answer may inflate to where it is kept whole."""
_STEP: Final = 256 << 10


class Feeds(Protocol):
    """Takes an answer piece by piece and gives back what goes on to the client."""

    def feed(self, chunk: bytes) -> bytes:
        """The next piece."""

    def finish(self) -> bytes:
        """What is left at the end."""


class Inflater:
    """Undoes one content coding; one that is not known raises ProtocolError with the first byte."""

    def __init__(self, encoding: bytes) -> None:
        self._encoding = encoding
        self._engine = zlib.decompressobj(zlib.MAX_WBITS | 32)

    @staticmethod
    def of(encoding: bytes | None) -> "Inflater | Identity":
        """For the value of ``content-encoding``."""
        return IDENTITY if encoding is None or encoding == b"identity" else Inflater(encoding.lower())

    def all(self, body: bytes) -> bytes:
        """A whole body. Raises ProtocolError where it is not what it says, or too long."""
        inflated = self._inflate(body, MOST)
        if not self._engine.eof:
            raise self._bad(f"is cut short or inflates to more than {MOST} bytes")
        return inflated

    def before(self, meter: Feeds) -> Feeds:
        """The two in a row."""
        return _Inflated(self, meter)

    def pieces(self, chunk: bytes) -> list[bytes]:
        """What a piece of a body inflates to, in pieces of bounded size."""
        pieces = [self._inflate(chunk, _STEP)]
        while self._engine.unconsumed_tail:
            pieces.append(self._inflate(self._engine.unconsumed_tail, _STEP))
        return pieces

    def _inflate(self, data: bytes, limit: int) -> bytes:
        if self._encoding not in _KNOWN:
            raise self._bad("was not asked for and is not known here")
        try:
            return self._engine.decompress(data, limit)
        except zlib.error as error:
            raise self._bad(f"is damaged: {error}") from error

    def _bad(self, why: str) -> ProtocolError:
        return ProtocolError(
            f"the answer's content-encoding {self._encoding.decode('latin-1')!r} {why}", sent=True, answered=True
        )


class Identity:
    """No coding."""

    def all(self, body: bytes) -> bytes:
        """The body itself."""
        return body

    def before(self, meter: Feeds) -> Feeds:
        """The meter itself."""
        return meter


IDENTITY: Final = Identity()


class _Inflated:
    def __init__(self, inflater: Inflater, meter: Feeds) -> None:
        self._inflater = inflater
        self._meter = meter

    def feed(self, chunk: bytes) -> bytes:
        return b"".join([self._meter.feed(piece) for piece in self._inflater.pieces(chunk)])

    def finish(self) -> bytes:
        return self._meter.finish()
