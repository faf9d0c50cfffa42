"""How much waits for a client is asked of its own connection, and of no other one when that is gone."""

import socket
import struct

from fastgate.gateway.window import ClientWindow

AT_ONCE = struct.pack("ii", 1, 0)


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
