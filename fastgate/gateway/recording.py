"""A stream on its way, kept aside so that it can be given again."""

from fastgate._core.events import EventScanner


class Recording:
    """Keeps what the scanner gives out, up to so many bytes: events as the client gets them."""

    def __init__(self, scanner: EventScanner, most: int) -> None:
        self._scanner = scanner
        self._room = most
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        """See Feeds."""
        return self._kept(self._scanner.feed(chunk))

    def finish(self) -> bytes:
        """See Feeds."""
        return self._kept(self._scanner.finish())

    def _kept(self, given: bytes) -> bytes:
        self._room -= len(given)
        if self._room >= 0:
            self._pieces.append(given)
        else:
            self._pieces.clear()
        return given

    def events(self) -> bytes | None:
        """All of it; None where it was too long."""
        return b"".join(self._pieces) if self._room >= 0 else None
