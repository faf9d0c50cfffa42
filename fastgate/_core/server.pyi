import socket
from asyncio import AbstractEventLoop, BaseProtocol
from collections.abc import Awaitable, Callable
from typing import Any, final

from fastgate._core.client import Host
from fastgate._core.runner import Runner

@final
class Server(Host):
    """Serves ``application(scope, protocol)``, which raises nothing, to at most ``most`` clients at once.

    ``relay(transport, address, data)``: the protocol that goes on with a connection on which ``data`` came, the
    beginning of HTTP/2; ``address``: the client's, as ``host:port``. A request's head has to be whole within
    ``head_seconds``; a connection without one is closed after ``idle_seconds``, which should be longer than load
    balancers keep theirs, as a request may be on its way when it closes. Both are kept to within a second. Belongs to
    one event loop and its thread, as does ``runner``, by which the application runs.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        application: Callable[[Any, Any], Awaitable[None]],
        relay: Callable[[Any, str, bytes], BaseProtocol],
        *,
        most: int = 16_384,
        head_seconds: float = 30,
        idle_seconds: float = 120,
        runner: Runner | None = None,
    ) -> None: ...
    @property
    def connections(self) -> int:
        """How many clients are connected."""
    async def listen(self, sock: socket.socket, backlog: int) -> None:
        """Accept on a socket that is bound; it is the server's own from then on."""
    def turn_away(self) -> None:
        """Accept no more; those who are connected are served on. Others may accept on the same socket."""
    async def last_looks(self) -> None:
        """Accept no more, and read what has come already."""
    def announce(self) -> None:
        """No connection outlives its next answer, and each answer says so, as far as its head has not gone out."""
    def part(self, idle_seconds: float, first_seconds: float) -> bool:
        """Close the connections that have been idle for so long; whether any is left on which a request may come.

        ``first_seconds``: how long it may take who has not asked yet.
        """
    async def close(self, seconds: float) -> None:
        """Accept no more; idle connections end now, others with their answers, after ``seconds`` at the latest."""
