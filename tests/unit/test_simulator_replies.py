"""Replies played over a clock that the test turns."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

import pytest

from fastgate.simulator.bill import CANCELLED, COMPLETE, CUT
from fastgate.simulator.replies import Endless, Reply, Stalled, Streamed, Timing, Trickle, Whole

PIECES = [b"one", b"two", b"three", b"four"]
FRAMED = b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n4\r\nfour\r\n"
END = b"3\r\nend\r\n0\r\n\r\n"


class Clock:
    """An event loop as far as replies know one; time passes when told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, list[Callable[[], Any]]]] = []
        self._number = 0

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, step: Callable[[], Any]) -> "Clock.Timer":
        self._number += 1
        entry = [step]
        heapq.heappush(self._due, (self.now + seconds, self._number, entry))
        return Clock.Timer(entry)

    def call_soon(self, step: Callable[[], Any]) -> "Clock.Timer":
        return self.call_later(0, step)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds + 1e-9
        while self._due and self._due[0][0] <= end:
            self.now, _, entry = heapq.heappop(self._due)
            for step in entry:
                step()
        self.now = end - 1e-9

    class Timer:
        def __init__(self, entry: list[Callable[[], Any]]) -> None:
            self._entry = entry

        def cancel(self) -> None:
            self._entry.clear()


class Sink:
    """What was written, whether the reply is over, whether the connection is closed."""

    def __init__(self, clock: Clock) -> None:
        self.loop: asyncio.AbstractEventLoop = clock  # type: ignore[assignment]
        self.data = b""
        self.writes = 0
        self.ended: str | None = None

    def write(self, data: bytes) -> None:
        assert self.ended is None
        self.data += data
        self.writes += 1

    def done(self, close: bool) -> None:
        self.ended = "closed" if close else "open"


