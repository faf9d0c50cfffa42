"""The line from one process to the semantic process: questions under a deadline, answers to be kept.

Whatever is wrong with the other side is a miss, at once or at the deadline: it is not there, it is busy, it is late, or
it says what cannot be understood. Which of these it was is counted.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import monotonic_ns
from typing import Final, cast

from fastgate.cache.unix_path import short
from fastgate.wire.semantic import (
    SOCKET,
    Busy,
    Find,
    Found,
    FrameError,
    Frames,
    Keep,
    Reply,
    Request,
    framed,
    reply_of,
)

AGAIN_SECONDS: Final = 0.25
"""Between two attempts to connect."""
MOST_UNSENT: Final = 1 << 20
"""Bytes that the other side has not taken yet: beyond them it is not asked."""

log = logging.getLogger("fastgate.semantic")


class SemanticClient:
    """``folder``: where the socket is. ``counts``: questions and what became of them, answers sent and not sent."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.counts: Counter[str] = Counter()
        self._path = folder / SOCKET
        self._loop = loop
        self._line: _Line | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._numbers = count(1)

    async def find(self, partition: bytes, tenant: bytes, text: str, seconds: float) -> Found | None:
        """What there is for a question, within so many seconds; None: nothing was decided, which is a miss."""
        deadline_ns = monotonic_ns() + int(seconds * 1e9)
        reply = await self.ask(Find(next(self._numbers), deadline_ns, partition, tenant, text), seconds)
        if isinstance(reply, Found):
            self.counts[reply.verdict] += 1
            return reply
        if isinstance(reply, Busy):
            self.counts["busy"] += 1
        return None

    def keep(self, keep: Keep) -> bool:
        """Hand an answer over, to be kept some time; False: it is not, as the process is not there or does not read.

        With the number 0 there is no reply.
        """
        line = self._ready()
        if line is None:
            self.counts["unkept"] += 1
            return False
        try:
            line.send(keep)
        except FrameError:
            self.counts["unkept"] += 1
            return False
        self.counts["sent"] += 1
        return True

    async def ask(self, request: Request, seconds: float) -> Reply | None:
        """Any request, which bears a number that no other open one has; None: no reply within so many seconds."""
        line = self._ready()
        if line is None:
            self.counts["gone"] += 1
            return None
        waiting = line.expect(request.number)
        timer = self._loop.call_later(seconds, self._late, waiting)
        try:
            line.send(request)
            return await waiting
        finally:
            timer.cancel()
            line.waiting.pop(request.number, None)

    def look(self) -> None:
        """Seek a line where there is none, so that no request has to be the first to miss it."""
        self._ready()

    async def connected(self) -> bool:
        """Wait for the attempt to connect that is under way, or make one; whether there is a line now."""
        if self._ready() is None and self._connecting is not None:
            await self._connecting
        return self._line is not None

    def close(self) -> None:
        """Let go of the line; what waits for a reply has none."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._line is not None:
            self._line.close()

    def _late(self, waiting: "asyncio.Future[Reply | None]") -> None:
        if not waiting.done():
            self.counts["late"] += 1
            waiting.set_result(None)

    def _ready(self) -> "_Line | None":
        """The line, where there is one that is read on the other side; else one is sought, beside the request."""
        line = self._line
        if line is not None and not line.is_closing():
            return line if line.unsent() <= MOST_UNSENT else None
        if self._connecting is None and self._loop.time() >= self._not_before:
            self._connecting = self._loop.create_task(self._connect())
        return None

    async def _connect(self) -> None:
        try:
            # The kernel accepts at once where somebody listens, so that nothing is waited for.
            with short(self._path) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
                plug.setblocking(False)
                plug.connect(name)
                _, self._line = await self._loop.create_unix_connection(lambda: _Line(self._lost), sock=plug.dup())
        except OSError:
            self._not_before = self._loop.time() + AGAIN_SECONDS
        finally:
            self._connecting = None

    def _lost(self, line: "_Line") -> None:
        if self._line is line:
            self._line = None
            self._not_before = self._loop.time() + AGAIN_SECONDS


class _Line(asyncio.Protocol):
    """One connection, and what waits for a reply on it, by number."""

    def __init__(self, lost: Callable[["_Line"], None]) -> None:
        self.waiting: dict[int, asyncio.Future[Reply | None]] = {}
        self._frames = Frames()
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            for body in self._frames.feed(data):
                reply = reply_of(body)
                waiting = self.waiting.pop(reply.number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        except FrameError as error:
            log.warning("the semantic process says what cannot be understood: %s", error)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._lost(self)
        for waiting in self.waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        self.waiting.clear()

    def expect(self, number: int) -> "asyncio.Future[Reply | None]":
        """What will be the reply; None: there is none."""
        waiting: asyncio.Future[Reply | None] = self._loop.create_future()
        self.waiting[number] = waiting
        return waiting

    def send(self, request: Request) -> None:
        """Raises FrameError where it is too long."""
        assert self._transport is not None
        self._transport.write(framed(request))

    def unsent(self) -> int:
        """Bytes that the other side has not taken."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """End it; what waits has no reply."""
        if self._transport is not None:
            self._transport.abort()
