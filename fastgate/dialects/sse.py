"""Server-sent events of a whole stream, for conversions; what passes by is metered by ``fastgate._core.events``."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_BLANK_LINES: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2,}")


class Event(NamedTuple):
    """One event that has data."""

    name: bytes
    """Empty where it has none."""
    data: bytes


def split(stream: bytes) -> Iterator[Event]:
    """The events with data, in order. What no blank line ends is no event, as in the standard."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *whole, _ = text.split(b"\n\n")
    for block in whole:
        name, lines = b"", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                lines.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        if data := b"\n".join(lines):
            yield Event(name, data)


def blocks(stream: bytes) -> Iterator[bytes]:
    """The bytes of a stream as they are, cut behind blank lines: each event, comments and the rest included."""
    start = 0
    for blank in _BLANK_LINES.finditer(stream):
        yield stream[start : blank.end()]
        start = blank.end()
    if start < len(stream):
        yield stream[start:]


def event(data: bytes, name: str = "") -> bytes:
    """An event as it goes over the wire; ``data`` has no line breaks."""
    head = b"event: %b\n" % name.encode() if name else b""
    return b"%bdata: %b\n\n" % (head, data)
