"""A file system so small that a test can fill it: a tmpfs of its own, which takes root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BLOCK = 1 << 16


class SmallDisk:
    """``path`` is where it is mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Takes all the space but ``leave`` bytes."""
        with self._ballast.open("ab") as file, suppress(OSError):  # others may take some, too
            while self.left() > leave:
                file.write(bytes(min(BLOCK, self.left() - leave)))
                file.flush()

    def empty(self) -> None:
        """Gives the space back."""
        self._ballast.unlink()

    def left(self) -> int:
        """Free bytes."""
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounted for the block."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
