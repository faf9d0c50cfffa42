"""What accepts a worker's connections without TLS: our own server for HTTP/1.1, Granian behind it for HTTP/2."""

import asyncio
import socket
from typing import Final

from fastgate._core.runner import Runner
from fastgate._core.server import Server
from fastgate.gateway.front import BACKLOG, Application
from fastgate.gateway.leaving import FIRST_SECONDS
from fastgate.gateway.prior_knowledge import PriorKnowledge

_FLUSH_SECONDS: Final = 1.0
"""For clients to take the ends of answers that have been given when the worker goes."""


class PlainFront:
    """Serves an application on the listening socket ``descriptor``, which is its own from then on, by ``runner``."""

    def __init__(self, application: Application, descriptor: int, runner: Runner) -> None:
        loop = runner.loop
        self._listener = socket.socket(fileno=descriptor)
        self._prior = PriorKnowledge(application, loop)
        self._server = Server(loop, application.__rsgi__, self._prior.take, most=BACKLOG, runner=runner)
        self._stopped = asyncio.Event()

    async def serve(self) -> None:
        """Until :meth:`stop`, and what is open then has ended."""
        await self._server.listen(self._listener, BACKLOG)
        await self._stopped.wait()
        await asyncio.gather(self._server.close(_FLUSH_SECONDS), self._prior.close(_FLUSH_SECONDS))

    def stop(self) -> None:
        """Accept no more."""
        self._stopped.set()

    def follow(self, certificate: str) -> None:
        """There is none to renew."""

    def leave(self) -> None:
        """Accept no more, but serve on who is connected. What waits in the queue is for whoever else has the socket."""
        self._server.turn_away()

    def announce(self) -> None:
        """Each connection ends with its next answer, and the answers say so."""
        self._server.announce()

    async def drain(self) -> None:
        """Accept no more, and read what has come already."""
        await self._server.last_looks()

    def part(self, idle_seconds: float, quiet_seconds: float) -> bool:
        """Close connections that have been idle for so long; whether any is left on which a request may come."""
        return self._server.part(idle_seconds, max(idle_seconds, FIRST_SECONDS))

    def connections(self) -> int:
        """How many clients are connected."""
        return self._server.connections + self._prior.connections
