"""Any stream, split anywhere: the scanner finds and gives out what the plain reference does."""

import json
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastgate._core.events import EventScanner
from fastgate.dialects.openai_chat import OPENAI_CHAT, RULES
from tests.fuzz import reference

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
TEXTS = st.text(max_size=12) | st.text(alphabet='ab"\\\né😀', max_size=12)
USAGES = st.none() | st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 99), "completion_tokens": st.integers(0, 99)}
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": TEXTS | st.none(),
        "reasoning": TEXTS,
        "tool_calls": st.lists(
            st.fixed_dictionaries({"function": st.fixed_dictionaries({"arguments": TEXTS})}), max_size=2
        ),
        "other": TEXTS,
    },
)
CHOICES = st.lists(
    st.fixed_dictionaries(
        {"delta": DELTAS},
        optional={
            "index": st.integers(0, 70) | st.sampled_from([None, -1, 1.5, "0", 10**18]),
            "finish_reason": st.none() | st.just("stop"),
            "usage": USAGES,
        },
    ),
    max_size=2,
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS,
        "choices": CHOICES,
        "usage": USAGES,
        "service_tier": st.none() | st.just("flex"),
        "x_groq": st.fixed_dictionaries({}, optional={"usage": USAGES}),
        "error": st.none() | st.just({"message": "no"}),
    },
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """The data of one event."""
    event = draw(EVENTS)
    members = draw(st.permutations(list(event.items())))
    spaced: Any = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", "\t: ")]))
    return json.dumps(dict(members), ensure_ascii=draw(st.booleans()), separators=spaced).encode()


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """One event as it may come over the wire."""
    end = draw(ENDS)
    data = draw(documents() | st.just(b"[DONE]") | st.binary(max_size=6) | st.just(b"{"))
    lines = [b"data:" + draw(st.sampled_from([b"", b" "])) + line for line in data.split(b"\n")]
    for other in draw(st.lists(st.sampled_from([b": comment", b"event: x", b"id: 7", b"data", b"dat: 1"]), max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), other)
    return b"".join(line + end for line in lines) + end * draw(st.integers(1, 2))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    start = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    stream = start + b"".join(draw(st.lists(events(), max_size=4)))
    return stream[: len(stream) - draw(st.sampled_from([0, 0, 0, 1, 2, 5]))]


def pieces(draw: st.DataObject, stream: bytes) -> list[bytes]:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def compare(scanner: EventScanner, expected: reference.Meter) -> None:
    assert scanner.events == expected.events
    assert scanner.output_bytes == expected.output_bytes
    assert scanner.malformed == expected.malformed
    assert (scanner.reported, scanner.opened, scanner.closed) == (expected.reported, expected.opened, expected.closed)
    assert (scanner.done, scanner.failed, scanner.overflow) == (expected.done, expected.failed, False)
    assert {action: reference.decode(raw) for action, raw in scanner.captures.items()} == expected.captures


@given(streams(), st.data())
def test_metering_is_the_references_and_bytes_pass_unchanged(stream: bytes, data: st.DataObject) -> None:
    scanner = EventScanner(OPENAI_CHAT.table)
    for piece in pieces(data, stream):
        assert scanner.feed(piece) is piece
    assert scanner.finish() == b""
    compare(scanner, reference.Meter(RULES).run(stream))


@given(streams(), st.data())
def test_whole_events_are_given_out(stream: bytes, data: st.DataObject) -> None:
    scanner = EventScanner(OPENAI_CHAT.table, whole=True)
    out = b""
    given = set(accumulate(reference.split_events(stream), initial=b""))
    for piece in pieces(data, stream):
        out += scanner.feed(piece)
        assert out in given or out + b"\n" in given  # a line feed may follow in the next piece
    assert out + scanner.finish() == stream
    compare(scanner, reference.Meter(RULES).run(stream))


@given(streams(), st.data(), st.integers(0, 60), st.integers(0, 60))
def test_it_says_when_enough_has_come(stream: bytes, data: st.DataObject, size: int, tokens: int) -> None:
    scanner = EventScanner(OPENAI_CHAT.table)
    scanner.watch(size, tokens)
    for piece in [b"", *pieces(data, stream)]:
        scanner.feed(piece)
        assert scanner.due == (scanner.output_bytes >= size or scanner.reported >= tokens)


@given(streams(), st.data())
def test_stripping_is_the_references(stream: bytes, data: st.DataObject) -> None:
    expected = reference.Meter(RULES, strip="usage", only="choices").run(stream)
    scanner = EventScanner(OPENAI_CHAT.table, True)
    out = b"".join(scanner.feed(piece) for piece in pieces(data, stream)) + scanner.finish()
    assert out == expected.out
    compare(scanner, expected)


@given(st.lists(documents(), min_size=1, max_size=3), ENDS)
def test_every_split_of_a_stream(bodies: list[bytes], end: bytes) -> None:
    stream = b"".join(b"data: " + body.replace(b"\n", b" ") + end + end for body in bodies)
    expected = reference.Meter(RULES, strip="usage", only="choices").run(stream)
    for at in range(len(stream) + 1):
        scanner = EventScanner(OPENAI_CHAT.table, True)
        assert scanner.feed(stream[:at]) + scanner.feed(stream[at:]) + scanner.finish() == expected.out
        compare(scanner, expected)
