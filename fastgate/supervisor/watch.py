"""Children that live and do nothing: they are ended, and so started again; a worker's holds are resolved like a dead
one's.

A worker tells the arena twenty times a second that it lives; the semantic process is asked (``Pinger``). What counts is
how often the supervisor has looked without finding anything new, not what the clock says: so a machine that slept, a
supervisor that was stopped, and a clock that was set make nobody look dead.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from signal import SIGKILL
from typing import Final

from fastgate.supervisor.health import State
from fastgate.supervisor.keeper import Keeper

LOOK_SECONDS: Final = 1.0
SILENT_LOOKS: Final = int(os.environ.get("FASTGATE_SILENT_LOOKS", "10"))
"""After so many looks without a sign of life a child is ended; the variable is for tests."""

log = logging.getLogger("fastgate.supervisor")


class Watch:
    """``beats`` gives the last sign of life of each process, by pid; ``keepers`` those to look after."""

    def __init__(self, beats: Callable[[], Mapping[int, int]], keepers: Callable[[], Iterable[Keeper]]) -> None:
        self._beats = beats
        self._keepers = keepers
        self._seen: dict[int, tuple[int, int]] = {}
        """By pid: the last sign of life, and for how many looks it has been the last."""
        self._complaint = ""

    async def run(self) -> None:
        """Looks once a second, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self.look()
            except Exception as error:  # the outermost edge: whatever is wrong with the arena, the service goes on
                if self._complaint != str(error):
                    log.exception("cannot look after the children")
                self._complaint = str(error)

    def look(self) -> None:
        """Ends those that have been silent for too long."""
        beats = self._beats()
        seen: dict[int, tuple[int, int]] = {}
        for keeper in self._keepers():
            pid = keeper.health.pid
            if pid is None or pid not in beats or keeper.health.state is not State.READY:
                continue
            last, looks = self._seen.get(pid, (0, 0))
            looks = looks + 1 if beats[pid] == last else 0
            seen[pid] = beats[pid], looks
            if looks >= SILENT_LOOKS:
                log.error("%s has given no sign of life for %d s: killed", keeper.health.name, looks * LOOK_SECONDS)
                keeper.signal(SIGKILL)
        self._seen = seen
