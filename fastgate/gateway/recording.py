"""A stream on its way, kept aside so that it can be given again."""

from collections.abc import Callable
from typing import Final

from fastgate._core.events import EventScanner

MOST_BYTES: Final = 64 << 20
"""Of all recordings that a worker has open at once."""
_BESIDE: Final = 64
"""Bytes that a piece takes beside its own: a provider may send each byte by itself."""


class Room:
    """What recordings may still take, of all that are open."""

    __slots__ = ("left",)

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.left = most


class Recording:
    """Keeps what the scanner gives out, up to so many bytes: events as the client gets them.

    ``overflowed`` is called once, where it is too long (false) or the room is used up (true): nothing is kept of it
    from then on.
    """

    def __init__(self, scanner: EventScanner, most: int, room: Room, overflowed: Callable[[bool], None]) -> None:
        self._scanner = scanner
        self._left = most
        self._room = room
        self._taken = 0
        self._overflowed = overflowed
        self._pieces: list[bytes] | None = []

    def feed(self, chunk: bytes) -> bytes:
        """See Feeds."""
        return self._kept(self._scanner.feed(chunk))

    def finish(self) -> bytes:
        """See Feeds."""
        return self._kept(self._scanner.finish())

    def _kept(self, given: bytes) -> bytes:
        if self._pieces is not None and given:
            self._left -= len(given)
            self._taken += len(given) + _BESIDE
            self._room.left -= len(given) + _BESIDE
            crowded = self._room.left < 0
            if self._left < 0 or crowded:
                self.close()
                self._overflowed(crowded)
            else:
                self._pieces.append(given)
        return given

    def events(self) -> bytes | None:
        """All of it; None where it was too long, or there was no room for it."""
        return None if self._pieces is None else b"".join(self._pieces)

    def close(self) -> None:
        """Nothing is kept of it any more, and the room is given back."""
        self._room.left += self._taken
        self._taken, self._pieces = 0, None
