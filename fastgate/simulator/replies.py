"""How a reply is played on a connection, over time: at once, late, in pieces, broken off, never.

A reply is started once, is told when its reader falls behind or leaves, and says :meth:`Sink.done` when it has written
all that it will. It bills what was produced, through a callback, exactly once.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from fastgate.simulator.bill import CANCELLED, COMPLETE, CUT
from fastgate.simulator.heads import LAST_CHUNK, chunk

ENDLESS_BLOCK = b"a" * 65_536

Book = Callable[[int], None]
"""Books the answer as produced in full; takes the outcome."""

BookPart = Callable[[int, int, float], None]
"""Books a part of a stream: outcome, pieces produced, share of the reasoning produced (0 to 1)."""


class Sink(Protocol):
    """What a reply needs of its connection."""

    loop: asyncio.AbstractEventLoop

    def write(self, data: bytes) -> None:
        """Sends bytes."""

    def done(self, close: bool) -> None:
        """The reply is over; ``close`` ends the connection after what was written."""


class Reply:
    """The base: a reply that does nothing, for ever."""

    def __init__(self) -> None:
        self.sink: Sink
        self._timer: asyncio.Handle | None = None

    def start(self, sink: Sink) -> None:
        """The request is complete, and every earlier reply on this connection is over."""
        self.sink = sink

    def lost(self) -> None:
        """The connection closed before the reply was done."""
        if self._timer is not None:
            self._timer.cancel()

    def pause(self) -> None:
        """The reader is behind: write no more for now."""

    def resume(self) -> None:
        """The reader caught up."""

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        """Runs the step now, or after some time."""
        if seconds > 0:
            self._timer = self.sink.loop.call_later(seconds, step)
        else:
            step()


class Whole(Reply):
    """Bytes after some time, billed when they are produced whether or not anybody still reads."""

    def __init__(self, data: bytes, latency: float, book: Book | None, *, close: bool, outcome: int = COMPLETE) -> None:
        super().__init__()
        self.data = data
        self.latency = latency
        self.book = book
        self.close = close
        self.outcome = outcome
        self._gone = False

    def start(self, sink: Sink) -> None:
        """Waits for the latency."""
        super().start(sink)
        self._after(self.latency, self._produce)

    def _produce(self) -> None:
        if self.book is not None:
            self.book(self.outcome)
        if not self._gone:
            self._send()

    def _send(self) -> None:
        self.sink.write(self.data)
        self.sink.done(self.close)

    def lost(self) -> None:
        """The provider finishes the answer all the same: the timer runs on."""
        self._gone = True


class Stalled(Whole):
    """Bytes after some time, then nothing more on a connection that stays open."""

    def _send(self) -> None:
        self.sink.write(self.data)


class Trickle(Whole):
    """Bytes in small pieces, each written on its own; ``delay`` 0: one in each turn of the loop."""

    def __init__(self, data: bytes, latency: float, book: Book | None, *, close: bool, size: int, delay: float) -> None:
        super().__init__(data, latency, book, close=close)
        self.size = size
        self.delay = delay
        self._at = 0

    def _send(self) -> None:
        if self._gone:
            return
        self.sink.write(self.data[self._at : self._at + self.size])
        self._at += self.size
        if self._at < len(self.data):
            self._timer = self.sink.loop.call_later(self.delay, self._send)
        else:
            self.sink.done(self.close)


class Endless(Whole):
    """A start, then ``total`` bytes of nothing (None: without end), as fast as they are read."""

    def __init__(self, data: bytes, latency: float, book: Book | None, *, total: int | None, block: bytes) -> None:
        super().__init__(data, latency, book, close=True, outcome=CUT)
        self.left = total
        self.block = block
        self._paused = False
        self._waiting = False

    def _send(self) -> None:
        self.sink.write(self.data)
        self._turn()

    def _turn(self) -> None:
        self._waiting = False
        if self._gone or self._paused:
            return
        if self.left is None:
            self.sink.write(self.block)
        else:
            self.sink.write(self.block[: self.left])
            self.left = max(self.left - len(self.block), 0)
            if not self.left:
                self.sink.done(True)
                return
        self._wait()

    def _wait(self) -> None:
        if not self._waiting:
            self._waiting = True
            self.sink.loop.call_soon(self._turn)

    def pause(self) -> None:
        """Holds up."""
        self._paused = True

    def resume(self) -> None:
        """Goes on."""
        self._paused = False
        self._wait()


class Timing:
    """When a stream's parts are sent, in seconds from the request on."""

    __slots__ = ("cancel_lag", "gapless", "gaps", "latency", "ttft")

    def __init__(self, latency: float, ttft: float, gaps: list[float], cancel_lag: float) -> None:
        self.latency = latency
        self.ttft = max(ttft, latency)
        self.gaps = gaps
        self.gapless = not any(gaps)
        self.cancel_lag = cancel_lag

    def gap(self, number: int) -> float:
        """From piece ``number - 1`` to piece ``number``; a list's last value holds for the rest."""
        return self.gaps[min(number - 1, len(self.gaps) - 1)]


