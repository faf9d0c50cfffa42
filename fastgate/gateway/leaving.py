"""How a worker leaves without a failed request: it accepts no more, and each answer asks its client to connect anew.

An idle connection that is simply closed fails the request that is on its way to it at that moment. So a worker that
another one replaces goes on serving its connections, with ``connection: close``, until none of them is left.
"""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from fastgate.gateway.window import borrowed

_CLOSE: Final = ("connection", "close")
_Headers = Iterable[tuple[str, str]]


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


class LastAnswer:
    """The protocol of a request whose answer, in HTTP/1, is the last one on its connection."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def __call__(self) -> Any:
        """The body."""
        return self._protocol()

    def __aiter__(self) -> Any:
        """The body in pieces."""
        return self._protocol.__aiter__()

    async def client_disconnect(self) -> None:
        """Returns when the client has left."""
        await self._protocol.client_disconnect()

    def response_empty(self, status: int, headers: _Headers) -> None:
        """An answer without a body."""
        self._protocol.response_empty(status, _with_close(headers))

    def response_bytes(self, status: int, headers: _Headers, body: bytes) -> None:
        """An answer in one piece."""
        self._protocol.response_bytes(status, _with_close(headers), body)

    def response_stream(self, status: int, headers: _Headers) -> Any:
        """An answer in pieces; what takes them."""
        return self._protocol.response_stream(status, _with_close(headers))


def _with_close(headers: _Headers) -> list[tuple[str, str]]:
    return [*(each for each in headers if each != _CLOSE), _CLOSE]
