"""The load generator's reader of answers: what it calls whole is so to llhttp, too, however it came in pieces."""

import random

import httptools

from loadtest._answers import NAMES, Expected
from tests.fuzz.harness import TARGETS, main, run, target

EVENT = b'data: {"at":"@00000000000000000000"}\n\n'
TAIL = b"data: [DONE]\n\n"
STREAM = Expected(TAIL, event=EVENT, stamp=14, count=2)
PLAIN = Expected(b"hello")
HEAD = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\n"
EVENTS = EVENT.replace(b"0" * 20, b"%020d" % 7) + EVENT.replace(b"0" * 20, b"%020d" % 12)
PIECES = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(EVENTS), EVENTS, len(TAIL), TAIL)
TOKENS = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"HTTP/1.1 200 ", b"Content-Length: 5\r\n", b"transfer-encoding: chunked\r\n",
    b"connection: close\r\n", b"x: " + b"y" * 130 + b"\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffffffffffff", b"@",
]  # fmt: skip


class Second:
    """What llhttp makes of an answer."""

    def __init__(self, data: bytes) -> None:
        self.body, self.whole = b"", False
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(data)
        self.status = parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.whole = True


def read(expected: Expected, data: bytes) -> tuple[str, list[int]]:
    """The outcome, which is the same in one piece and in many."""
    rng = random.Random(len(data))
    pieces, at = [], 0
    while at < len(data):
        pieces.append(data[at : (at := at + rng.choice((1, 2, 9, 64, 1 << 16)))])
    whole, split = expected.read([data]), expected.read(pieces)
    assert whole == split
    assert whole[0] in NAMES
    return whole[0], whole[1]


@target(
    "answer", tokens=TOKENS, seeds=[HEAD + b"Content-Length: 5\r\n\r\nhello",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"],
)  # fmt: skip
def check_answer(data: bytes) -> None:
    outcome, times = read(PLAIN, data)
    assert not times
    if outcome == "whole":
        second = Second(data)
        assert (second.status, second.body, second.whole) == (200, b"hello", True)


@target("answer in chunks", tokens=[*TOKENS, EVENT, TAIL], seeds=[
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + PIECES,
    HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENTS + TAIL) + EVENTS + TAIL,
])  # fmt: skip
def check_stream(data: bytes) -> None:
    outcome, times = read(STREAM, data)
    assert times == sorted(set(times))
    if outcome == "whole":
        second = Second(data)
        assert (second.status, second.whole) == (200, True)
        assert second.body == b"".join(EVENT.replace(b"0" * 20, b"%020d" % at) for at in times) + TAIL


def test_answers() -> None:
    assert run(TARGETS["answer"], seed=1, rounds=4000) == 4000


def test_streams() -> None:
    assert run(TARGETS["answer in chunks"], seed=1, rounds=4000) == 4000


if __name__ == "__main__":
    main(["answer", "answer in chunks"])
