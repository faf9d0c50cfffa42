"""Resolving what dead processes left in the arena.

A hold whose request was not sent is voided, one whose request was sent is settled as ``unsettled``; which is which
stands in the arena. Whether an owner lives is told by the lock on its slot, which the kernel releases with the
process, never by a pid.
"""

import logging
from pathlib import Path

from fastgate.supervisor.errors import StateUnusable

log = logging.getLogger("fastgate.supervisor")


class Recovery:
    """The host's arena as the supervisor sees it: opened, or created where there is none.

    Raises:
        StateUnusable: the file is corrupt, of another version, or there is no room for it.

    """

    def __init__(self, arena_dir: Path) -> None:
        from fastgate._core.arena import Arena, ArenaError
        from fastgate._core.owner import SUPERVISOR, Owner

        self._folder = str(arena_dir)
        try:
            self._arena = Arena(str(arena_dir / "arena.bin"), True)
            self._me = Owner(self._arena, SUPERVISOR)
        except (ArenaError, OSError) as error:
            raise StateUnusable(f"cannot use the arena in {arena_dir}: {error}") from error

    def resolve(self) -> None:
        """Resolves the holds of every owner that no longer lives; what was resolved before is not touched again."""
        from fastgate._core.owner import dead_slots
        from fastgate._core.recovery import recover

        for slot in dead_slots(self._arena):
            counts = recover(self._arena, self._me, slot, self._folder)
            if any(counts.values()):
                log.warning(
                    "holds of a dead process resolved: %s", ", ".join(f"{n} {what}" for what, n in counts.items())
                )

    def close(self) -> None:
        """Leaves the arena."""
        self._me.release()
