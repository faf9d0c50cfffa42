"""A whole gateway without its two sockets: what clients and the provider do is done here, all else is real."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import uvloop

from fastgate._core.arena import Arena
from fastgate.config import load
from fastgate.control.compile import compile_snapshot
from fastgate.control.publisher import Publisher
from fastgate.control.slab_file import prepare
from fastgate.gateway.app import Gateway
from fastgate.gateway.worker import Worker
from fastgate.wire.sealing import Sealer

KEY: Final = "sk-fg-benchmark"
LIMITED: Final = "sk-fg-limited"
SHARED: Final = "sk-fg-shared"
SPENT: Final = "sk-fg-spent"
CACHED: Final = "sk-fg-cached"
"""Keys: with four budgets; with five limits too; with one for each user; with one that has no room; with a cache."""
_BUDGETS: Final = 'budgets: [{limit_usd: "1000000", window: month}]'
_PROVIDED: Final = f"providers: [{{provider: sim, {_BUDGETS}}}]"
_LIMITS: Final = """limits: [{requests: 1000000000, window: minute}, {concurrent: 1000},
      {tokens: 1000000000000, window: minute}, {input_tokens: 1000000000000, window: minute},
      {output_tokens: 1000000000000, window: day}]"""
_EACH: Final = f"trusted_identity: true, each: {{user: {{{_BUDGETS}}}}}"
CONFIGURATION: Final = f"""
providers:
  sim: {{type: sim, base_url: "http://127.0.0.1:9/v1", keys: [{{name: main, value: upstream-secret}}]}}
cache: {{exact: {{max_mb: 4}}}}
customers: [{{id: c, {_BUDGETS}}}]
teams: [{{id: t, customer: c, {_BUDGETS}}}]
keys:
  - {{id: k, team: t, secret: {KEY}, {_BUDGETS}, {_PROVIDED}}}
  - {{id: l, team: t, secret: {LIMITED}, {_BUDGETS}, {_PROVIDED}, {_LIMITS}}}
  - {{id: u, team: t, secret: {SHARED}, {_BUDGETS}, {_PROVIDED}, {_EACH}}}
  - {{id: c, team: t, secret: {CACHED}, {_BUDGETS}, {_PROVIDED}, cache: {{exact: true, ttl_seconds: 86400}}}}
  - {{id: s, team: t, secret: {SPENT}, budgets: [{{limit_usd: "0.000000001", window: month}}]}}
"""

ANSWER: Final = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"sim-small","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"A constant answer of some length."},"finish_reason":"stop"}],"usage":'
    b'{"prompt_tokens":250,"completion_tokens":12,"total_tokens":262},"service_tier":"default"}'
)


def prompt(kilobytes: int, **more: object) -> bytes:
    """The body of a request; ``more``: further members."""
    text = "the quick brown fox " * (kilobytes * 50)
    asked = {"model": "sim/sim-small", "messages": [{"role": "user", "content": text}], "max_tokens": 100, **more}
    return json.dumps(asked, separators=(",", ":")).encode()


class Headers(dict[str, str]):
    """Of a request, as a server gives them."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


class Scope:
    """What a server hands over, as far as it is read."""

    path = "/v1/chat/completions"
    method = "POST"
    query_string = ""
    client = "127.0.0.1:50000"

    def __init__(self, body: bytes, key: str = KEY, **more: str) -> None:
        self.headers = Headers(
            {
                "host": "127.0.0.1:8080",
                "authorization": f"Bearer {key}",
                "accept": "application/json",
                "content-type": "application/json",
                "content-length": str(len(body)),
                "user-agent": "benchmark",
                **{name.replace("_", "-"): value for name, value in more.items()},
            }
        )


class Protocol:
    """The client's end: a body to read, an answer to take, in one piece or in ``pieces``."""

    answer: tuple[int, list[tuple[str, str]], bytes]
    pieces: list[bytes]

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __call__(self) -> bytes:
        return self._body

    def at_hand(self) -> bytes:
        return self._body

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = status, headers, body

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "Protocol":
        self.answer = status, headers, b""
        self.pieces = []
        return self

    def send_bytes(self, piece: bytes) -> Awaitable[None]:
        self.pieces.append(piece)
        return TAKEN


class Taken:
    """What says that a client takes what it is sent: an awaitable that never waits."""

    def __await__(self) -> Any:
        return iter(())


TAKEN: Final = Taken()


class Exchange:
    """An answer that is there at once."""

    status = 200
    answered_ns, started_ns = 2, 1
    headers: tuple[tuple[bytes, bytes], ...] = (
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(ANSWER)),
    )

    def header(self, name: bytes) -> bytes | None:
        return next((value for known, value in self.headers if known == name), None)

    def at_hand(self, limit: int) -> bytes:
        return ANSWER

    async def read(self, limit: int) -> bytes:
        return ANSWER


class Streamed(Exchange):
    """A stream whose chunks come as fast as they are taken."""

    complete = False
    headers = ((b"content-type", b"text/event-stream"), (b"transfer-encoding", b"chunked"))

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def stream(self, sink: Callable[[bytes], object]) -> "asyncio.Future[None]":
        for chunk in self._chunks:
            sink(chunk)
        ended = asyncio.get_running_loop().create_future()
        ended.set_result(None)
        return ended


class Pool:
    """The provider's end; ``chunks``: of the stream that it answers with, None: with ``ANSWER``."""

    def __init__(self, chunks: Iterable[bytes] | None = None) -> None:
        self._chunks = chunks

    async def request(self, head: bytes, body: bytes) -> Exchange:
        return Exchange() if self._chunks is None else Streamed(self._chunks)


Application = Callable[[Any, Any], Awaitable[None]]


class Served:
    """A gateway on a loop that nothing else uses, in front of ``pool``."""

    def __init__(self, folder: Path, pool: Pool) -> None:
        path = folder / "fastgate.yaml"
        path.write_text(CONFIGURATION)
        arena = Arena(str(folder / "arena.bin"), True)
        arena.set_counted()
        sealer = Sealer(folder, {})
        compiled = compile_snapshot(load(path, {}), 1, folder, seal=sealer.seal)
        prepare(folder, compiled.head.cache_mb)
        Publisher(folder, arena).publish(compiled, list)
        self.loop = uvloop.new_event_loop()
        self.worker = Worker(folder, self.loop, sealer)
        for upstream in self.worker.state.upstreams:
            object.__setattr__(upstream, "pool", pool)
        self.serve: Application = Gateway(self.worker).__rsgi__

    def close(self) -> None:
        self.worker.owner.release()
        self.loop.close()

    def many(self, one: Application, scope: Scope, protocol: Protocol, count: int) -> None:
        """So many requests to the gateway, or to another application, one after another."""

        async def work() -> None:
            for _ in range(count):
                await one(scope, protocol)

        self.loop.run_until_complete(work())
