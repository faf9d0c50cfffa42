"""What accepts a worker's connections over TLS: Granian, in this process, on the socket that the supervisor keeps."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from granian._granian import SocketHolder
from granian.constants import SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from fastgate.gateway.leaving import FIRST_SECONDS, Doorway, silence
from fastgate.wire.snapshot import certificate_digest

BACKLOG: Final = 16_384
MOST_HEADERS: Final = 256 << 10
"""Bytes of headers in one HTTP/2 request; the server by itself would take 16 MB."""

log = logging.getLogger("fastgate.gateway")


class Application(Protocol):
    """What serves requests: the gateway, or a layer around it."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request. Raises nothing."""


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    cert: Path
    key: Path


class WorkerServer(Server):
    """Granian on the listening socket ``descriptor``, which is its own from then on.

    Raises ``OSError`` (``ssl.SSLError`` is one) where the pair cannot be used.
    """

    def __init__(self, application: Application, descriptor: int, pair: Pair | None) -> None:
        super().__init__(
            application,
            interface="rsgi",  # type: ignore[arg-type]
            log_enabled=False,
            websockets=False,
            backlog=BACKLOG,
            backpressure=BACKLOG,
            http1_settings=HTTP1Settings(header_read_timeout=30_000),
            http2_settings=HTTP2Settings(max_headers_size=MOST_HEADERS),
            ssl_cert=pair.cert if pair else None,
            ssl_key=pair.key if pair else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self.descriptor = descriptor

    def _init_shared_socket(self) -> None:
        self._shd: Any = SocketHolder(self.descriptor, False, BACKLOG)  # type: ignore[call-arg]
        self._sfd: Any = self.descriptor


class Front:
    """Serves an application over TLS with a pair whose renewal takes effect without a connection lost.

    The server cannot change its certificate. So another one takes over the listening socket, and the one before goes on
    with the connections that it has; it ends with the next renewal.
    """

    def __init__(self, application: Application, descriptor: int, pair: Pair) -> None:
        self._application = application
        self._pair = pair
        self._shown = certificate_digest(pair.cert)
        self._heard = self._shown
        self._server = WorkerServer(application, descriptor, pair)
        self._before: WorkerServer | None = None
        self._doorway = Doorway(descriptor)
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until :meth:`stop`, and what is open then has ended."""
        self._begin(self._server)
        while self._serving:
            done, _ = await asyncio.wait(self._serving, return_when=asyncio.FIRST_COMPLETED)
            self._serving -= done

    def stop(self) -> None:
        """Accept no more."""
        for server in (self._before, self._server):
            if server is not None:
                server.signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def leave(self) -> None:
        """Accept no more, but serve on who is connected."""
        self._doorway.leave()

    def announce(self) -> None:
        """Answers say by themselves that they are the last of their connections."""

    async def drain(self) -> None:
        """As :meth:`leave`: the server closes idle connections when it stops."""
        self.leave()

    def part(self, idle_seconds: float, quiet_seconds: float) -> bool:
        """Whether a request may still come after so long without one: nobody tells which connections are idle."""
        if quiet_seconds == 0:  # one is being served: who is connected need not be counted
            return True
        return quiet_seconds < max(idle_seconds, FIRST_SECONDS) and self.connections() > 0

    def connections(self) -> int:
        """How many clients are connected."""
        return self._doorway.connections()

    def follow(self, certificate: str) -> None:
        """``certificate``: the digest of the one that was found good last; another than before is taken up."""
        if certificate == self._heard:
            return
        self._heard = certificate
        try:
            found = certificate_digest(self._pair.cert)
            if found != self._shown:
                self._renew(self._pair)
                self._shown = found
        except OSError as error:
            log.error("%s cannot be taken up, the certificate before stays: %s", self._pair.cert, error)  # noqa: TRY400

    def _renew(self, pair: Pair) -> None:
        descriptor = os.dup(self._server.descriptor)
        try:
            renewed = WorkerServer(self._application, descriptor, pair)
        except OSError:
            os.close(descriptor)
            raise
        self._begin(renewed)
        silence(self._server.descriptor)
        if self._before is not None:
            self._before.signal_handler_interrupt()  # type: ignore[no-untyped-call]
        self._before, self._server = self._server, renewed
        log.info("the renewed certificate in %s is shown from now on", pair.cert)

    def _begin(self, server: WorkerServer) -> None:
        self._serving.add(asyncio.get_running_loop().create_task(server.serve()))
