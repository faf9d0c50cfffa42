"""Relaying a stream: metered on the way, never waiting for the client, never piling up for it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fastgate._core.conduit import Conduit
from fastgate._core.events import EventScanner
from fastgate._core.exchange import Exchange
from fastgate._core.upstream_errors import UpstreamError
from fastgate.gateway.gone import GONE
from fastgate.gateway.inflate import Feeds
from fastgate.gateway.metering import GO_ON, SPENT, Purse
from fastgate.gateway.window import ClientWindow

_LOOK_EVERY: Final = 0.02
_PIECE: Final = 64 << 10


UNHEARD_BYTES: Final = 32 << 20
"""Of an answer that are read on for the bill when its client has left; no model writes as much in that time."""


def accepted(handed: Any) -> bool:
    """Whether the server took the bytes: it answers at once, with one of two kinds of awaitable that never wait."""
    try:
        next(handed.__await__())
    except StopIteration:
        return True
    except GONE:
        return False
    raise AssertionError("the server's send_bytes has begun to wait")


async def deliver(body: bytes, transport: Any, window: ClientWindow, stalled_seconds: float) -> None:
    """Hand a long answer to its client as it takes it; one that takes nothing for too long is cut."""
    for start in range(0, len(body), _PIECE):
        piece = body[start : start + _PIECE]
        if not accepted(transport.send_bytes(piece)):
            return
        window.sent += len(piece)
        if not await has_room(window, stalled_seconds):
            return


async def has_room(window: ClientWindow, stalled_seconds: float) -> bool:
    """Wait until the client may be handed more; False: it took nothing for too long, and is cut."""
    if window.sent < window.due_at:
        return True
    loop = asyncio.get_running_loop()
    waiting = least = window.outstanding()
    moved_at = loop.time()
    while waiting > window.bound:
        await asyncio.sleep(_LOOK_EVERY)
        waiting = window.outstanding()
        if waiting < least:
            least, moved_at = waiting, loop.time()
        elif loop.time() - moved_at > stalled_seconds:
            window.cut()
            return False
    return True


class StreamRelay(Conduit):
    """Hands pieces of an answer from the provider's socket to the client's, through the scanner.

    Called straight from the socket's read callback. When the client is gone the pieces are only metered; when it takes
    nothing the provider is paused, and so it is while the money for more has to be waited for.
    """

    __slots__ = (
        "_depart",
        "_exchange",
        "_loop",
        "_moved_at",
        "_nap",
        "_purse",
        "_stalled_seconds",
        "_timer",
        "_unheard",
        "_waiting",
        "events",
        "spent",
    )

    window: ClientWindow

    def __init__(
        self,
        exchange: Exchange,
        meter: Feeds,
        transport: Any,
        window: ClientWindow,
        *,
        depart: Callable[[], None],
        stalled_seconds: float,
    ) -> None:
        super().__init__(meter, transport.send_bytes, window)
        self.events = False
        """Whether it is a stream of events, in which an error can be told."""
        self.spent = False
        """Whether it was ended because there is no money for more of it."""
        self._exchange = exchange
        self._depart = depart
        self._stalled_seconds = stalled_seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._moved_at = 0.0
        self._unheard = 0
        self._waiting = 0
        self._purse: Purse | None = None
        self._nap: asyncio.TimerHandle | None = None

    def pay(self, purse: Purse, gauge: EventScanner) -> None:
        """Top up from ``purse`` whenever ``gauge`` says that more is due."""
        self._purse, self.gauge = purse, gauge

    async def run(self) -> None:
        """Relay to the end of the answer, or of the money. Raises what else ended it early (UpstreamError)."""
        try:
            await self._exchange.stream(self.piece)
            self.send(self.meter.finish())
        except UpstreamError:
            if not self.spent:
                raise
        finally:
            for timer in (self._timer, self._nap):
                if timer is not None:
                    timer.cancel()

    def leave(self) -> None:
        """The client is gone, or its time is over: its stream ends, and the provider is read on for what it bills."""
        if not self.client_gone:
            self.close()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._nap is None:
                self._exchange.resume()

    def abandon(self) -> None:
        """It is read on no longer; it is settled by what was seen of it."""
        self._exchange.abort()

    def accept(self, handed: Any) -> bool:
        """See Conduit."""
        there = accepted(handed)
        if not there:
            self._depart()
        return there

    def look(self) -> None:
        """See Conduit."""
        if self.window.outstanding() > self.window.bound:
            self._pause()

    def overhear(self, size: int) -> None:
        """See Conduit."""
        self._unheard += size
        if self._unheard > UNHEARD_BYTES:
            self._exchange.abort()

    def top_up(self) -> None:
        """Hold more, or wait until that can be, or end here. What has come whole is paid for in any case."""
        assert self._purse is not None
        seconds = GO_ON if self._exchange.complete else self._purse.top_up()
        if seconds == SPENT:
            self.spent = True
            self._exchange.abort()
        elif seconds != GO_ON:
            self._exchange.pause()
            self._nap = self._loop.call_later(seconds, self.top_up)
        elif self._nap is not None:
            self._nap = None
            if self._timer is None:
                self._exchange.resume()

    def _pause(self) -> None:
        self._exchange.pause()
        self._waiting = self.window.sent
        self._timer = self._loop.call_later(_LOOK_EVERY, self._look)

    def _look(self) -> None:
        waiting = self.window.outstanding()
        if waiting < self._waiting:
            self._waiting, self._moved_at = waiting, self._loop.time()
        if waiting <= self.window.bound // 2:
            self._timer = None
            if self._nap is None:
                self._exchange.resume()
        elif self._loop.time() - self._moved_at > self._stalled_seconds:
            self.window.cut()
            self._depart()
        else:
            self._timer = self._loop.call_later(_LOOK_EVERY, self._look)
