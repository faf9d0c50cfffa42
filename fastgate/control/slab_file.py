"""The exact cache's file: there before the snapshot that wants it, gone after the one that wanted another."""

import logging
from contextlib import suppress
from pathlib import Path

from fastgate._core.arena import ArenaError
from fastgate._core.slab import Slab, create_slab
from fastgate.wire.caching import slab_path

log = logging.getLogger("fastgate.control")


def prepare(folder: Path, megabytes: int) -> None:
    """Make it, where it is not there yet. Without room for it the workers serve without a cache."""
    path = slab_path(folder, megabytes)
    if not megabytes or is_usable(path):
        return
    try:
        create_slab(str(path), megabytes)
    except (ArenaError, OSError) as error:
        log.warning("no room for an exact cache of %d MB, so nothing is kept: %s", megabytes, error)


def is_usable(path: Path) -> bool:
    """Whether what is there can be used on; what an earlier start of the machine wrote cannot."""
    try:
        Slab(str(path))
    except (ArenaError, OSError):
        return False
    return True


def discard_others(folder: Path, megabytes: int) -> None:
    """Remove those of other sizes; who has one open has it until it follows."""
    for path in folder.glob("cache-*.bin"):
        if not megabytes or path != slab_path(folder, megabytes):
            with suppress(OSError):
                path.unlink()
