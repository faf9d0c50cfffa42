from asyncio import AbstractEventLoop
from ssl import SSLContext

from fastgate._core.connection import Keeper
from fastgate._core.exchange import Exchange
from fastgate._core.runner import Runner
from fastgate._core.tunnel import Proxy

class Pool(Keeper):
    """HTTP/1.1 connections to one host and port. Belongs to one event loop and its thread.

    Timeouts are in seconds (``math.inf``: none) and are kept to within a tenth of a second: ``connect`` covers waiting
    for a place, the proxy and the TLS handshake; ``first_byte`` runs from the request's sending; ``idle`` between two
    reads of the answer, resting while the caller has paused it; ``total`` from ``request`` to the answer's end.
    """

    host: str
    port: int
    max_connections: int

    def __init__(
        self,
        loop: AbstractEventLoop,
        host: str,
        port: int,
        *,
        ssl: SSLContext | None = None,
        server_hostname: str | None = None,
        proxy: Proxy | None = None,
        connect_timeout: float = 5,
        first_byte_timeout: float = 60,
        idle_timeout: float = 120,
        total_timeout: float = 600,
        max_connections: int = 16_384,
        keepalive_seconds: float = 60,
        stale_seconds: float = 2,
        max_head_bytes: int = 65536,
        runner: Runner | None = None,
    ) -> None:
        """Connects nowhere yet. ``runner``: whose runs ask, as tasks may; it has the same loop.

        Sets ALPN ``http/1.1`` on ``ssl``; ValueError for a timeout that is not above zero.
        """
    async def request(self, head: bytes, body: bytes, *, buffer_limit: int = 0) -> Exchange:
        """Sends a request and waits for its answer: the head alone with ``buffer_limit`` 0, else the whole answer
        unless its body is longer than ``buffer_limit`` bytes (then as soon as that is known).

        ``head`` is the request's head as it goes out, blank line included; its content-length is the caller's affair.
        A reused connection that turns out stale is replaced, once, by a fresh one, where no byte of an answer came.
        Raises an ``UpstreamError``. Cancelling the request ends its connection.
        """
    def retire(self) -> None:
        """Keeps no connection from now on: idle ones end now, busy ones with their exchange."""
    async def close(self) -> None:
        """Ends everything, open exchanges too (ClosedEarly), and returns when the last connection is gone."""
    def stats(self) -> dict[str, int]:
        """``connections`` (those being made too), ``idle`` ones, ``open`` exchanges, ``waiting`` ones."""