class Stage:
    """A clock, a sink, and what was booked."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sink = Sink(self.clock)
        self.booked: list[Any] = []

    def book(self, outcome: int) -> None:
        self.booked.append(outcome)

    def part(self, outcome: int, done: int, reasoning: float) -> None:
        self.booked.append((outcome, done, round(reasoning, 6)))

    def stream(
        self, latency: float = 0, ttft: float = 0, gaps: tuple[float, ...] = (0,), lag: float = 0, **more: Any
    ) -> Streamed:
        timing = Timing(latency, ttft, list(gaps), lag)
        options = {"chunked": True, "close": False, **more}
        reply = Streamed(b"head ", PIECES, b"end", timing, self.part, **options)
        reply.start(self.sink)
        return reply


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_whole_reply_waits_for_its_latency(stage: Stage) -> None:
    Whole(b"answer", 2, stage.book, close=False).start(stage.sink)
    stage.clock.advance(1.9)
    assert (stage.sink.data, stage.booked) == (b"", [])
    stage.clock.advance(0.1)
    assert (stage.sink.data, stage.sink.ended, stage.booked) == (b"answer", "open", [COMPLETE])


def test_a_whole_reply_is_billed_though_its_reader_left(stage: Stage) -> None:
    reply = Whole(b"answer", 2, stage.book, close=False)
    reply.start(stage.sink)
    reply.lost()
    stage.clock.advance(2)
    assert (stage.sink.data, stage.booked) == (b"", [COMPLETE])


def test_a_stalled_reply_never_ends(stage: Stage) -> None:
    Stalled(b"ans", 0, stage.book, close=True, outcome=CUT).start(stage.sink)
    stage.clock.advance(1000)
    assert (stage.sink.data, stage.sink.ended, stage.booked) == (b"ans", None, [CUT])


def test_a_hanging_reply_says_nothing(stage: Stage) -> None:
    reply = Reply()
    reply.start(stage.sink)
    stage.clock.advance(1000)
    reply.pause()
    reply.resume()
    reply.lost()
    assert (stage.sink.data, stage.sink.ended) == (b"", None)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7])
def test_a_trickle_writes_every_byte_in_pieces(stage: Stage, size: int) -> None:
    Trickle(b"answer", 0, stage.book, close=True, size=size, delay=1).start(stage.sink)
    stage.clock.advance(100)
    assert (stage.sink.data, stage.sink.writes, stage.sink.ended) == (b"answer", -(-6 // size), "closed")
    assert stage.booked == [COMPLETE]


def test_a_trickle_stops_when_its_reader_leaves(stage: Stage) -> None:
    reply = Trickle(b"answer", 0, stage.book, close=True, size=1, delay=1)
    reply.start(stage.sink)
    stage.clock.advance(2)
    reply.lost()
    stage.clock.advance(100)
    assert (stage.sink.data, stage.booked) == (b"ans", [COMPLETE])


def test_an_endless_reply_writes_only_while_it_is_read(stage: Stage) -> None:
    reply = Endless(b"start", 0, stage.book, total=10, block=b"aaaa")
    reply.pause()
    reply.start(stage.sink)
    stage.clock.advance(1)
    assert stage.sink.data == b"start"
    reply.resume()
    stage.clock.advance(1)
    assert (stage.sink.data, stage.sink.ended, stage.booked) == (b"start" + b"a" * 10, "closed", [CUT])


def test_an_endless_stream_ends_with_its_reader(stage: Stage) -> None:
    reply = Endless(b"", 0, stage.book, total=None, block=b"a")
    reply.start(stage.sink)
    assert stage.sink.ended is None
    reply.lost()
    written = stage.sink.data
    stage.clock.advance(1)
    assert stage.sink.data == written


def test_a_stream_without_gaps_goes_out_at_once(stage: Stage) -> None:
    stage.stream()
    assert stage.sink.data == b"head " + FRAMED + END
    assert stage.sink.writes == 2
    assert (stage.sink.ended, stage.booked) == ("open", [(COMPLETE, 4, 1.0)])


def test_a_stream_to_an_old_client_ends_with_the_connection(stage: Stage) -> None:
    stage.stream(chunked=False)
    assert stage.sink.data == b"head onetwothreefourend"
    assert stage.sink.ended == "closed"


def test_the_parts_of_a_stream_come_when_they_are_due(stage: Stage) -> None:
    stage.stream(latency=1, ttft=5, gaps=(1, 3))
    arrivals = []
    for second in range(14):
        stage.clock.advance(0 if second == 0 else 1)
        arrivals.append(len(stage.sink.data))
    head, one, two, three = 5, 8, 8, 10
    first, second_piece, third = head + one, head + one + two, head + one + two + three
    end = len(b"head " + FRAMED + END)
    assert arrivals == [0, *[head] * 4, first, *[second_piece] * 3, *[third] * 3, end, end]


def test_a_stream_that_is_cut_is_billed_as_far_as_it_came(stage: Stage) -> None:
    stage.stream(stop_after=2)
    assert stage.sink.data == b"head 3\r\none\r\n3\r\ntwo\r\n"
    assert (stage.sink.ended, stage.booked) == ("closed", [(CUT, 2, 1.0)])


def test_a_stream_that_stalls_keeps_its_connection_and_is_billed_once(stage: Stage) -> None:
    reply = stage.stream(stop_after=0, stalls=True)
    reply.lost()
    assert (stage.sink.data, stage.sink.ended, stage.booked) == (b"head ", None, [(CUT, 0, 1.0)])


@pytest.mark.parametrize(
    ("left_at", "lag", "pieces", "reasoning"),
    [
        (0.5, 0, 0, 0.125),  # an eighth of the way to the first piece
        (3.9, 0, 0, 0.975),
        (3.5, 0.5, 1, 1.0),  # the lag reaches the first piece
        (3.5, 1.5, 2, 1.0),
        (4.5, 0, 1, 1.0),
        (4.5, 0.9, 1, 1.0),
        (4.5, 1.0, 2, 1.0),
        (5.5, 0, 2, 1.0),
        (6.5, 100, 4, 1.0),
    ],
)
def test_a_stream_that_is_cancelled_is_billed_with_the_lag(
    stage: Stage, left_at: float, lag: float, pieces: int, reasoning: float
) -> None:
    reply = stage.stream(ttft=4, gaps=(1,), lag=lag)
    stage.clock.advance(left_at)
    reply.lost()
    stage.clock.advance(100)
    assert stage.booked == [(CANCELLED, pieces, reasoning)]


def test_a_stream_that_is_over_is_not_billed_again(stage: Stage) -> None:
    stage.stream().lost()
    assert stage.booked == [(COMPLETE, 4, 1.0)]


def test_a_slow_reader_holds_a_stream_up(stage: Stage) -> None:
    reply = stage.stream(gaps=(1,))
    reply.pause()
    stage.clock.advance(50)
    assert stage.sink.data == b"head 3\r\none\r\n"
    reply.resume()
    assert stage.sink.data == b"head 3\r\none\r\n3\r\ntwo\r\n"
    stage.clock.advance(2)
    assert stage.booked == [(COMPLETE, 4, 1.0)]


def test_a_pause_that_ends_before_the_next_piece_changes_nothing(stage: Stage) -> None:
    reply = stage.stream(gaps=(1,))
    reply.pause()
    reply.resume()
    assert stage.sink.data == b"head 3\r\none\r\n"
    stage.clock.advance(3)
    assert stage.sink.data == b"head " + FRAMED + END
