"""HTTP/2 from clients that begin with it on a plain connection (prior knowledge, ``h2c``).

Our own server speaks HTTP/1.1 alone. A connection that begins with HTTP/2 is passed on, byte for byte, to Granian on a
loopback socket of this process, which is there from the first such client on. To Granian all of them come from here, so
their addresses are kept, and what comes by no connection of ours is refused.
"""

import asyncio
import socket
from typing import Any, Final

from fastgate.gateway.front import BACKLOG, Application, WorkerServer

_LOOPBACK: Final = "127.0.0.1"
_REFUSED: Final = 403


class Known:
    """A scope, but for its client: the one behind our own connection."""

    __slots__ = ("_scope", "client")

    def __init__(self, scope: Any, client: str) -> None:
        self._scope = scope
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)


class End(asyncio.Protocol):
    """One end of a connection that is passed on: what comes is written to the other end, as fast as that takes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Any = None) -> None:
        self.transport = transport
        self.other: End | None = None
        self.gone = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be written to."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Nothing is read before the other end is there."""
        assert self.other is not None
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        """Too much waits here."""
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """It does not any more."""
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is closed with this one, when what it still has is written."""
        self.gone.set_result(None)
        if self.other is not None:
            self.other.transport.close()


class PriorKnowledge:
    """The HTTP/2 side of a worker's plain front."""

    def __init__(self, application: Application, loop: asyncio.AbstractEventLoop) -> None:
        self._application = application
        self._loop = loop
        self._server: WorkerServer | None = None
        self._port = 0
        self._clients: dict[str, str] = {}
        """Addresses of clients, by that of our end of their connection to Granian."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request, as Granian has it."""
        client = self._clients.get(scope.client)
        if client is None:
            protocol.response_empty(_REFUSED, [])
        else:
            await self._application.__rsgi__(Known(scope, client), protocol)

    def take(self, transport: Any, address: str, data: bytes) -> End:
        """The protocol of a connection from ``address`` ("host:port") on which ``data`` came, from now on."""
        transport.pause_reading()
        end = End(self._loop, transport)
        self._spawn(self._pass_on(end, address, data))
        return end

    async def close(self, seconds: float) -> None:
        """Ask the clients to go (GOAWAY), and return when they have, after ``seconds`` at the latest."""
        if self._server is not None:
            self._server.signal_handler_interrupt()  # type: ignore[no-untyped-call]
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _pass_on(self, outer: End, address: str, data: bytes) -> None:
        """Join the two ends; until both are gone the client's address is known."""
        inner = End(self._loop)
        try:
            self._start()
            await self._loop.create_connection(lambda: inner, _LOOPBACK, self._port)
        except OSError:
            outer.transport.abort()
            return
        host, port = inner.transport.get_extra_info("sockname")
        self._clients[f"{host}:{port}"] = address
        outer.other, inner.other = inner, outer
        inner.transport.write(data)
        if outer.transport.is_closing():
            inner.transport.close()
        else:
            outer.transport.resume_reading()
        await inner.gone
        del self._clients[f"{host}:{port}"]

    def _start(self) -> None:
        if self._server is not None:
            return
        listener = socket.create_server((_LOOPBACK, 0), backlog=BACKLOG)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = listener.getsockname()[1]
        self._server = WorkerServer(self, listener.detach(), None)
        self._spawn(self._server.serve())

    def _spawn(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
