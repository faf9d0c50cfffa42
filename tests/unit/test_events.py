"""The event scanner: line ends, chunks, metering, stripping and bounds."""

import pytest

from fastgate._core.events import DONE, ERROR, FIRST_CAPTURE, MAX_EVENT, OUTPUT, EventScanner, EventTable

USAGE, FINISH = FIRST_CAPTURE, FIRST_CAPTURE + 1
RULES = [
    ("usage", USAGE),
    ("choices.*.finish_reason", FINISH),
    ("choices.*.delta.content", OUTPUT),
    ("error", ERROR),
    ('type="stop"', DONE),
]
TABLE = EventTable(RULES, strip="usage", only="choices")
TEXT = b'data: {"choices":[{"delta":{"content":"h\\u00e9llo"}}]}\n\n'
NULL = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"usage":null}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
END = b"data: [DONE]\n\n"


def strip(stream: bytes) -> bytes:
    scanner = EventScanner(TABLE, True)
    return scanner.feed(stream) + scanner.finish()


def test_a_stream_is_metered() -> None:
    scanner = EventScanner(TABLE)
    for chunk in (TEXT, NULL, LAST, END):
        assert scanner.feed(chunk) is chunk
    assert scanner.finish() == b""
    assert (scanner.events, scanner.output_bytes, scanner.done, scanner.failed) == (4, 7, True, False)
    assert scanner.captures == {USAGE: b'{"prompt_tokens":1}', FINISH: b'"stop"'}


def test_null_never_replaces_a_value() -> None:
    scanner = EventScanner(TABLE)
    scanner.feed(LAST + NULL)
    assert scanner.captures[USAGE] == b'{"prompt_tokens":1}'


def test_a_condition_and_an_error_are_seen() -> None:
    scanner = EventScanner(TABLE)
    scanner.feed(b'data: {"type":"stopped","error":null}\n\n')
    assert (scanner.done, scanner.failed, scanner.captures) == (False, False, {})
    scanner.feed(b'data: {"type":"stop"}\n\ndata: {"error":{"message":"no"}}\n\n')
    assert (scanner.done, scanner.failed) == (True, True)
    assert scanner.captures[ERROR] == b'{"message":"no"}'


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("stripping", [False, True])
def test_every_split_gives_the_same(end: bytes, stripping: bool) -> None:
    stream = (b": hi\n\nevent: x\n" + TEXT + NULL + LAST + b"data: {\ndata:}\n\ndata\n\n" + END).replace(b"\n", end)
    whole = EventScanner(TABLE, stripping)
    expected = whole.feed(stream) + whole.finish()
    for at in range(len(stream) + 1):
        scanner = EventScanner(TABLE, stripping)
        assert scanner.feed(stream[:at]) + scanner.feed(stream[at:]) + scanner.finish() == expected
        assert (scanner.events, scanner.output_bytes, scanner.captures) == (5, 7, whole.captures)
    scanner = EventScanner(TABLE, stripping)
    assert b"".join(scanner.feed(stream[i : i + 1]) for i in range(len(stream))) + scanner.finish() == expected
    assert (scanner.events, scanner.malformed, scanner.done) == (5, 0, True)


def test_an_event_without_its_blank_line_counts_at_the_end() -> None:
    for cut in (1, 2):
        scanner = EventScanner(TABLE)
        scanner.feed(LAST[:-cut])
        assert scanner.captures == {}
        scanner.finish()
        assert scanner.captures == {USAGE: b'{"prompt_tokens":1}'}


def test_a_byte_order_mark_is_skipped_once() -> None:
    scanner = EventScanner(TABLE)
    scanner.feed(b"\xef\xbb\xbf" + TEXT + b"\xef\xbb\xbf" + TEXT)
    assert (scanner.events, scanner.output_bytes) == (1, 6)


@pytest.mark.parametrize("data", [b"{", b'{"choices":[{"delta":{"content":"x"}}]', b"hello", b'"\xff"', b"[" * 300])
def test_what_is_not_json_is_passed_on_unread(data: bytes) -> None:
    scanner = EventScanner(TABLE, True)
    event = b"data: " + data + b"\n\n"
    assert scanner.feed(event) is event
    assert (scanner.events, scanner.malformed, scanner.output_bytes, scanner.captures) == (1, 1, 0, {})


