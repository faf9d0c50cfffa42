"""Waits that must end: bodies that do not arrive, and answers whose client has left.

Requests only note that they wait; a look a few times a second does the rest, so that a request costs no timer.
"""

import asyncio
from time import time_ns
from typing import Any, Final

from fastgate.gateway.window import LEAST_OUTSTANDING, ClientWindow

UPLOAD_SECONDS: Final = 60.0
"""A request whose body takes longer to arrive is refused."""
STALLED_SECONDS: Final = 60.0
"""How long a client may take nothing while its answer waits, before it is cut."""
WATCH_AFTER: Final = 1.0
"""Seconds after which it is worth to ask whether the client of an answer is still there."""


LINGER_LOOK_NS: Final = 1_000_000_000
"""How often clients are looked at that have not taken the end of their answers."""


class Patience:
    """The waits of one worker; tasks are those that serve requests."""

    def __init__(self, upload_seconds: float = UPLOAD_SECONDS, stalled_seconds: float = STALLED_SECONDS) -> None:
        self.stalled_seconds = stalled_seconds
        self.uploads: dict[asyncio.Task[Any], int] = {}
        """Since when (Unix ns) each waits for its body."""
        self.answers: dict[asyncio.Task[Any], tuple[int, Any, float]] = {}
        """Since when each waits for its answer, the server's protocol, and how long (s) to read on without a client."""
        self.lingering: dict[ClientWindow, tuple[int, int]] = {}
        """Long answers that may not be taken yet to their end: bytes taken, and since when (ns) no more were."""
        self._lingers_looked = 0
        self._upload_ns = int(upload_seconds * 1e9)
        self._watches: dict[asyncio.Task[Any], asyncio.Task[None]] = {}

    def look(self) -> None:
        """End what has waited too long; cancelled tasks know by what they waited for what it means."""
        now = time_ns()
        for task, since in list(self.uploads.items()):
            if now - since > self._upload_ns:
                task.cancel()
        for task in [task for task in self._watches if task not in self.answers]:
            self._watches.pop(task).cancel()
        for task, (since, protocol, seconds) in self.answers.items():
            if task not in self._watches and now - since > WATCH_AFTER * 1e9:
                self._watches[task] = asyncio.create_task(self._watch(task, protocol, seconds))

        if self.lingering and now - self._lingers_looked > LINGER_LOOK_NS:
            self._lingers_looked = now
            self._look_at_lingering(now)

    def linger(self, window: ClientWindow) -> None:
        """An answer has been handed over; while it is not taken it uses memory, so its client must not sleep on it."""
        if window.sent > LEAST_OUTSTANDING:
            self.lingering[window] = (-1, time_ns())

    def _look_at_lingering(self, now: int) -> None:
        for window, (before, since) in list(self.lingering.items()):
            found = window.progress()
            if found is None or found[1] == 0:
                del self.lingering[window]
            elif found[0] != before:
                self.lingering[window] = (found[0], now)
            elif now - since > self.stalled_seconds * 1e9:
                window.cut()
                del self.lingering[window]

    async def _watch(self, task: asyncio.Task[Any], protocol: Any, seconds: float) -> None:
        await protocol.client_disconnect()
        await asyncio.sleep(seconds)
        if task in self.answers:
            task.cancel()
