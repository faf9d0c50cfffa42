"""How much of an answer its client has not taken yet.

The server accepts every byte at once and never says how many still wait, so the kernel is asked: what the peer has
acknowledged on the connection, against what was handed over. Only answers that are large enough to matter ask at all.
"""

import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

MOST_OUTSTANDING: Final = 1 << 20
"""Bytes that may wait for one client before its upstream is paused."""
LEAST_OUTSTANDING: Final = 64 << 10
WORKER_OUTSTANDING: Final = 256 << 20
"""Bytes that may wait for all clients of a worker: the more requests are open, the less each may have."""

_BYTES_ACKED: Final = 120  # offset of tcpi_bytes_acked in struct tcp_info (linux/tcp.h)
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_UNSIGNED_64: Final = struct.Struct("=Q")


def _peer(name: tuple[object, ...]) -> str:
    host, port = name[0], name[1]
    return f"{host}:{port}"


@contextmanager
def borrowed(descriptor: int) -> Iterator[socket.socket]:
    """A descriptor that is the server's, as a socket; never closed here. Raises OSError where it is none."""
    connection = socket.socket(fileno=descriptor)
    try:
        yield connection
    finally:
        connection.detach()


def _peer_of(descriptor: int) -> str | None:
    """Who is at the other end; None where there is no connection."""
    try:
        with borrowed(descriptor) as connection:
            internet = connection.family in {socket.AF_INET, socket.AF_INET6}
            return _peer(connection.getpeername()) if internet else None
    except (OSError, ValueError):
        return None


_known: Final[dict[str, int]] = {}
"""Descriptors by peer, as of the last look at all of them."""


def _look_around() -> None:
    """All connections of this process at once, so that many answers do not each search for their own."""
    _known.clear()
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        peer = _peer_of(descriptor)
        if peer is not None:
            _known[peer] = descriptor


class ClientWindow:
    """What one answer handed over to the client ``peer`` ("host:port"); ``requests``: how many there are now."""

    __slots__ = ("_acked_at_first", "_descriptor", "_gone", "_peer", "_requests", "_sent_at_first", "due_at", "sent")

    def __init__(self, peer: str, requests: Callable[[], int] = lambda: 1) -> None:
        self._requests = requests
        self.sent = 0
        self.due_at = self.bound // 4
        """What has to be handed over before it is worth to look (again)."""
        self._peer = peer.replace("[", "").replace("]", "")
        self._descriptor = -1
        self._gone = False
        self._acked_at_first = 0
        self._sent_at_first = 0

    @property
    def bound(self) -> int:
        """Bytes that may wait for this client, as long as no more requests are open than now."""
        return max(LEAST_OUTSTANDING, min(MOST_OUTSTANDING, WORKER_OUTSTANDING // max(1, self._requests())))

    def outstanding(self) -> int:
        """Bytes that wait at most; 0 where the connection is gone, since then nothing waits any more.

        What had been handed over before the first look counts as waiting for as long as nothing proves otherwise.
        """
        self.due_at = self.sent + self.bound // 4
        acked = self._acked()
        if acked is None:
            return 0
        if not self._sent_at_first:
            self._acked_at_first, self._sent_at_first = acked, self.sent
            return 0  # the first look only sets the mark
        return max(0, self.sent - self._sent_at_first - (acked - self._acked_at_first))

    def progress(self) -> tuple[int, int] | None:
        """Bytes that the client has taken so far, and bytes that the kernel still has for it; None: it is gone."""
        acked = self._acked()
        if acked is None:
            return None
        left = bytearray(4)
        try:
            fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, left)
        except OSError:
            return None
        return acked, int.from_bytes(left, sys.byteorder)

    def cut(self) -> None:
        """End the connection to a client that takes nothing, and forget what waits for it in the kernel."""
        if self._find():
            with suppress(OSError), borrowed(self._descriptor) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                connection.shutdown(socket.SHUT_RDWR)

    def _acked(self) -> int | None:
        if not self._find():
            return None
        with suppress(OSError), borrowed(self._descriptor) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
            if len(info) >= _BYTES_ACKED + 8:
                return int(_UNSIGNED_64.unpack_from(info, _BYTES_ACKED)[0])
        return None

    def _find(self) -> bool:
        """Find the descriptor whose peer is the client; it may have been closed and its number used again since.

        A connection keeps its descriptor: once it was found, it is not sought again. Who leaves would else have all
        others looked at, and when many leave at once nobody is served for seconds.
        """
        if self._gone:
            return False
        if self._descriptor < 0:
            self._descriptor = _known.get(self._peer, -1)
            if not self._is_ours(self._descriptor):
                _look_around()
                self._descriptor = _known.get(self._peer, -1)
        self._gone = not self._is_ours(self._descriptor)
        return not self._gone

    def _is_ours(self, descriptor: int) -> bool:
        return _peer_of(descriptor) == self._peer
