"""Every child anew while the host serves: an upgrade in place without a failed request.

The control process goes first: traffic does not need it, and what the next one compiles is what the next workers read.
What else workers can do without goes next, or stays where its next run could not start.
Then one worker after another: the next one starts beside it, on the same listening socket, and once that is ready the
one before accepts no more and leaves when its clients have. Where a next one does not get ready, all stays as it is.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence

from fastgate.supervisor.errors import ChildFailed
from fastgate.supervisor.keeper import Keeper

READY_SECONDS = 60.0

log = logging.getLogger("fastgate.supervisor")


class RenewalStopped(Exception):
    """A next child did not get ready; the message says which."""


class Renewal:
    """Renews ``control`` and ``workers``; ``another`` makes the keeper of the next worker number so and so.

    ``workers`` always holds those that are in charge; ``gone`` is called with one that has left. ``leave_seconds`` says
    how long a worker that leaves may take. ``mistakes`` says why a next control process would not start; empty: it
    would. ``beside``: further processes that traffic does not need; ``unfit`` says why their next runs would not start.
    """

    def __init__(
        self,
        control: Keeper,
        workers: Sequence[Keeper],
        another: Callable[[int], Keeper],
        gone: Callable[[Keeper], None],
        leave_seconds: Callable[[], float],
        *,
        mistakes: Callable[[], Awaitable[str]],
        unfit: Callable[[], Awaitable[str]],
        beside: Sequence[Keeper] = (),
    ) -> None:
        self.workers = list(workers)
        self._control = control
        self._another = another
        self._gone = gone
        self._leave_seconds = leave_seconds
        self._mistakes = mistakes
        self._unfit = unfit
        self._beside = beside
        self._leaving: dict[Keeper, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._again = False

    @property
    def keepers(self) -> list[Keeper]:
        """All workers, those that leave included."""
        return [*self.workers, *self._leaving]

    def begin(self) -> None:
        """Renews all; where that is under way already, once more after it."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        else:
            self._again = True

    async def stop(self) -> None:
        """Begins nothing more; a worker that was about to start is ended. Those that leave are the caller's."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            try:
                await self._renew()
            except RenewalStopped as reason:
                log.error("not renewed further: %s; what served before goes on", reason)  # noqa: TRY400

    async def _renew(self) -> None:
        if said := await self._mistakes():
            raise RenewalStopped(f"the configuration has mistakes:\n{said}")
        log.info("renewing every process, one after another")
        if not await self._control.renew(READY_SECONDS):
            raise RenewalStopped(f"the control process was not ready within {READY_SECONDS:g} s")
        for keeper in self._beside:
            if said := await self._unfit():
                log.error("%s is not renewed, and goes on as it is: %s", keeper.health.name, said)
            elif not await keeper.renew(READY_SECONDS):
                log.error("%s was not ready within %g s; it is tried again", keeper.health.name, READY_SECONDS)
        for index, before in enumerate(self.workers):
            self.workers[index] = await self._started(index)
            self._leaving[before] = asyncio.create_task(self._see_off(before))
        log.info("every process is renewed; %d workers leave when their clients have", len(self._leaving))

    async def _started(self, index: int) -> Keeper:
        """The next worker, ready. Raises RenewalStopped."""
        keeper = self._another(index)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await keeper.start()
        except ChildFailed as error:
            self._gone(keeper)
            raise RenewalStopped(str(error)) from error
        except (TimeoutError, asyncio.CancelledError) as reason:
            await keeper.stop(0)
            self._gone(keeper)
            if isinstance(reason, TimeoutError):
                raise RenewalStopped(f"{keeper.health.name} was not ready within {READY_SECONDS:g} s") from None
            raise
        return keeper

    async def _see_off(self, keeper: Keeper) -> None:
        keeper.health.name += ", leaving"  # the name is another one's now
        await keeper.stop(self._leave_seconds(), signal.SIGUSR2)
        self._leaving.pop(keeper, None)
        self._gone(keeper)
