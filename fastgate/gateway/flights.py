"""Questions that this worker asks of providers, or that others ask while requests here wait for the answer."""

import asyncio
from time import monotonic_ns
from typing import Final

from fastgate._core.flights import Flights as Board
from fastgate._core.slab import Slab

_LASTS_MS: Final = 2_000
"""How long a worker that hangs or was killed keeps others waiting."""
_RENEWED_MS: Final = 400
_POLL_SECONDS: Final = 0.005


def _now_ms() -> int:
    return monotonic_ns() // 1_000_000


class Flight:
    """One question on its way to a provider and back. ``ours``: a request of this worker asks it."""

    __slots__ = ("_board", "_flights", "_waiters", "key", "ours", "unfit")

    def __init__(self, flights: "Flights", board: Board, key: bytes, *, ours: bool) -> None:
        self._flights = flights
        self._board = board
        self._waiters: dict[asyncio.Future[None], None] = {}  # in their order; who waits no more is in it no more
        self.key = key
        self.ours = ours
        self.unfit = False
        """Its answer came, and is none to be kept."""

    def wait(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Done when it has landed, however it went."""
        waiter = loop.create_future()
        self._waiters[waiter] = None
        waiter.add_done_callback(self._waiters.pop)
        return waiter

    def land(self, *, unfit: bool = False) -> None:
        """It is over; what is kept of it is kept by now. Of several calls the first counts."""
        if not self._flights.forget(self):
            return
        if self.ours:
            self._board.release(self.key)
        self.unfit = unfit
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def is_asked(self, now_ms: int) -> bool:
        """Whether the other worker still asks it."""
        return self._board.is_asked(self.key, now_ms)

    def renew(self, now_ms: int) -> None:
        """It is still under way."""
        self._board.extend(self.key, now_ms + _LASTS_MS)


class Flights:
    """All of one worker, by their questions' keys."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._known: dict[bytes, Flight] = {}
        self._board: Board | None = None
        self._slab: Slab | None = None
        self._renewed_ms = 0
        self._polls = False

    def join(self, slab: Slab, key: bytes) -> tuple[Flight, bool]:
        """The flight of that question, and whether the caller leads it: then it has to land it, too."""
        flight = self._known.get(key)
        if flight is not None:
            return flight, False
        board, now_ms = self._board_of(slab), _now_ms()
        leads = board.claim(key, now_ms, now_ms + _LASTS_MS)
        flight = self._known[key] = Flight(self, board, key, ours=leads)
        if not leads and not self._polls:
            self._polls = True
            self._loop.call_later(_POLL_SECONDS, self._poll)
        return flight, leads

    def forget(self, flight: Flight) -> bool:
        """Whether it was known until now. Another may have the same question by then."""
        if self._known.get(flight.key) is not flight:
            return False
        del self._known[flight.key]
        return True

    def renew(self) -> None:
        """Many times a second: tell the other workers that what is asked here still is."""
        now_ms = _now_ms()
        if not self._known or now_ms - self._renewed_ms < _RENEWED_MS:
            return
        self._renewed_ms = now_ms
        for flight in self._known.values():
            if flight.ours:
                flight.renew(now_ms)

    def _poll(self) -> None:
        """Whether what other workers ask has landed."""
        now_ms, waits = _now_ms(), False
        for flight in [each for each in self._known.values() if not each.ours]:
            if flight.is_asked(now_ms):
                waits = True
            else:
                flight.land()
        self._polls = waits
        if waits:
            self._loop.call_later(_POLL_SECONDS, self._poll)

    def _board_of(self, slab: Slab) -> Board:
        if self._board is None or self._slab is not slab:
            self._board, self._slab = Board(slab), slab
        return self._board
