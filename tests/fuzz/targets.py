"""The parsers and what must hold for each, whatever it is given.

A target is a function of the folder that it may use; it returns seeds and a function that raises where an invariant breaks.
Errors that a parser promises are part of its contract and caught here.
"""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from tests.fuzz.mutation import split

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """Seeds to start from, and what is done with each input."""

    seeds: tuple[bytes, ...]
    run: Callable[[bytes], None]


CHAT = (
    b'{"model":"sim/sim-small","messages":[{"role":"user","content":"hi \\u00e9\\ud83d\\ude00"}],"stream":true}',
    b'{"stream_options": {"include_usage": false}, "max_tokens": 5, "n":2, "model": "a", "tools":[{"type":"function"}]}',
    b'{ "model" : null , "max_completion_tokens" : 1e3, "a": [[[[{}]]]], "b": -0.5E-7 }',
)


def body(folder: Path) -> Target:
    """What the scanner accepts, a strict decoder accepts too and finds the same values; what it refuses, it may refuse."""
    from fastgate._core.body import BodyError, Fields, scan

    names = ["model", "stream", "max_tokens", "n", "stream_options.include_usage"]
    fields = Fields(names)
    kinds = {type(None): 1, float: 4, int: 4, str: 5, list: 6, dict: 7}
    refused = {"duplicate_name", "too_deep", "invalid_json", "invalid_utf8"}

    def run(data: bytes) -> None:
        try:
            found = scan(data, fields)
        except BodyError as error:
            assert error.code in refused
            assert 0 <= error.offset <= len(data)
            if error.code in {"invalid_json", "invalid_utf8"}:
                assert not strict(data), f"refused ({error.message} at {error.offset}) what is JSON"
            return
        decoded = json.loads(data.decode("utf-8"))
        if not isinstance(decoded, dict):
            return
        for number, name in enumerate(names[:4]):
            value = decoded.get(name, ...)
            kind = 0 if value is ... else {False: 2, True: 3}.get(value, 4) if isinstance(value, bool) else kinds[type(value)]
            assert found.kind(number) == kind, name
            if kind:
                start, end = found.span(number)
                assert json.loads(data[start:end]) == value

    return Target(CHAT, run)


def strict(data: bytes) -> bool:
    """Whether the bytes are JSON in UTF-8 by the grammar; Python's own decoder also takes NaN and Infinity."""

    def refuse(text: str) -> None:
        raise ValueError(text)

    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            return False
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    # A lone surrogate escape is allowed by the grammar and by Python, but names no text.
    return not any(0xD800 <= code < 0xE000 for code in map(ord, json.dumps(json.loads(text), ensure_ascii=False)))


STREAMS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello"}}],"usage":null}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\ndata: [DONE]\n\n',
    b'event: message_start\r\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\r\n\r\n'
    b'event: message_delta\r\ndata: {"type":"message_delta","usage":{"output_tokens":9}}\r\n\r\n'
    b'event: message_stop\r\ndata: {"type":"message_stop"}\r\n\r\n',
    b": comment\n\ndata: {\ndata: }\n\nid: 1\nretry: 5\ndata:x\n\ndata\n\n",
)


def events(folder: Path) -> Target:
    """Where the chunks are split changes neither what is passed on nor what is counted."""
    from fastgate._core.events import EventScanner
    from fastgate.dialects.anthropic import ANTHROPIC
    from fastgate.dialects.openai_chat import OPENAI_CHAT

    tables = [OPENAI_CHAT.table, ANTHROPIC.table]

    def outcome(table: object, strip: bool, pieces: list[bytes]) -> tuple[object, ...]:
        scanner = EventScanner(table, strip)  # type: ignore[arg-type]
        out = b"".join(map(scanner.feed, pieces)) + scanner.finish()
        counts = (scanner.events, scanner.output_bytes, scanner.malformed, scanner.done, scanner.failed, scanner.overflow)
        return out, counts, scanner.captures

    def run(data: bytes) -> None:
        pieces = split(data, random.Random(crc32(data)))
        for table in tables:
            assert outcome(table, False, pieces)[0] == data
            for strip in (False, True):
                assert outcome(table, strip, pieces) == outcome(table, strip, [data])

    return Target(STREAMS, run)


