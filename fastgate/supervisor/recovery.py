"""Resolving what dead processes left in the arena.

A hold whose request was not sent is voided, one whose request was sent is settled as ``unsettled``; which is which
stands in the arena. Whether an owner lives is told by the lock on its slot, which the kernel releases with the
process, never by a pid.
"""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fastgate.supervisor.errors import StateUnusable

if TYPE_CHECKING:
    from fastgate._core.arena import Arena

log = logging.getLogger("fastgate.supervisor")


class Recovery:
    """The host's arena as the supervisor sees it: opened, or created where there is none.

    One that cannot be relied on (damaged, of another version, from before the machine's last start) is set aside; the
    control process then rebuilds the counters of the new one from the ledger. No other process may have it open.

    Raises:
        StateUnusable: the file cannot be read, or there is no room for it.

    """

    def __init__(self, arena_dir: Path) -> None:
        from fastgate._core.arena import ArenaError
        from fastgate._core.owner import SUPERVISOR, Owner

        self._folder = str(arena_dir)
        try:
            self._arena = _open(arena_dir)
            self._me = Owner(self._arena, SUPERVISOR)
        except (ArenaError, OSError) as error:
            raise StateUnusable(f"cannot use the arena in {arena_dir}: {error}") from error

    @property
    def generation(self) -> int:
        """The snapshot that was in force last; the control process compiles one of a higher number when it starts."""
        return self._arena.snapshot_generation

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

    def beats(self) -> dict[int, int]:
        """The last sign of life of every process that lives, by pid. What was left to be resolved later is, now."""
        from fastgate._core.owner import owners

        found = owners(self._arena)
        if not all(owner["alive"] for owner in found):
            self.resolve()
        return {owner["pid"]: owner["heartbeat_ns"] for owner in found if owner["alive"]}

    def close(self) -> None:
        """Leaves the arena."""
        self._me.release()


def _open(folder: Path) -> "Arena":
    """The arena of ``folder``, sound; a new one where there is none or where what there was had to be set aside."""
    from fastgate._core.arena import Arena, CorruptArena
    from fastgate._core.inspection import inspect

    path = folder / "arena.bin"
    try:
        arena = Arena(str(path), True)
        inspect(arena)
    except CorruptArena as reason:
        aside = _set_aside(path)
        log.warning("%s: set aside as %s; a new arena is made, its counters come from the ledger", reason, aside)
        return Arena(str(path), True)
    return arena


def _set_aside(path: Path) -> Path:
    """Renames the arena. Its owners' journals are sealed: what they committed is good and goes to the ledger.

    The last one is kept for whoever asks what became of it; all of them would fill the memory that most lie in.
    """
    from fastgate._core.journal import open_segments, segments_of

    for segment in open_segments(segments_of(str(path.parent))):
        segment.seal()
    for older in path.parent.glob("arena-*.damaged"):
        older.unlink()
    aside = path.with_name(f"arena-{time.time_ns()}.damaged")
    path.rename(aside)
    return aside
