"""The load generator's reader of answers: what is right passes in any pieces, and each fault has its name."""

import pytest

from loadtest._answers import Expected

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"at":"@00000000000000000000"}\n\n'
TAIL = b"data: [DONE]\n\n"
HELLO = Expected(b"hello")
STREAM = Expected(TAIL, event=EVENT, stamp=14, count=2)


def chunked(*pieces: bytes) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def event(at: int) -> bytes:
    return EVENT.replace(b"0" * 20, b"%020d" % at)


GOOD = [
    (HELLO, OK + b"Content-Length: 5\r\n\r\nhello", []),
    (HELLO, OK + b"x: " + b"y" * 3000 + b"\r\nCONTENT-LENGTH:5\r\nz:\r\n\r\nhello", []),
    (HELLO, chunked(b"h", b"ell", b"o"), []),
    (Expected(b""), OK + b"content-length: 0\r\n\r\n", []),
    (Expected(None), chunked(b"whatever"), []),
    (Expected(b"no", status=402), b"HTTP/1.1 402 Payment Required\r\ncontent-length: 2\r\n\r\nno", []),
    (STREAM, chunked(event(1), event(2), TAIL), [1, 2]),
    (STREAM, chunked(event(1) + event(2) + TAIL), [1, 2]),
    (STREAM, OK + b"content-length: %d\r\n\r\n" % (2 * len(EVENT) + len(TAIL)) + event(1) + event(2) + TAIL, [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "answer", "times"), GOOD)
@pytest.mark.parametrize("size", [1, 2, 3, 17, 1 << 20])
def test_what_is_right_passes_in_any_pieces(expected: Expected, answer: bytes, times: list[int], size: int) -> None:
    pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
    assert expected.read(pieces) == ("whole", times, False)
    assert expected.read(pieces[:-1])[0] in {"more", "chunk"}


BAD = [
    ("status", OK.replace(b"200", b"500") + b"content-length: 5\r\n\r\nhello"),
    ("body", OK + b"content-length: 5\r\n\r\nhellO"),
    ("body", chunked(b"hell", b"p")),
    ("length", OK + b"content-length: 4\r\n\r\nhell"),
    ("length", chunked(b"hell")),
    ("length", chunked(b"hello", b"!")),
    ("excess", OK + b"content-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n"),
    ("excess", chunked(b"hello") + b"\n"),
    ("malformed", b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
    ("malformed", b"HTTP/1.1 2x0 OK\r\ncontent-length: 5\r\n\r\nhello"),
    ("malformed", OK + b"content-length: 5\n\nhello"),
    ("malformed", OK + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
    ("malformed", OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("malformed", OK + b"content-length: -5\r\n\r\nhello"),
    ("malformed", OK + b"content-length: 99999999999999999999\r\n\r\nhello"),
    ("malformed", OK + b"content-length:\r\n\r\nhello"),
    ("malformed", OK + b"transfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("malformed", OK + b"x: y\r\n\r\nhello"),
    ("malformed", OK + b"no colon\r\ncontent-length: 5\r\n\r\nhello"),
    ("malformed", OK + b"x: \0\r\ncontent-length: 5\r\n\r\nhello"),
    ("malformed", OK + b"x: " + b"y" * 70_000),
    ("malformed", CHUNKED + b"fffffffff\r\n"),
    ("malformed", CHUNKED + b"\r\nhello"),
    ("malformed", CHUNKED + b"5\r\nhelloX\r\n"),
    ("malformed", CHUNKED + b"5\r\nhello\r\n0\r\nx: y\r\n\r\n"),
]


@pytest.mark.parametrize(("fault", "answer"), BAD)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_each_fault_has_its_name(fault: str, answer: bytes, size: int) -> None:
    assert HELLO.read([answer[at : at + size] for at in range(0, len(answer), size)])[0] == fault


@pytest.mark.parametrize(
    ("fault", "pieces"),
    [
        ("order", [event(2), event(1), TAIL]),
        ("order", [event(1), event(1), TAIL]),
        ("body", [event(1), TAIL]),
        ("body", [event(1), event(2), event(3), TAIL]),
        ("body", [event(1), event(2).replace(b"at", b"to"), TAIL]),
        ("body", [event(1), event(2).replace(b"2", b"x"), TAIL]),
        ("body", [event(1), event(2**63), TAIL]),
        ("length", [event(1), event(2)]),
        ("length", [event(1), event(2), TAIL, b"\n"]),
    ],
)
def test_a_stream_has_all_chunks_in_order_and_its_end(fault: str, pieces: list[bytes]) -> None:
    assert STREAM.read([chunked(*pieces)])[0] == fault


def test_who_closes_the_connection_says_so() -> None:
    assert HELLO.read([OK + b"Connection: CLOSE\r\ncontent-length: 5\r\n\r\nhello"]) == ("whole", [], True)


@pytest.mark.parametrize(("tail", "stamp"), [(b"", 14), (None, 14), (TAIL, 30), (TAIL, -1)])
def test_a_stream_that_cannot_be_known_is_refused(tail: bytes | None, stamp: int) -> None:
    with pytest.raises(ValueError, match="a stream has a tail"):
        Expected(tail, event=EVENT, stamp=stamp, count=2)