def snapshot(folder: Path) -> Target:
    """A snapshot that was altered is refused, or answers without reading beyond itself."""
    from fastgate._core.snapshot import CorruptSnapshot, Snapshot
    from fastgate.wire.snapshot import KeyRecord, SnapshotHead
    from fastgate.wire.snapshot_file import write_snapshot

    digests = [hashlib.sha256(bytes([number])).digest() for number in range(5)]
    path = folder / "snapshot.bin"
    write_snapshot(path, SnapshotHead(generation=1), [(digest, KeyRecord(id="k")) for digest in digests], b"")
    seed = path.read_bytes()

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            opened = Snapshot(path)
            opened.verify()
            for digest in [*digests, bytes(32)]:
                opened.find(digest)
            assert len(opened.head) + len(opened.prices) <= len(data)
        except CorruptSnapshot:
            return

    return Target((seed,), run)


def segment(folder: Path) -> Target:
    """A journal file that was altered is refused, or read without reading beyond itself."""
    from fastgate._core.journal import CorruptSegment, Draft, Journal, SegmentReader

    journal = Journal(str(folder), 3, segment_bytes=65_536)
    journal.prepare()
    draft = Draft(key="k", team="t", model="m", tags="a=b")
    for number in range(4):
        journal.log(draft, bytes([number] * 16), 1_700_000_000_000_000, 5, 402, 1, error="budget_exceeded")
    journal.close()
    path = next(iter(sorted(folder.glob("journal-*.seg"))))
    seed = path.read_bytes()[:16_384]

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            reader = SegmentReader(str(path))
            columns = reader.read(0, 1000)
            if columns is not None:
                assert len({len(column) for column in columns.values()}) == 1
        except (CorruptSegment, OSError):
            return

    return Target((seed,), run)


def prices(folder: Path) -> Target:
    """A price table that was altered is refused, or answers without reading beyond itself."""
    from fastgate._core.price import PriceTable, Usage
    from fastgate.pricing.table import build_table
    from fastgate.wire.prices import ModelPrice, PriceBand, PriceRow
    from fastgate.wire.usage import Bucket, Tier

    bands = (PriceBand(-1, (150_000_000,) * len(Bucket)), PriceBand(200_000, (300_000_000,) * len(Bucket)))
    row = PriceRow(tier=Tier.STANDARD, bands=bands)
    seed = build_table([ModelPrice(provider="sim", model=f"m{number}", rows=(row,)) for number in range(3)])
    usage = Usage(input=10, output=2)

    def run(data: bytes) -> None:
        try:
            table = PriceTable(data)
            for model in (0, 1, 2, len(table) - 1):
                table.cost(model, usage, 1_800_000_000_000_000_000)
                table.bound(model, 1000, 1000, 1_800_000_000_000_000_000)
        except (ValueError, KeyError, OverflowError):
            return

    return Target((bytes(seed),), run)


def configuration(folder: Path) -> Target:
    """A configuration is read or refused with problems that lie inside the file; nothing else ever leaves the reader."""
    from fastgate.config import ConfigErrors, load

    path = folder / "fastgate.yaml"
    environment = {"OPENAI_API_KEY": "sk-1", "KEY": "sk-fg-2"}
    golden = sorted((HERE.parent / "golden" / "check").glob("*.yaml"))

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            load(path, environment)
        except ConfigErrors as errors:
            assert errors.problems
            lines = data.count(b"\n") + data.count(b"\r") + 2
            for problem in errors.problems:
                assert problem.column >= 1
                # YAML also breaks lines at NEL, LS and PS.
                breaks = sum(map(data.count, (b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")))
                assert 1 <= problem.line <= lines + breaks or problem.file != str(path)

    return Target(tuple(one.read_bytes() for one in golden[:12]) or (b"keys: []\n",), run)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "body": body,
    "events": events,
    "snapshot": snapshot,
    "segment": segment,
    "prices": prices,
    "configuration": configuration,
}
