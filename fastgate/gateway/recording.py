"""A stream on its way, kept aside so that it can be given again."""

from fastgate._core.events import EventScanner


class Recording:
    """Keeps what it hands to the scanner, up to so many bytes: events as the provider wrote them, usage stated."""

    def __init__(self, scanner: EventScanner, most: int) -> None:
        self._scanner = scanner
        self._room = most
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        """See Feeds."""
        self._room -= len(chunk)
        if self._room >= 0:
            self._pieces.append(chunk)
        else:
            self._pieces.clear()
        return self._scanner.feed(chunk)

    def finish(self) -> bytes:
        """See Feeds."""
        return self._scanner.finish()

    def events(self) -> bytes | None:
        """All of it; None where it was too long."""
        return b"".join(self._pieces) if self._room >= 0 else None
