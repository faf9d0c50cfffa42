"""After a restore: the arena counts for what was there before, so it is set aside once, before it is opened."""

import logging
import time
from pathlib import Path
from typing import Final

from fastgate.backup.contents import RESTORED, RESTORING
from fastgate.supervisor.errors import StateUnusable

PATTERNS: Final = ("arena.bin", "journal-*.seg", "snapshot.bin", "changes-*.bin")

log = logging.getLogger("fastgate.supervisor")


def take_up(state_dir: Path, arena_dir: Path) -> None:
    """Makes room for a new arena where the state folder was restored; the counters then come from its ledger.

    Raises :class:`StateUnusable` where a restore was interrupted: the folder has only some of its files.
    """
    if (state_dir / RESTORING).exists():
        raise StateUnusable(
            f"a restore into {state_dir} was interrupted, so that files are missing: "
            "run `fastgate state restore --force` again"
        )
    if not (state_dir / RESTORED).exists():
        return
    found = [path for pattern in PATTERNS for path in arena_dir.glob(pattern)]
    if found:
        aside = arena_dir / f"replaced-{time.time_ns()}"
        aside.mkdir(mode=0o700)
        for path in found:
            path.rename(aside / path.name)
        log.warning("the state was restored: the arena of what was there before is in %s, and can be deleted", aside)
    (state_dir / RESTORED).unlink()
