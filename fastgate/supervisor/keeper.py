"""Keeps one child alive: starts it, waits until it serves, cleans up after its end and starts it again, without end.

A keeper never gives up. The first restart is immediate, a child that keeps dying young is restarted after pauses that
grow to :data:`LONGEST_PAUSE`, so that a crash loop costs little and still the service is back soon after its cause has
gone. One that nobody needs and that never serves is tried less and less often, down to once in
:data:`LONGEST_TRY`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from signal import SIGKILL, SIGTERM, Signals

from fastgate.supervisor.child import Child, Command, describe_end
from fastgate.supervisor.errors import ChildFailed
from fastgate.supervisor.health import ChildHealth, State

LONGEST_PAUSE = 1.0
LONGEST_TRY = 60.0
SETTLED_SECONDS = 5.0
"""A child that served for so long died of something new: the pauses start again from nothing."""

ENDING_SECONDS = 2.0

log = logging.getLogger("fastgate.supervisor")


def pause_before(young_deaths: int, longest: float = LONGEST_PAUSE) -> float:
    """Seconds to wait after so many deaths in a row of children that did not last; none after the first."""
    return 0.0 if young_deaths <= 1 else min(longest, 0.05 * 2.0 ** (min(young_deaths, 16) - 2))


class Keeper:
    """One child slot.

    ``after_death`` is called when a run has ended and before it is reaped; ``changed`` whenever ``health`` changed.
    ``needed``: whether a host without it cannot serve.
    """

    def __init__(
        self,
        name: str,
        command: Command,
        *,
        changed: Callable[[], None],
        after_death: Callable[[], None] | None = None,
        ready_seconds: float = 60.0,
        needed: bool = True,
    ) -> None:
        self.health = ChildHealth(name)
        self._command = command
        self._changed = changed
        self._after_death = after_death
        self._ready_seconds = ready_seconds
        self._needed = needed
        self._child: Child | None = None
        self._stopping = asyncio.Event()
        self._was_ready = asyncio.Event()
        self._tried = asyncio.Event()
        """It was ready, or is not needed and was not."""
        self._wake = asyncio.Event()
        self._serves = asyncio.Event()
        self._renewing = False
        self._untold: set[Signals] = set()
        self._failure: ChildFailed | None = None
        self._complaint = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the child and returns when it serves; one that is not needed, when its first run has ended, too.

        Raises:
            ChildFailed: it exited by itself before it was ever ready; starting it again would not help. (One that was
                killed from outside is started again.)

        """
        self._task = asyncio.create_task(self._run(), name=self.health.name)
        tried = asyncio.create_task(self._tried.wait())
        try:
            await asyncio.wait((self._task, tried), return_when=asyncio.FIRST_COMPLETED)
        finally:
            tried.cancel()
        if self._failure is not None:
            raise self._failure
        if self._task.done():
            self._task.result()

    def signal(self, number: Signals) -> None:
        """Forwards a signal to the child that runs now, if one does."""
        if self._child is not None:
            self._child.send(number)

    def tell(self, number: Signals) -> None:
        """Sends a signal to the child once it serves: one that is starting would die of it."""
        if self._serves.is_set():
            self.signal(number)
        else:
            self._untold.add(number)

    async def renew(self, seconds: float) -> bool:
        """Ends the present run, upon which the next one begins; whether that serves within so many seconds."""
        self._serves.clear()
        self._renewing = self._child is not None
        if self._child is None:  # it would begin after a pause
            self._wake.set()
        self.signal(SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._serves.wait(), seconds)
        return self._serves.is_set()

    def begin_stop(self, number: Signals = SIGTERM) -> None:
        """Asks the child by a signal to end, and lets no other run follow."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._wake.set()
            if self._child is not None:
                self._enter(State.STOPPING)
        self.signal(number)

    async def stop(self, grace_seconds: float, number: Signals = SIGTERM) -> None:
        """Ends the child: asked first, killed when ``grace_seconds`` have passed; returns when it is reaped."""
        self.begin_stop(number)
        if self._task is None:
            return
        _, pending = await asyncio.wait((self._task,), timeout=grace_seconds)
        if pending:
            log.warning("%s did not end within %g s: killed", self.health.name, grace_seconds)
            self.signal(SIGKILL)
        await self._task

    def kill(self) -> None:
        """Ends the child at once."""
        self._stopping.set()
        self._wake.set()
        self.signal(SIGKILL)

    async def _run(self) -> None:
        young_deaths = 0
        while not self._stopping.is_set():
            served = await self._live()
            if self._stopping.is_set() or self._failure is not None:
                break
            self.health.restarts += 1
            if self._renewing:
                self._renewing, young_deaths = False, 0
                continue
            young_deaths = 1 if served >= SETTLED_SECONDS else young_deaths + 1
            pause = pause_before(young_deaths, LONGEST_PAUSE if self._needed or served else LONGEST_TRY)
            log.warning("%s ended (%s); next run in %g s", self.health.name, self.health.last_end, pause)
            await self._pause(pause)
        self._enter(State.ENDED)

    async def _live(self) -> float:
        """One run, from start to reaping; returns the seconds that it served."""
        try:
            child = self._child = Child(self._command)
        except OSError as error:
            self.health.last_end = f"could not start: {error.strerror}"
            if not self._needed:
                self._tried.set()
            return 0.0
        self._enter(State.STARTING)
        ready_at = await self._await_ready(child)
        await child.ended
        self._serves.clear()
        ended_at = asyncio.get_running_loop().time()
        self._clean_up()
        returncode = child.reap()
        self._child = None
        self.health.last_end = describe_end(returncode)
        if self._after_death is None:  # else it is what recovery found
            self.health.error = child.why
        self._enter(State.WAITING)
        if ready_at is None and not self._stopping.is_set():
            self._note_failure(returncode)
        return 0.0 if ready_at is None else ended_at - ready_at

    def _note_failure(self, returncode: int) -> None:
        """A run ended before it was ready: that of a start, or a later one."""
        if not self._needed:
            name, why = self.health.name, self.health.error or self.health.last_end or ""
            if why != self._complaint:
                log.error("%s does not serve (%s): all else does without it, and it is tried again", name, why)
            self._complaint = why
            self._tried.set()
        elif returncode >= 0 and not self._was_ready.is_set():
            meaningful = returncode if returncode in (2, 3, 4) else 1
            self._failure = ChildFailed(f"{self.health.name} failed to start ({self.health.last_end})", meaningful)

    async def _await_ready(self, child: Child) -> float | None:
        """The loop's time when the child became ready, or None when it did not; then it has ended or was killed."""
        said = None
        with contextlib.suppress(TimeoutError):
            said = await asyncio.wait_for(asyncio.shield(child.ready), self._ready_seconds)
        if said:
            if self._after_death is None:
                self.health.error = None  # of the run before; what recovery found stays
            if not self._stopping.is_set():
                self._enter(State.READY)
            self._complaint = ""
            self._was_ready.set()
            self._tried.set()
            self._serves.set()
            while self._untold:
                child.send(self._untold.pop())
            return asyncio.get_running_loop().time()
        if said is False:
            # The pipe closes a moment before the process is seen to have ended.
            await asyncio.wait((child.ended,), timeout=ENDING_SECONDS)
        if not child.ended.done():
            log.warning("%s did not get ready: killed", self.health.name)
            child.send(SIGKILL)
        return None

    def _clean_up(self) -> None:
        if self._after_death is None:
            return
        try:
            self._after_death()
            self.health.error = None
        except Exception as error:  # the outermost edge: whatever is wrong with the arena, the service goes on
            log.exception("cannot resolve what %s left behind", self.health.name)
            self.health.error = f"recovery failed: {error}"

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    def _enter(self, state: State) -> None:
        self.health.enter(state, self._child.pid if self._child is not None else None)
        self._changed()
