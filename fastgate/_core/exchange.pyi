from collections.abc import Awaitable, Callable
from typing import final

@final
class Exchange:
    """A request that was sent, and its answer. Made by ``Pool.request``."""

    status: int
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, in the order in which they came; trailers are left out."""
    sent: bool
    """At least one byte of the request may have reached the upstream."""
    answered: bool
    """At least one byte of an answer (an interim one counts) came."""
    complete: bool
    """The answer has arrived to its end (it may still wait here to be read)."""
    received: int
    """Bytes of the body that arrived, transfer encoding removed."""
    started_ns: int
    sent_ns: int
    answered_ns: int
    ended_ns: int
    """Times on the clock of ``time.monotonic_ns``: asked for, written, first byte, last byte or failure; 0: not yet."""

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header (name in lower case), or None."""
    async def read(self, limit: int) -> bytes:
        """The whole body, or the rest of it after an earlier ``read``.

        Raises BodyTooLarge as soon as the body is known to be longer than ``limit`` bytes (nothing is lost then,
        ``stream`` still gives it from the start), and whatever ended the answer early. Cancelling it leaves the
        exchange open.
        """
    def at_hand(self, limit: int) -> bytes | None:
        """What ``read`` would give without waiting; None where it would wait, or raise."""
    def stream(self, sink: Callable[[bytes], object]) -> Awaitable[None]:
        """Calls ``sink(piece)`` for each piece of the body (at most 256 KiB), what has already arrived first, straight
        from the socket's read callback.

        What is returned is to be awaited once: it ends after the last piece, or fails with what ended the answer early,
        or with what ``sink`` raised (which aborts the exchange). RuntimeError if the body is being read already.
        """
    def pause(self) -> None:
        """Stops the answer: no ``sink`` call follows until ``resume``, no more is read from the socket, and the idle
        timeout rests."""
    def resume(self) -> None:
        """Goes on after ``pause``; what waited here is delivered before this returns."""
    def abort(self) -> None:
        """Ends the exchange and its connection now. A pending ``read`` or ``stream`` fails with ClosedEarly."""
