"""Server-sent events: a stream is metered as it passes, in chunks that are split anywhere."""

from collections.abc import Iterable
from typing import Final

OUTPUT: Final = 0
DONE: Final = 1
ERROR: Final = 2
FIRST_CAPTURE: Final = 3
MAX_EVENT: Final = 1048576

class EventTable:
    """Rules ``(path, action)``; ``OUTPUT`` adds up string lengths, all others keep the last value that is not null."""

    def __init__(
        self, rules: Iterable[tuple[str, int]], *, strip: str | None = None, only: str | None = None
    ) -> None: ...

class EventScanner:
    """Meters one stream. With ``strip_usage`` only whole events are given out, without what the table strips."""

    events: int
    """Events with data, ``[DONE]`` included."""
    output_bytes: int
    """UTF-8 bytes of all output, unescaped."""
    malformed: int
    """Events whose data was not JSON; they are passed on unread."""
    done: bool
    """The stream said that it is complete."""
    failed: bool
    """An error event came."""
    overflow: bool
    """An event was larger than ``MAX_EVENT``; it was passed on unread."""
    def __init__(self, table: EventTable, strip_usage: bool = False) -> None: ...
    @property
    def captures(self) -> dict[int, bytes]:
        """The last value, as JSON text, by action."""
    def feed(self, chunk: bytes) -> bytes:
        """Takes the next bytes; returns what to pass on now, the chunk itself where nothing is taken out."""
    def finish(self) -> bytes:
        """Ends the stream; returns what is left to pass on."""
