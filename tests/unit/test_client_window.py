"""How much waits for a client is asked of its own connection, and of no other one when that is gone."""

import asyncio
import socket
import struct
from contextlib import suppress

import pytest

from fastgate.gateway.relay import has_room
from fastgate.gateway.window import LEAST_OUTSTANDING, ClientWindow

AT_ONCE = struct.pack("ii", 1, 0)
MANY = 100_000
"""Requests that are open: each client has the least that it may have."""


def connect(listener: socket.socket, port: int) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection from ``port`` (0: any)."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    client.bind(("127.0.0.1", port))
    client.connect(listener.getsockname())
    return client, listener.accept()[0]


def test_a_connection_that_is_gone_is_not_sought_again() -> None:
    """Even one with its very name is another: all others would be looked at for each client that leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client, served = connect(listener, 0)
        host, port = client.getsockname()
        window = ClientWindow(f"{host}:{port}")
        served.sendall(b"x" * 10)
        assert client.recv(10) == b"x" * 10
        assert window.progress() is not None
        client.close()
        served.close()
        assert window.progress() is None
        again, served = connect(listener, port)
        assert window.progress() is None
        assert window.outstanding() == 0
        assert ClientWindow(f"{host}:{port}").progress() is not None
        again.close()
        served.close()


@pytest.mark.parametrize("reads", [True, False])
def test_more_waits_for_who_takes_something_and_who_takes_nothing_is_cut(reads: bool) -> None:
    async def has_room_then(client: socket.socket, served: socket.socket) -> bool:
        host, port = client.getsockname()
        window = ClientWindow(f"{host}:{port}", lambda: MANY)
        window.sent = served.send(b"x")
        assert window.outstanding() == 0
        with suppress(BlockingIOError):
            while True:
                window.sent += served.send(bytes(LEAST_OUTSTANDING))
        window.sent += LEAST_OUTSTANDING  # more than the kernel takes
        waiting = asyncio.ensure_future(has_room(window, 0.2))
        while reads and not waiting.done():
            await asyncio.sleep(0)
            with suppress(BlockingIOError):
                client.recv(LEAST_OUTSTANDING)
        return await waiting

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client, served = connect(listener, 0)
        with client, served:
            client.setblocking(False)
            served.setblocking(False)
            assert asyncio.run(has_room_then(client, served)) == reads
            client.settimeout(10)
            while not reads and client.recv(1 << 20):
                pass
