"""Server-sent events of a whole stream, for conversions; what passes by is metered by ``fastgate._core.events``."""

from collections.abc import Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """One event that has data."""

    name: bytes
    """Empty where it has none."""
    data: bytes


def split(stream: bytes) -> Iterator[Event]:
    """The events with data, in order. What no blank line ends is no event, as in the standard."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *blocks, _ = text.split(b"\n\n")
    for block in blocks:
        name, lines = b"", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                lines.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        if data := b"\n".join(lines):
            yield Event(name, data)


def event(data: bytes, name: str = "") -> bytes:
    """An event as it goes over the wire; ``data`` has no line breaks."""
    head = b"event: %b\n" % name.encode() if name else b""
    return b"%bdata: %b\n\n" % (head, data)
