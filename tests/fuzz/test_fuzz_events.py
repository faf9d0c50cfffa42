"""Streams: what the scanner finds equals the plain reference, wherever the chunks are split."""

import random

from fastgate._core.events import EventScanner
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.openai_chat import OPENAI_CHAT, RULES
from tests.fuzz import reference
from tests.fuzz.harness import TARGETS, main, run, target

CHAT = [
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"x","content":"h\\u00e9"}}],"usage":null}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}], "usage" : null}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5},"service_tier":"flex"}\n\ndata: [DONE]\n\n',
    b': comment\r\n\r\nevent: x\r\ndata: {"choices":[{"delta":{"content":"a"}}],\r\ndata: "usage":null}\r\n\r\n',
    b'\xef\xbb\xbfdata:{"error":{"message":"no"}}\r\rid: 7\rdata\rretry: 1\r\r',
]
ANTHROPIC_STREAM = [
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"c","usage":{"input_tokens":9}}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end"},"usage":{"output_tokens":2}}'
    b'\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
]
TOKENS = [b"data:", b"data: ", b"\n\n", b"\r\n\r\n", b"\r\r", b"[DONE]", b'"usage":null', b'"usage":{}',
          b'"choices":[]', b",", b"}", b'"', b"\\", b": x\n", b"event: y\n"]  # fmt: skip


def scanned(scanner: EventScanner, stream: bytes, rng: random.Random) -> bytes:
    """What the scanner gives out for the stream in random chunks."""
    out, at = b"", 0
    while at < len(stream):
        size = rng.choice((1, 2, 7, 64, 1 << 16))
        out += scanner.feed(stream[at : at + size])
        at += size
    return out + scanner.finish()


@target("chat stream", seeds=CHAT, tokens=TOKENS)
def check_chat(stream: bytes) -> None:
    rng = random.Random(len(stream))
    scanner = EventScanner(OPENAI_CHAT.table)
    assert scanned(scanner, stream, rng) == stream
    expected = reference.Meter(RULES).run(stream)
    assert (scanner.events, scanner.output_bytes, scanner.malformed) == (
        expected.events, expected.output_bytes, expected.malformed,
    )  # fmt: skip
    assert (scanner.done, scanner.failed, scanner.overflow) == (expected.done, expected.failed, False)
    assert {action: reference.decode(raw) for action, raw in scanner.captures.items()} == expected.captures
    assert (scanner.reported, scanner.opened, scanner.closed) == (expected.reported, expected.opened, expected.closed)
    assert scanned(EventScanner(OPENAI_CHAT.table, whole=True), stream, rng) == stream
    whole, split = EventScanner(OPENAI_CHAT.table, True), EventScanner(OPENAI_CHAT.table, True)
    given = whole.feed(stream) + whole.finish()
    assert scanned(split, stream, rng) == given
    assert whole.captures == split.captures == scanner.captures
    OPENAI_CHAT.usage_of_stream(scanner.captures)


@target(
    "messages stream", seeds=ANTHROPIC_STREAM, tokens=[*TOKENS, b'"iterations":[{}]', b'"usage":{"input_tokens":-1}']
)
def check_messages(stream: bytes) -> None:
    whole, split = EventScanner(ANTHROPIC.table), EventScanner(ANTHROPIC.table)
    assert whole.feed(stream) is stream
    assert whole.finish() == b""
    scanned(split, stream, random.Random(len(stream)))
    assert scanned(EventScanner(ANTHROPIC.table, whole=True), stream, random.Random(1)) == stream
    assert whole.captures == split.captures
    assert (whole.output_bytes, whole.done, whole.events) == (split.output_bytes, split.done, split.events)
    assert (whole.reported, whole.opened, whole.closed) == (split.reported, split.opened, split.closed)
    ANTHROPIC.usage_of_stream(whole.captures)


def test_chat_streams_for_a_short_while() -> None:
    assert run(TARGETS["chat stream"], seed=1, rounds=2000) == 2000


def test_messages_streams_for_a_short_while() -> None:
    assert run(TARGETS["messages stream"], seed=1, rounds=2000) == 2000


if __name__ == "__main__":
    main(["chat stream", "messages stream"])
