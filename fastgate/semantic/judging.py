"""Pairs of answers that wait for a judge: so many at most, a few at a time, each word under a deadline.

Whatever keeps the judge from a clear word, the pair counts as different, at once or at the deadline: then less is
served than might be. Each outcome is counted.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from fastgate.semantic.errors import JudgeFailed
from fastgate.semantic.judge import ALIKE, UNLIKE, Pair, material, word_of
from fastgate.semantic.settings import JudgeSettings

TOGETHER: Final = 2
"""Pairs that a judge is asked about at the same time."""
WAITING: Final = 64
"""Pairs that wait for that."""
MOST_CHARS: Final = 20_000
"""Of two questions and two answers together, as they are sent."""

Then = Callable[[bool], Awaitable[None]]
"""What is done with a verdict: whether the answers say the same."""

log = logging.getLogger("fastgate.semantic")


class Judge(Protocol):
    """Who is asked."""

    async def said(self, line: str) -> str:
        """See JudgeEndpoint. Raises JudgeFailed."""

    async def close(self) -> None:
        """Lets go of what it holds."""


class _Case(NamedTuple):
    line: str
    then: Then


class Judging:
    """For one loop. ``count`` is told each outcome: ``same``, ``different``; or why it counts as that: ``late``,
    ``failed``, ``unreadable``, ``full``, ``too long``; or ``fault``: what should not happen did, and the pair is left
    out."""

    def __init__(self, judge: Judge, settings: JudgeSettings, count: Callable[[str], None]) -> None:
        self._judge = judge
        self._seconds = settings.deadline_ms / 1000
        self._count = count
        self._waiting: deque[_Case] = deque()
        self._busy = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._clocks: set[asyncio.Timeout] = set()
        self._closed = False
        self._complaint = ""

    async def submit(self, pair: Pair, then: Then) -> None:
        """Have a pair judged some time; ``then`` is called once, and at once where the judge is not to be asked."""
        line = material(pair)
        if len(line) > MOST_CHARS:
            self._count("too long")
            await then(False)
        elif len(self._waiting) >= WAITING:
            self._count("full")
            await then(False)
        else:
            self._waiting.append(_Case(line, then))
            if self._busy < TOGETHER:
                self._busy += 1
                task = asyncio.get_running_loop().create_task(self._work())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for the judge no more: what has no verdict yet counts as different, and as late."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for clock in self._clocks:
            if not clock.expired():
                clock.reschedule(now)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._judge.close()

    async def _work(self) -> None:
        try:
            while self._waiting:
                case = self._waiting.popleft()
                try:
                    outcome = await self._outcome(case.line)
                    self._count(outcome)
                    await case.then(outcome == "same")
                except Exception:  # the outermost edge: one verdict is lost, the process goes on
                    self._count("fault")
                    log.exception("a verdict is lost")
        finally:
            self._busy -= 1

    async def _outcome(self, line: str) -> str:
        if self._closed:
            return "late"
        try:
            async with asyncio.timeout(self._seconds) as clock:
                self._clocks.add(clock)
                try:
                    word = word_of(await self._judge.said(line))
                finally:
                    self._clocks.discard(clock)
        except TimeoutError:
            self._complain("the judge is late")
            return "late"
        except JudgeFailed as error:
            self._complain(str(error))
            return "failed"
        self._complain(f"the judge says neither {ALIKE} nor {UNLIKE}" if word == "unreadable" else "")
        return word

    def _complain(self, why: str) -> None:
        """Once, until it is something else."""
        if why and why != self._complaint and not self._closed:
            log.warning("%s: answers that it was asked about count as different", why)
        self._complaint = why


def open_judging(settings: JudgeSettings, count: Callable[[str], None]) -> Judging:
    """For the judge that is configured. Its HTTP client is loaded for this alone."""
    from fastgate.semantic.judge_endpoint import JudgeEndpoint

    return Judging(JudgeEndpoint(settings), settings, count)
