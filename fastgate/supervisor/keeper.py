"""Keeps one child alive: starts it, waits until it serves, cleans up after its end and starts it again, without end.

A keeper never gives up. The first restart is immediate, a child that keeps dying young is restarted after pauses that
grow to :data:`LONGEST_PAUSE`, so that a crash loop costs little and still the service is back soon after its cause has
gone.
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
SETTLED_SECONDS = 5.0
"""A child that served for so long died of something new: the pauses start again from nothing."""

ENDING_SECONDS = 2.0

log = logging.getLogger("fastgate.supervisor")


def pause_before(young_deaths: int) -> float:
    """Seconds to wait after so many deaths in a row of children that did not last; none after the first."""
    return 0.0 if young_deaths <= 1 else min(LONGEST_PAUSE, 0.05 * 2.0 ** (min(young_deaths, 16) - 2))


class Keeper:
    """One child slot.

    ``after_death`` is called when a run has ended and before it is reaped; ``changed`` whenever ``health`` changed.
    """

    def __init__(
        self,
        name: str,
        command: Command,
        *,
        changed: Callable[[], None],
        after_death: Callable[[], None] | None = None,
        ready_seconds: float = 60.0,
    ) -> None:
        self.health = ChildHealth(name)
        self._command = command
        self._changed = changed
        self._after_death = after_death
        self._ready_seconds = ready_seconds
        self._child: Child | None = None
        self._stopping = asyncio.Event()
        self._was_ready = asyncio.Event()
        self._serves = asyncio.Event()
        self._renewing = False
        self._untold: set[Signals] = set()
        self._failure: ChildFailed | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the child and returns when it serves.

        Raises:
            ChildFailed: it exited by itself before it was ever ready; starting it again would not help. (One that was
                killed from outside is started again.)

        """
        self._task = asyncio.create_task(self._run(), name=self.health.name)
        ready = asyncio.create_task(self._was_ready.wait())
        try:
            await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
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
        self._renewing = True
        self.signal(SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._serves.wait(), seconds)
        return self._serves.is_set()

    def begin_stop(self, number: Signals = SIGTERM) -> None:
        """Asks the child by a signal to end, and lets no other run follow."""
        if not self._stopping.is_set():
            self._stopping.set()
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
            pause = pause_before(young_deaths)
            log.warning("%s ended (%s); next run in %g s", self.health.name, self.health.last_end, pause)
            await self._pause(pause)
        self._enter(State.ENDED)

    async def _live(self) -> float:
        """One run, from start to reaping; returns the seconds that it served."""
        try:
            child = self._child = Child(self._command)
        except OSError as error:
            self.health.last_end = f"could not start: {error.strerror}"
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
        self._enter(State.WAITING)
        if ready_at is None and returncode >= 0 and not self._was_ready.is_set() and not self._stopping.is_set():
            meaningful = returncode if returncode in (2, 3, 4) else 1
            self._failure = ChildFailed(f"{self.health.name} failed to start ({self.health.last_end})", meaningful)
        return 0.0 if ready_at is None else ended_at - ready_at

    async def _await_ready(self, child: Child) -> float | None:
        """The loop's time when the child became ready, or None when it did not; then it has ended or was killed."""
        said = None
        with contextlib.suppress(TimeoutError):
            said = await asyncio.wait_for(asyncio.shield(child.ready), self._ready_seconds)
        if said:
            if not self._stopping.is_set():
                self._enter(State.READY)
            self._was_ready.set()
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
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _enter(self, state: State) -> None:
        self.health.enter(state, self._child.pid if self._child is not None else None)
        self._changed()
