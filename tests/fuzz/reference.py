"""Slow and plain versions of the compiled parsers, to compare them with."""

import json
import re
from collections.abc import Iterator
from typing import Any


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its members in order, those that come twice included."""


class Number(str):
    """A number of JSON without fraction and exponent, as it was written."""


def reject(name: str) -> Any:
    raise ValueError(name)


def decode(data: bytes) -> Any:
    """Strict JSON: objects as ``Pairs``, numbers as text. Raises ValueError (RecursionError where far too deep)."""
    return json.loads(
        data.decode("utf-8"), object_pairs_hook=Pairs, parse_constant=reject, parse_int=Number, parse_float=str
    )


def depth(value: Any) -> int:
    """How deep brackets are nested."""
    deepest, level = 0, [value]
    while level := [item for item in level if isinstance(item, list)]:
        deepest += 1
        level = [child[1] if isinstance(item, Pairs) else child for item in level for child in item]
    return deepest


def valid(data: bytes) -> bool:
    """Whether ``data`` is strict JSON of at most 256 brackets deep."""
    try:
        return depth(decode(data)) <= 256
    except (ValueError, RecursionError):
        return False


def at(value: Any, path: str) -> Iterator[Any]:
    """All values at a path, in order."""
    if not path:
        yield value
        return
    head, _, rest = path.partition(".")
    if head == "*" and isinstance(value, list) and not isinstance(value, Pairs):
        for item in value:
            yield from at(item, rest)
    elif head != "*" and isinstance(value, Pairs):
        for name, item in value:
            if name == head:
                yield from at(item, rest)


def utf8_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def string_bytes(value: Any) -> int:
    """UTF-8 bytes of all strings and names. Numbers are text here, so this is for documents without any."""
    if isinstance(value, str):
        return utf8_length(value)
    if isinstance(value, Pairs):
        return sum(utf8_length(name) + string_bytes(item) for name, item in value)
    return sum(map(string_bytes, value)) if isinstance(value, list) else 0


def split_events(stream: bytes) -> list[bytes]:
    """The stream's events, each with the blank line that ends it; the last one may lack that."""
    events, current = [], b""
    for line in re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", stream):
        current += line
        if line in (b"\r\n", b"\r", b"\n"):
            events.append(current)
            current = b""
    return [*events, current] if current else events


def data_of(raw: bytes, first: bool) -> bytes | None:
    """The event's data, ``None`` where it has none."""
    if first:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    lines = re.split(rb"\r\n|\r|\n", raw)
    found = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(found) or None


class Meter:
    """What ``EventScanner`` should find in a whole stream."""

    def __init__(self, rules: list[tuple[str, int]], strip: str | None = None, only: str | None = None) -> None:
        self.rules, self.strip, self.only = rules, strip, only
        self.events = self.output_bytes = self.malformed = self.reported = self.opened = self.closed = 0
        self.done = self.failed = False
        self.captures: dict[int, Any] = {}
        self.out = b""

    def run(self, stream: bytes) -> "Meter":
        for i, raw in enumerate(split_events(stream)):
            self.out += self.event(raw, data_of(raw, i == 0))
        return self

    def event(self, raw: bytes, data: bytes | None) -> bytes:
        if data is None:
            return raw
        self.events += 1
        if data == b"[DONE]":
            self.done = True
        elif not valid(data):
            self.malformed += 1
        else:
            document = decode(data)
            self.apply(document)
            return self.stripped(raw, data, document)
        return raw

    def apply(self, document: Any) -> None:
        part, opens, closes = -1, False, False
        for name, action in self.rules:
            path, condition, wanted = name.partition("=")
            values = [v for v in at(document, path) if v is not None and (not condition or v == json.loads(wanted))]
            if action == 0:
                self.output_bytes += sum(utf8_length(v) for v in values if isinstance(v, str))
            elif values and action == 3:
                self.reported = max(self.reported, count(values[-1]))
            elif values and action == 4:
                part = count(values[-1])
            elif values and action in {5, 6}:
                opens, closes = opens or action == 5, closes or action == 6
            elif values:
                self.captures[action] = values[-1]
                self.done |= action == 1
                self.failed |= action == 2
        if 0 <= part < 64:
            self.opened |= opens << part
            self.closed |= closes << part

    def stripped(self, raw: bytes, data: bytes, document: Any) -> bytes:
        if self.strip is None or not isinstance(document, Pairs) or self.strip not in dict(document):
            return raw
        members = dict(document)
        only = members.get(self.only)
        if isinstance(members[self.strip], Pairs) and only == [] and not isinstance(only, Pairs):
            return b""
        text = without(data.decode(), self.strip).encode()
        if raw.count(data) == 1 and b"\n" not in data:
            return raw.replace(data, text)
        lines = [line for line in re.split(rb"\r\n|\r|\n", raw) if line and not line.startswith(b"data:")]
        return b"".join(line + b"\n" for line in lines) + b"data: " + text.replace(b"\n", b" ") + b"\n\n"


def count(value: Any) -> int:
    """A number without sign, fraction and exponent, as it was written; -1 for all else."""
    return int(value) if isinstance(value, Number) and value.isdigit() and len(value) <= 18 else -1


def without(text: str, name: str) -> str:
    """The text of an object without its member ``name`` (which is there once) and one comma beside it."""
    decoder, spaces = json.JSONDecoder(), re.compile(r"[ \t\r\n]*")

    def skip(at: int) -> int:
        return spaces.match(text, at).end()  # type: ignore[union-attr]

    at = skip(skip(0) + 1)
    comma = None
    while True:
        start = at
        key, at = decoder.raw_decode(text, at)
        _, end = decoder.raw_decode(text, skip(skip(at) + 1))
        after = skip(end)
        if key == name:
            if comma is not None:
                return text[:comma] + text[end:]
            return text[:start] + text[after + 1 if text[after] == "," else end :]
        comma = after
        at = skip(after + 1)
