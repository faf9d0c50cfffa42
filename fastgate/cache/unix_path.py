"""Unix sockets in folders with long names: the kernel takes 107 bytes of a path."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MOST: Final = 107


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name of the same file that is short enough, for as long as the block runs. Raises OSError."""
    if len(os.fsencode(path)) <= _MOST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
