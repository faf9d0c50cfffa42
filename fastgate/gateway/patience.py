"""Waits that must end: bodies that do not arrive, and answers whose client has left.

Requests only note that they wait; a look a few times a second does the rest, so that a request costs no timer.
"""

import asyncio
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from fastgate._core.runner import Run
from fastgate.gateway.departure import depart
from fastgate.gateway.window import LEAST_OUTSTANDING, ClientWindow

if TYPE_CHECKING:
    from fastgate.gateway.call import Call

UPLOAD_SECONDS: Final = 60.0
"""A request whose body takes longer to arrive is refused."""
STALLED_SECONDS: Final = 60.0
"""How long a client may take nothing while its answer waits, before it is cut."""
FOLLOW_SECONDS: Final = 60.0
"""How long a request waits for others that ask the same, before it asks by itself: their clients may be in no hurry."""
WATCH_AFTER: Final = 1.0
"""Seconds after which it is worth to ask whether the client of an answer is still there."""
LINGER_LOOK_NS: Final = 1_000_000_000
"""How often clients are looked at that have not taken the end of their answers."""


class Patience:
    """The waits of one worker; runs and tasks are those that serve requests."""

    def __init__(
        self,
        upload_seconds: float = UPLOAD_SECONDS,
        stalled_seconds: float = STALLED_SECONDS,
        follow_seconds: float = FOLLOW_SECONDS,
    ) -> None:
        self.stalled_seconds = stalled_seconds
        self.follow_seconds = follow_seconds
        self.uploads: dict[Run | asyncio.Task[Any], int] = {}
        """Since when (Unix ns) each waits for its body."""
        self.lingering: dict[ClientWindow, tuple[int, int]] = {}
        """Long answers that may not be taken yet to their end: bytes taken, and since when (ns) no more were."""
        self._lingers_looked = 0
        self._upload_ns = int(upload_seconds * 1e9)
        self._answers: dict[Call, int] = {}  # since when (ns), oldest first; those that nobody watches yet
        self._watches: dict[Call, asyncio.Task[None]] = {}

    def wait(self, call: "Call", since: int) -> None:
        """An answer is on its way, since then (Unix ns): its client may leave, silent as long as nothing comes."""
        self._answers[call] = since

    def answered(self, call: "Call") -> None:
        """It has come, or its client is gone."""
        if self._answers.pop(call, None) is None:
            watch = self._watches.pop(call, None)
            if watch is not None:
                watch.cancel()

    def look(self) -> None:
        """End what has waited too long; who is cancelled knows by what it waited for what that means."""
        now = time_ns()
        for task, since in list(self.uploads.items()):
            if now - since > self._upload_ns:
                task.cancel()
        self._look_at_answers(now)
        if self.lingering and now - self._lingers_looked > LINGER_LOOK_NS:
            self._lingers_looked = now
            self._look_at_lingering(now)

    def linger(self, window: ClientWindow) -> None:
        """An answer has been handed over; while it is not taken it uses memory, so its client must not sleep on it."""
        if window.sent > LEAST_OUTSTANDING:
            self.lingering[window] = (-1, time_ns())

    def _look_at_answers(self, now: int) -> None:
        due = []
        for call, since in self._answers.items():
            if now - since <= WATCH_AFTER * 1e9:
                break
            due.append(call)
        for call in due:
            del self._answers[call]
            self._watches[call] = asyncio.create_task(self._watch(call))

    def _look_at_lingering(self, now: int) -> None:
        for window, (before, since) in list(self.lingering.items()):
            found = window.progress()
            if found is None or (found[1] == 0 and before >= 0):  # at the first look it may not be the kernel's yet
                del self.lingering[window]
            elif found[0] != before:
                self.lingering[window] = (found[0], now)
            elif now - since > self.stalled_seconds * 1e9:
                window.cut()
                del self.lingering[window]

    async def _watch(self, call: "Call") -> None:
        await call.protocol.client_disconnect()
        if call in self._watches:
            depart(call)
