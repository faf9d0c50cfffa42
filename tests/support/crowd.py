"""Many clients who spend one budget through several hosts, and go on until there is nothing left."""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from tests.chaos.traffic import read_body, read_head
from tests.support.house import compact

PATIENCE_SECONDS: Final = 20
AGAIN_SECONDS: Final = 0.2
"""Between two attempts of a client that was refused."""


def spending(secret: str, tokens: int, model: str = "sim/sim-large", *, latency_ms: int = 5) -> bytes:
    """A request whose answer has so many tokens, and which asks for no more."""
    body = {
        "model": model,
        "max_tokens": tokens,
        "messages": [
            {"role": "user", "content": f"sim: {json.dumps({'tokens': tokens, 'latency_ms': latency_ms})}"},
        ],
    }
    payload = compact(body)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {secret}\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class Crowd:
    """``with Crowd(ports, request, 600) as crowd``: clients that ask ``ports`` in turn, from a thread of their own.

    ``ports`` may change meanwhile: who finds nobody there asks another one. ``choose`` picks one of them.
    """

    def __init__(
        self,
        ports: list[int],
        request: bytes,
        clients: int,
        choose: Callable[[Sequence[int]], int] = random.choice,
    ) -> None:
        self.ports = ports
        self.statuses: Counter[int] = Counter()
        """Answers by status; 0: none came."""
        self.bodies: dict[int, bytes] = {}
        """The last answer of each status."""
        self._request, self._clients, self._choose = request, clients, choose
        self._ending = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="crowd")

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join(2 * PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "a request was never answered"

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._clients)))

    async def _client(self) -> None:
        while not self._ending:
            port = self._choose(self.ports)
            writer = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                while not self._ending and port in self.ports:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        status = await self._ask(reader, writer)
                    if status != 200:
                        await asyncio.sleep(AGAIN_SECONDS)
                        break
            except (OSError, EOFError, TimeoutError):
                self.statuses[0] += 1
                await asyncio.sleep(AGAIN_SECONDS)
            finally:
                if writer is not None:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(self._request)
        status, headers = await read_head(reader)
        body = await read_body(reader, headers)
        self.statuses[status] += 1
        self.bodies[status] = body
        return status
