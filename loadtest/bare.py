"""The bare relay: ``python -m loadtest.bare PORT UPSTREAM_PORT SOURCE_PORT``.

Granian, as fastgate's workers have it for TLS and HTTP/2, and their upstream client, and nothing between the two: what
a gateway costs on such a server when all that makes it a gateway is taken away.
"""

import asyncio
import gc
import socket
import sys
from typing import Any, Final

import uvloop

from fastgate._core.upstream import Pool
from fastgate.gateway.front import BACKLOG, WorkerServer

STREAM_PATH: Final = "/stream"
_LIMIT: Final = 8 << 20
_HEAD: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\naccept-encoding: identity\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)


class Relay:
    """An RSGI application: bytes in, bytes out."""

    def __init__(self, constant: Pool, source: Pool) -> None:
        self._constant = constant
        self._source = source

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        body = await protocol()
        head = _HEAD % len(body)
        if scope.path == STREAM_PATH:
            exchange = await self._source.request(head, body)
            transport = protocol.response_stream(exchange.status, [("content-type", "text/event-stream")])
            await exchange.stream(transport.send_bytes)
            return
        exchange = await self._constant.request(head, body, buffer_limit=_LIMIT)
        headers = [("content-type", "application/json")]
        protocol.response_bytes(exchange.status, headers, await exchange.read(_LIMIT))


async def main(port: int, upstream: int, source: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        # The server sets it on no connection; they inherit it. Without it a chunk may wait 40 ms for a delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        relay = Relay(Pool(loop, "127.0.0.1", upstream), Pool(loop, "127.0.0.1", source))
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        await WorkerServer(relay, listener.fileno(), None).serve()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:4])))
