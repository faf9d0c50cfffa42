"""How a worker leaves without a failed request: it accepts no more, and each answer asks its client to connect anew.

An idle connection that is simply closed fails the request that is on its way to it at that moment. So a worker that
another one replaces goes on serving its connections, with ``connection: close``, until none of them is left.
"""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from fastgate.gateway.window import borrowed

CLOSE: Final = ("connection", "close")
"""Said on the last answer of a connection, in HTTP/1."""
FIRST_SECONDS: Final = 1.0
"""For the first request of who has just connected, when nobody else may."""


class Doorway:
    """The listening socket that a worker has from its supervisor, and the connections that came by it."""

    def __init__(self, descriptor: int) -> None:
        with borrowed(descriptor) as listener:
            self._family: int = listener.family
            self._port: int = listener.getsockname()[1]
            self._inode = os.fstat(descriptor).st_ino

    def leave(self) -> None:
        """Accept no more. What waits in the socket's queue is for whoever else has it."""
        for descriptor in _descriptors():
            with suppress(OSError):
                if os.fstat(descriptor).st_ino == self._inode:
                    silence(descriptor)

    def connections(self) -> int:
        """How many clients are connected."""
        return sum(map(self._is_client, _descriptors()))

    def _is_client(self, descriptor: int) -> bool:
        try:
            with borrowed(descriptor) as connection:
                if connection.family != self._family or connection.getsockname()[1] != self._port:
                    return False
                connection.getpeername()
        except (OSError, ValueError):
            return False
        return True


def silence(descriptor: int) -> None:
    """Put a socket to which nobody ever connects in the place of a listening one, which others go on to accept from.

    A server cannot stop accepting without closing its idle connections, too, and with them the requests that are on
    their way on them; and the socket itself must go on listening.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as quiet:
        quiet.setblocking(False)
        quiet.bind("")  # a name that the kernel makes up, and that nobody is told
        quiet.listen(1)
        os.dup2(quiet.fileno(), descriptor, inheritable=False)


def _descriptors() -> Iterable[int]:
    return map(int, os.listdir("/proc/self/fd"))
