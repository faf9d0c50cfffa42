"""From an answer to the reply that plays it, with the script's or the options' timing and failures."""

import gzip
import zlib
from collections.abc import Mapping

import msgspec

from fastgate.simulator.answer import Answer
from fastgate.simulator.bill import CUT
from fastgate.simulator.booking import Booking
from fastgate.simulator.dialect import Dialect, Stream
from fastgate.simulator.faults import ENDLESS_BYTES, GARBAGE, Fault
from fastgate.simulator.heads import EVENTS, JSON, LAST_CHUNK, chunk, head
from fastgate.simulator.replies import (
    ENDLESS_BLOCK,
    Book,
    BookPart,
    Endless,
    Reply,
    Stalled,
    Streamed,
    Timing,
    Trickle,
    Whole,
)

SLOW_PIECES = 16
SLOW_SECONDS = 0.1
BIG_HEAD = {b"x-padding": b"a" * 1_000_000}


class Delays(msgspec.Struct, frozen=True):
    """Seconds, from the options."""

    latency: float = 0.0
    ttft: float = 0.0
    chunk: float = 0.0
    cancel_lag: float = 0.0


class Playback:
    """Makes the reply for one answer."""

    def __init__(
        self,
        dialect: Dialect,
        answer: Answer,
        fault: Fault | None,
        delays: Delays,
        booking: Booking,
        *,
        keep_alive: bool,
        http10: bool,
    ) -> None:
        self.dialect = dialect
        self.answer = answer
        self.script = answer.script
        self.kind = fault.kind if fault is not None else ""
        self.delays = delays
        self.booking = booking
        self.keep_alive = keep_alive
        self.http10 = http10

    @property
    def latency(self) -> float:
        """Seconds until the head."""
        return self.delays.latency if self.script.latency_ms is None else self.script.latency_ms / 1000

    def reply(self) -> Reply:
        """The reply."""
        raw = self.script.raw_bytes()
        if raw is not None:
            return self._trickled(raw, close=True, book=self._scripted_book())
        if self.kind in _WITHOUT_AN_ANSWER:
            self.booking.unbilled(self.kind)
            return self._no_answer()
        body = self.script.body_bytes()
        if body is not None:
            return self._given_body(body)
        return self._streamed() if self.answer.ask.stream else self._whole()

    def _scripted_book(self) -> Book | None:
        """Bytes in place of an answer are billed only with a usage of their own."""
        return self.booking.whole if isinstance(self.script.usage, dict) else None

    def _no_answer(self) -> Reply:
        if self.kind == "hang":
            return Reply()
        data = {"noheaders": b"", "garbage": GARBAGE}.get(self.kind)
        if data is None:
            data = self._head(1_000, JSON)
        return Whole(data, self.latency, None, close=True)

    def _given_body(self, body: bytes) -> Reply:
        kind = EVENTS if self.answer.ask.stream and self.script.status == 200 else JSON
        data = self._head(len(body), kind, status=self.script.status) + body
        return self._trickled(data, close=not self.keep_alive, book=self._scripted_book())

    def _head(
        self,
        length: int | None,
        content_type: bytes,
        further: Mapping[bytes, bytes] | None = None,
        *,
        status: int = 200,
        keep_alive: bool | None = None,
    ) -> bytes:
        headers = {self.dialect.request_id_header: b"req_%016x" % self.answer.number, **(further or {})}
        headers.update(self.script.header_bytes())
        keep = self.keep_alive if keep_alive is None else keep_alive
        return head(
            status, content_type, headers, length=length, keep_alive=keep, chunked=length is None and not self.http10
        )

    def _trickled(self, data: bytes, *, close: bool, book: Book | None, delay: float = 0.0) -> Reply:
        size = self.script.split
        if delay:
            size = -(-len(data) // SLOW_PIECES)
        if size is None:
            return Whole(data, self.latency, book, close=close)
        return Trickle(data, self.latency, book, close=close, size=size, delay=delay)

    def _whole(self) -> Reply:
        """An answer that is not streamed, whole or with a failure."""
        body = self.dialect.whole(self.answer)
        further: dict[bytes, bytes] = {}
        if self.kind == "gzip":
            body = gzip.compress(body, mtime=0)
            further = {b"content-encoding": b"gzip"}
        elif self.kind == "bighead":
            further = BIG_HEAD
        book, close = self.booking.whole, not self.keep_alive
        if self.kind == "endless":
            start = self._head(ENDLESS_BYTES, JSON) + body[:40]
            return Endless(start, self.latency, book, total=ENDLESS_BYTES - len(body[:40]), block=ENDLESS_BLOCK)
        data = self._head(len(body), JSON, further) + body
        if self.kind == "cut":
            return Whole(data[: -len(body) // 2], self.latency, book, close=True, outcome=CUT)
        if self.kind == "stall":
            return Stalled(data[: -len(body) // 2], self.latency, book, close=True, outcome=CUT)
        return self._trickled(data, close=close, book=book, delay=SLOW_SECONDS if self.kind == "slow" else 0.0)

    def _streamed(self) -> Reply:
        """A stream, whole or with a failure."""
        stream = self.dialect.stream(self.answer)
        further: dict[bytes, bytes] = {b"cache-control": b"no-cache"}
        if self.kind == "gzip":
            further[b"content-encoding"] = b"gzip"
            stream = _compressed(stream)
        elif self.kind == "bighead":
            further.update(BIG_HEAD)
        chunked = not self.http10
        start = self._head(None, EVENTS, further, keep_alive=self.keep_alive and chunked)
        opening = start + (chunk(stream.prologue) if chunked else stream.prologue)
        if self.kind == "endless":
            block = (stream.pieces or [b": nothing\n\n"])[-1]
            block = b"".join([chunk(block) if chunked else block] * max(16_384 // len(block), 1))
            return Endless(opening, self.latency, self.booking.whole, total=None, block=block)
        if self.script.split is not None or self.kind == "slow":
            return self._split_stream(opening, stream, chunked)
        broken = self.kind in {"cut", "stall"}
        half = len(stream.pieces) // 2 if self.script.after is None else self.script.after
        return Streamed(
            opening,
            stream.pieces,
            stream.epilogue,
            self._timing(),
            self._part_book(stream),
            chunked=chunked,
            close=not self.keep_alive,
            stop_after=half if broken else None,
            stalls=self.kind == "stall",
        )

    def _split_stream(self, opening: bytes, stream: Stream, chunked: bool) -> Reply:
        """A stream that exists at once, and is written in pieces that know nothing of its events."""
        rest = [*stream.pieces, stream.epilogue]
        body = b"".join(chunk(piece) for piece in rest) + LAST_CHUNK if chunked else b"".join(rest)
        delay = SLOW_SECONDS if self.kind == "slow" else 0.0
        close = not (self.keep_alive and chunked)
        return self._trickled(opening + body, close=close, book=self.booking.whole, delay=delay)

    def _part_book(self, stream: Stream) -> BookPart:
        """Counts only the pieces that hold output."""

        def book(outcome: int, done: int, reasoning: float) -> None:
            shown = max(done - stream.silent, 0)
            self.booking.part(outcome, shown, len(stream.pieces) - stream.silent, reasoning)

        return book

    def _timing(self) -> Timing:
        script, delays = self.script, self.delays
        ttft = delays.ttft if script.ttft_ms is None else script.ttft_ms / 1000
        gaps = script.chunk_ms if isinstance(script.chunk_ms, list) else [script.chunk_ms]
        seconds = [delays.chunk if gap is None else gap / 1000 for gap in gaps]
        return Timing(self.latency, ttft, seconds, delays.cancel_lag)


_WITHOUT_AN_ANSWER = frozenset({"hang", "noheaders", "early", "garbage"})


def _compressed(stream: Stream) -> Stream:
    """The same stream in one gzip member, flushed after each piece."""
    press = zlib.compressobj(wbits=31)

    def pressed(data: bytes) -> bytes:
        return press.compress(data) + press.flush(zlib.Z_SYNC_FLUSH)

    prologue = pressed(stream.prologue)
    pieces = [pressed(piece) for piece in stream.pieces]
    return Stream(prologue, pieces, press.compress(stream.epilogue) + press.flush(), stream.silent)
