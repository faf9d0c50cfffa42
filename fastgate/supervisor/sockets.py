"""Listening sockets: one per worker, all on one address, open for as long as the supervisor lives.

The kernel spreads connections over sockets that share an address (``SO_REUSEPORT``). The supervisor keeps each worker's
socket open while that worker restarts: connections that arrive meanwhile wait in its queue and are not refused.
"""

import errno
import socket

from fastgate.supervisor.errors import PortInUse

BACKLOG = 16_384


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """``count`` sockets listening on one address; port 0 takes a free one, the same for all.

    Raises:
        PortInUse: the address is taken, unknown or not permitted.

    """
    family, address = _resolve(host, port)
    _refuse_shared(family, address)
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(_listener(family, address))
            address = (address[0], sockets[0].getsockname()[1])
    except OSError as error:
        close(sockets)
        raise _refusal(address, error) from error
    return sockets


def close(sockets: list[socket.socket]) -> None:
    """Closes them all."""
    for one in sockets:
        one.close()


def check_free(host: str, port: int) -> None:
    """Raises :class:`PortInUse` when a child that binds this address by itself would fail."""
    family, address = _resolve(host, port)
    _refuse_shared(family, address)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise PortInUse(f"cannot listen on {host}:{port}: no such address ({error})") from error
    return family, (str(address[0]), int(address[1]))


def _refuse_shared(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    """A second server of the same user could share the port unnoticed; binding without ``SO_REUSEPORT`` finds it."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise _refusal(address, error) from error


def _listener(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # What is accepted inherits it: a chunk of a stream must not wait for the client's acknowledgement of the last.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _refusal(address: tuple[str, int], error: OSError) -> PortInUse:
    where = f"{address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"port {address[1]} is in use: another program listens on {where}; choose another port")
    return PortInUse(f"cannot listen on {where}: {error.strerror}")
