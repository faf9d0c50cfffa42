"""Time as the simulation has it: events in the order of their times, and processes that wait for them."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from greenlet import greenlet

START_NS: Final = 1_900_000_000_000_000_000
"""When all simulations begin, in Unix nanoseconds: in the middle of a month."""

_Do = Callable[..., object]


class Clock:
    """``now_ns`` stands still until an event is done. What is due at the same time is done as it was asked for."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self._due: list[tuple[int, int, _Do, tuple[Any, ...]]] = []
        self._asked = 0

    def at(self, time_ns: int, do: _Do, *arguments: Any) -> None:
        """Call it then."""
        self._asked += 1
        heappush(self._due, (time_ns, self._asked, do, arguments))

    def run(self, until_ns: int) -> None:
        """All that is due until then."""
        while self._due and self._due[0][0] <= until_ns:
            self.now_ns, _, do, arguments = heappop(self._due)
            do(*arguments)
        self.now_ns = until_ns


class Process:
    """Code that waits where it is: what it calls need not know that time passes meanwhile."""

    def __init__(self, clock: Clock, run: Callable[[], None]) -> None:
        self._clock = clock
        self._waits = 0
        self._code = greenlet(run)
        clock.at(clock.now_ns, self._go_on, self._waits)

    def wait(self, until_ns: int) -> None:
        """Until then, or until somebody wakes it; within the process."""
        self._waits += 1
        self._clock.at(until_ns, self._go_on, self._waits)
        hub = self._code.parent
        assert hub is not None
        hub.switch()

    def wake(self, at_ns: int) -> None:
        """At that time, where it still waits for the same."""
        self._clock.at(at_ns, self._go_on, self._waits)

    def _go_on(self, wait: int) -> None:
        """Nothing where it has gone on since."""
        if wait == self._waits and not self._code.dead:
            self._code.switch()
