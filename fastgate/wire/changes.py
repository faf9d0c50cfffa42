"""What changed since a snapshot was written: a log beside it, appended by one process and read by many.

The log of the snapshot with generation 7 is ``changes-7.bin``. An entry is the length of a record, a check of
all that follows, the digest under which it is found, and the record (40 bytes and more, numbers little-endian);
without a record, what was under that digest is gone. The last entry of a digest counts. Entries are whole once the
file is long enough for them, so a reader needs no word from the writer, and applying some of them again changes
nothing.

The log needs no flush to the disk: whoever starts anew writes a new snapshot, and with it an empty log.
"""

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from fastgate._core.snapshot import CorruptSnapshot, blob_check

Change = tuple[bytes, bytes]
"""A digest and what is under it from now on; empty: nothing."""

MOST_PER_READ: Final = 4 << 20
"""Bytes that a reader takes at once: more waits for its next look."""
MOST_RECORD: Final = 1 << 20
_HEAD: Final = struct.Struct("<II32s")


def log_path(folder: Path, generation: int) -> Path:
    """Where the changes to the snapshot of this generation are."""
    return folder / f"changes-{generation}.bin"


class ChangeLog:
    """``ChangeLog(path)``: a new, empty log, 0600, since providers' names and budgets are nobody else's business."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def append(self, changes: Iterable[Change]) -> None:
        """Raises ``OSError`` where not all of them could be written; then the same may be appended again.

        Readers may have taken the first of them already, so what is cut back is half an entry at most.
        """
        entries = [_HEAD.pack(len(blob), blob_check(digest, digest + blob), digest) + blob for digest, blob in changes]
        data = b"".join(entries)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._fd, data[written:], self.size + written)
        finally:
            whole = 0
            for entry in entries:
                if whole + len(entry) > written:
                    break
                whole += len(entry)
            self.size += whole
            if whole < written:
                os.ftruncate(self._fd, self.size)

    def close(self) -> None:
        """Ends the writing; readers keep what they have open."""
        os.close(self._fd)

    def remove(self) -> None:
        """Closes it and takes its name away."""
        self.close()
        with suppress(FileNotFoundError):
            self.path.unlink()


class Changes:
    """``Changes(path)``: a log, read from its beginning. Raises ``OSError`` where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._read = 0

    def read(self) -> list[Change]:
        """The entries that are new, some of them where they are many. Raises :class:`CorruptSnapshot`."""
        if os.fstat(self._fd).st_size <= self._read:
            return []
        data = os.pread(self._fd, MOST_PER_READ, self._read)
        found, at = [], 0
        while at + _HEAD.size <= len(data):
            length, check, digest = _HEAD.unpack_from(data, at)
            if length > MOST_RECORD:
                raise CorruptSnapshot(f"{self.path}: an entry of {length} bytes")
            end = at + _HEAD.size + length
            if end > len(data):
                break
            blob = data[at + _HEAD.size : end]
            if blob_check(digest, digest + blob) != check:
                raise CorruptSnapshot(f"{self.path}: the entry at {self._read + at} is damaged")
            found.append((digest, blob))
            at = end
        self._read += at
        return found

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._fd)
