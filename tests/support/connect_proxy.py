"""A real HTTP proxy that makes tunnels (CONNECT), each on a thread of its own."""

import base64
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

SECONDS = 30


class ConnectProxy:
    """``with ConnectProxy() as proxy``: listens on ``proxy.port`` of 127.0.0.1 until the block ends.

    ``credentials``: a user and a password without which it answers 407. ``says``: what it answers instead of making a
    tunnel, before it waits for its client to leave. ``tls``: it is spoken to over TLS. ``targets``: of the tunnels that
    it made; ``heads``: the requests for them. ``names``: targets that are really a port of 127.0.0.1.
    """

    def __init__(
        self,
        *,
        credentials: tuple[str, str] | None = None,
        says: bytes | None = None,
        tls: ssl.SSLContext | None = None,
        names: Mapping[str, int] | None = None,
    ) -> None:
        self.targets: list[str] = []
        self.heads: list[bytes] = []
        self.tls = tls
        self._names = names or {}
        self.says = says
        pair = ":".join(credentials or ()).encode()
        self._wanted = b"proxy-authorization: Basic " + base64.b64encode(pair) if credentials else b""
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    proxy._serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """As in ``providers.*.proxy``, without user and password."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS)
        client = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
        with client:
            head = _head(client)
            self.heads.append(head)
            if self.says is not None:
                client.sendall(self.says)
                client.recv(1)
            elif self._wanted not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            else:
                self._tunnel(client, head.split()[1].decode())

    def _tunnel(self, client: socket.socket, target: str) -> None:
        host, _, port = target.rpartition(":")
        address = ("127.0.0.1", self._names[target]) if target in self._names else (host.strip("[]"), int(port))
        try:
            there = socket.create_connection(address, SECONDS)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        self.targets.append(target)
        with there:
            client.sendall(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
            _pump(client, there)


def _head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = client.recv(4096)
        if not piece:
            raise OSError("the client left")
        head += piece
    return head


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Bytes in both directions until either side ends."""
    while True:
        pending = isinstance(one, ssl.SSLSocket) and one.pending() > 0
        ready = [one] if pending else select.select([one, other], [], [], SECONDS)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(65_536)
            if not data:
                return
            (other if source is one else one).sendall(data)
