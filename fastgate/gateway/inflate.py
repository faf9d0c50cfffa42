"""Answers that a provider compressed although nobody asked it to."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from fastgate._core.upstream_errors import ProtocolError

_KNOWN: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
MOST: Final = 16 << 20
"""Bytes that one answer may inflate to where it is kept whole."""
_MOST_MEMBERS: Final = 1000
_STEP: Final = 256 << 10


class Members:
    """gzip or deflate, undone piece by piece through all members that follow each other. Raises zlib.error."""

    __slots__ = ("_count", "_engine")

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._count = 1

    @property
    def whole(self) -> bool:
        """Whether what came so far ends a member."""
        return self._engine.eof

    def inflate(self, data: bytes, most: int) -> tuple[bytes, bytes]:
        """At most ``most`` bytes, and what of ``data`` is left for another call."""
        parts: list[bytes] = []
        while data and most > 0:
            if self._engine.eof:
                self._next()
            part = self._engine.decompress(data, most)
            parts.append(part)
            most -= len(part)
            data = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
        return b"".join(parts), data

    def inflate_all(self, data: bytes, most: int) -> bytes | None:
        """A whole body; None where it inflates to more than ``most`` bytes."""
        parts: list[bytes] = []
        for at in range(0, len(data), _STEP):  # small steps, since what follows a member is copied
            rest = data[at : at + _STEP]
            while rest:
                part, rest = self.inflate(rest, most + 1)
                parts.append(part)
                most -= len(part)
                if most < 0:
                    return None
        return b"".join(parts)

    def _next(self) -> None:
        self._count += 1
        if self._count > _MOST_MEMBERS:
            raise zlib.error(f"more than {_MOST_MEMBERS} members")
        self._engine = zlib.decompressobj(zlib.MAX_WBITS | 32)


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
        self._members = Members()

    @staticmethod
    def of(encoding: bytes | None) -> "Inflater | Identity":
        """For the value of ``content-encoding``."""
        return IDENTITY if encoding is None or encoding == b"identity" else Inflater(encoding.lower())

    def all(self, body: bytes) -> bytes:
        """A whole body. Raises ProtocolError where it is not what it says, or too long."""
        with self._told():
            inflated = self._members.inflate_all(body, MOST)
        if inflated is None or not self._members.whole:
            raise self._bad("is cut short" if inflated is not None else f"inflates to more than {MOST} bytes")
        return inflated

    def before(self, meter: Feeds) -> Feeds:
        """The two in a row."""
        return _Inflated(self, meter)

    def pieces(self, chunk: bytes) -> list[bytes]:
        """What a piece of a body inflates to, in pieces of bounded size."""
        pieces: list[bytes] = []
        with self._told():
            while chunk:
                piece, chunk = self._members.inflate(chunk, _STEP)
                pieces.append(piece)
        return pieces

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self._encoding not in _KNOWN:
            raise self._bad("was not asked for and is not known here")
        try:
            yield
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