class Streamed(Reply):
    """A streamed answer. When its reader leaves, what was produced is billed, and what the cancel lag yet produces."""

    def __init__(
        self,
        opening: bytes,
        pieces: list[bytes],
        ending: bytes,
        timing: Timing,
        book: BookPart,
        *,
        chunked: bool,
        close: bool,
        stop_after: int | None = None,
        stalls: bool = False,
    ) -> None:
        super().__init__()
        self.opening = opening
        self.pieces = pieces
        self.ending = ending
        self.timing = timing
        self.book = book
        self.chunked = chunked
        self.close = close or not chunked
        self.stop_after = len(pieces) if stop_after is None else min(stop_after, len(pieces))
        self.broken = stop_after is not None
        self.stalls = stalls
        self._done = 0
        self._began = 0.0
        self._paused = False
        self._held = False
        self._over = False

    def start(self, sink: Sink) -> None:
        """Waits for the latency."""
        super().start(sink)
        self._began = sink.loop.time()
        self._after(self.timing.latency, self._open)

    def _open(self) -> None:
        self.sink.write(self.opening)
        self._after(self.timing.ttft - self.timing.latency, self._next)

    def _next(self) -> None:
        """Sends the pieces that are due, and sets the timer for the one after."""
        self._timer = None
        self._held = self._paused
        if self._held:
            return
        first = self._done
        if self.timing.gapless:
            self._done = self.stop_after
        while self._done < self.stop_after:
            self._done += 1
            if self._done == self.stop_after:
                break
            gap = self.timing.gap(self._done)
            if gap > 0:
                self.sink.write(b"".join(self._framed(first)))
                self._timer = self.sink.loop.call_later(gap, self._next)
                return
        self._finish(b"".join(self._framed(first)))

    def _framed(self, first: int) -> list[bytes]:
        due = self.pieces[first : self._done]
        return [chunk(piece) for piece in due] if self.chunked else due

    def _finish(self, data: bytes) -> None:
        self._over = True
        if self.broken:
            self.book(CUT, self._done, 1.0)
            self.sink.write(data)
            if not self.stalls:
                self.sink.done(True)
            return
        self.book(COMPLETE, self._done, 1.0)
        self.sink.write(data + (chunk(self.ending) + LAST_CHUNK if self.chunked else self.ending))
        self.sink.done(self.close)

    def lost(self) -> None:
        """Bills the part that was produced when the reader left, or shortly after."""
        super().lost()
        if self._over:
            return
        self._over = True
        lag = self.timing.cancel_lag
        elapsed = self.sink.loop.time() - self._began + lag
        if not self._done and elapsed < self.timing.ttft:
            self.book(CANCELLED, 0, elapsed / self.timing.ttft)
            return
        if not self._done:
            lag = elapsed - self.timing.ttft
            self._done = 1
        while self._done < self.stop_after and self.timing.gap(self._done) <= lag:
            lag -= self.timing.gap(self._done)
            self._done += 1
        self.book(CANCELLED, min(self._done, len(self.pieces)), 1.0)

    def pause(self) -> None:
        """A reader that is behind holds the answer up: nothing is buffered without bound."""
        self._paused = True

    def resume(self) -> None:
        """Goes on where it was held up."""
        self._paused = False
        if self._held:
            self._next()
