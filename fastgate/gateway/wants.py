"""The line from a worker to the control process: a request lacks so much of what hosts share."""

import socket
from contextlib import suppress
from pathlib import Path

from fastgate.cache.unix_path import short
from fastgate.wire.leasing import SOCKET, encoded
from fastgate.wire.snapshot import BudgetRecord, LimitRecord


class Wants:
    """The line to the control process. ``wait_ms``: how long a request waits at most."""

    def __init__(self, folder: Path, wait_ms: int) -> None:
        self.wait_ns = wait_ms * 1_000_000
        self._path = folder / SOCKET
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def tell(self, cell: int, window: int, missing: int, record: BudgetRecord | LimitRecord) -> None:
        """A request lacks so much. Where nobody listens, or not fast enough, it waits in vain."""
        with suppress(OSError), short(self._path) as name:
            self._line.sendto(encoded(cell, window, missing, record), name)

    def close(self) -> None:
        """No more is told."""
        self._line.close()
