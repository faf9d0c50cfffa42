"""Server-sent events: a stream is metered as it passes, in chunks that are split anywhere."""

from collections.abc import Iterable
from typing import Final

OUTPUT: Final = 0
DONE: Final = 1
ERROR: Final = 2
TOKENS: Final = 3
PART: Final = 4
OPENS: Final = 5
CLOSES: Final = 6
FIRST_CAPTURE: Final = 7
MAX_EVENT: Final = 1048576

class EventTable:
    """Rules ``(path, action)``; ``OUTPUT`` adds up string lengths, captures keep the last value that is not null."""

    def __init__(
        self, rules: Iterable[tuple[str, int]], *, strip: str | None = None, only: str | None = None
    ) -> None: ...

class EventScanner:
    """Meters one stream. ``whole``: only whole events are given out; ``strip_usage``: so, without what is stripped."""

    events: int
    """Events with data, ``[DONE]`` included."""
    output_bytes: int
    """UTF-8 bytes of all output, unescaped."""
    reported: int
    """The most tokens of output that an event reported so far."""
    opened: int
    """Parts of the answer (blocks, choices) that began, bit by bit, the first 64 of them."""
    closed: int
    """Parts that ended."""
    malformed: int
    """Events whose data was not JSON; they are passed on unread."""
    done: bool
    """The stream said that it is complete."""
    failed: bool
    """An error event came."""
    overflow: bool
    """An event was larger than ``MAX_EVENT``; it was passed on unread."""
    due: bool
    """What ``watch`` was told to wait for has come."""
    def __init__(self, table: EventTable, strip_usage: bool = False, whole: bool = False) -> None: ...
    def watch(self, output_bytes: int, tokens: int) -> None:
        """``due`` from the event on with which there are so many bytes of output, or so many tokens reported of it."""
    @property
    def captures(self) -> dict[int, bytes]:
        """The last value, as JSON text, by action."""
    def feed(self, chunk: bytes) -> bytes:
        """Takes the next bytes; returns what to pass on now, the chunk itself where nothing is taken out."""
    def finish(self) -> bytes:
        """Ends the stream; returns what is left to pass on."""