def test_comments_and_empty_data_are_no_events() -> None:
    scanner = EventScanner(TABLE, True)
    stream = b": keep-alive\n\n\n\ndata:\n\nevent: ping\n\ndata\n\n"
    assert scanner.feed(stream) is stream
    assert (scanner.events, scanner.malformed) == (0, 0)


def test_usage_that_only_the_gateway_asked_for_is_taken_out() -> None:
    assert strip(TEXT + NULL + LAST + END) == TEXT + NULL.replace(b',"usage":null', b"") + END


@pytest.mark.parametrize(
    ("member", "left"),
    [
        (b'{"usage":null}', b"{}"),
        (b'{ "usage" : null }', b"{  }"),
        (b'{"usage":null,"a":1}', b'{"a":1}'),
        (b'{"usage":null , "a":1}', b'{ "a":1}'),
        (b'{"a":1 , "usage":{"x":1} }', b'{"a":1  }'),
        (b'{"a":1,"usage":{"x":1},"b":2}', b'{"a":1,"b":2}'),
        (b'{"choices":[{}],"usage":{"x":1}}', b'{"choices":[{}]}'),
        (b'{"choices":[],"usage":null}', b'{"choices":[]}'),
        (b'{"a":{"usage":null}}', b'{"a":{"usage":null}}'),
    ],
)
def test_the_usage_member_goes_with_one_comma(member: bytes, left: bytes) -> None:
    assert strip(b"id: 1\ndata: " + member + b"\n\n") == b"id: 1\ndata: " + left + b"\n\n"


def test_the_usage_member_goes_out_of_several_data_lines() -> None:
    stream = b'data: {"a":1,\r\nid: 7\r\ndata: "usage":null,\r\ndata: "b":2}\r\n\r\n'
    assert strip(stream) == b'id: 7\ndata: {"a":1, "b":2}\n\n'
    assert strip(b'data: {"choices":[],\ndata: "usage":{}}\n\n' + TEXT) == TEXT


def test_stripping_gives_whole_events_only() -> None:
    scanner = EventScanner(TABLE, True)
    assert scanner.feed(TEXT + NULL[:20]) == TEXT
    assert scanner.feed(NULL[20:-1]) == b""
    assert scanner.feed(b"\n" + TEXT) == NULL.replace(b',"usage":null', b"") + TEXT
    assert scanner.feed(TEXT[:9]) == b""
    assert scanner.finish() == TEXT[:9]


def test_a_line_feed_shares_the_fate_of_its_event() -> None:
    last = LAST.replace(b"\n", b"\r\n")
    scanner = EventScanner(TABLE, True)
    assert scanner.feed(last[:-1]) == b""
    assert scanner.feed(b"\n") == b""
    text = TEXT.replace(b"\n", b"\r\n")
    assert scanner.feed(text[:-1]) == text[:-1]
    assert scanner.feed(b"\n") == b"\n"


def large(size: int) -> bytes:
    """An event with usage, of ``size`` bytes in all."""
    frame = b'data: {"choices":[],"x":"","usage":{}}\n\n'
    return frame.replace(b'""', b'"' + b"x" * (size - len(frame)) + b'"')


@pytest.mark.parametrize("piece", [1 << 14, MAX_EVENT - 1, MAX_EVENT, MAX_EVENT + 1, 1 << 22])
def test_events_are_bounded(piece: int) -> None:
    for size, over in ((MAX_EVENT, False), (MAX_EVENT + 1, True), (3 * MAX_EVENT, True)):
        stream = large(size) + LAST + TEXT
        for stripping in (False, True):
            scanner = EventScanner(TABLE, stripping)
            out = b"".join(scanner.feed(stream[i : i + piece]) for i in range(0, len(stream), piece)) + scanner.finish()
            assert scanner.overflow is over
            assert (scanner.events, scanner.output_bytes) == (2 if over else 3, 6)
            if not stripping:
                assert out == stream
            else:
                assert out == (large(size) if over else b"") + TEXT


def test_a_table_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="at most 62"):
        EventTable([(str(i), 3) for i in range(63)])
    with pytest.raises(ValueError, match="below 32"):
        EventTable([("a", 32)])
