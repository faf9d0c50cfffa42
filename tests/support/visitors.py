"""Clients of every kind at once: whole answers and streams, small bodies and large ones, connections old and new."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.house import compact
from tests.support.wire import Line

LARGE_BYTES = 1 << 20


@dataclass
class Visitors:
    """So many that ask again and again, from a thread of their own, with one key; what failed is noted.

    ``streamers``: streams by ``script``, one after another; ``callers``: whole answers with pauses between them, so
    that connections are idle now and then; ``heavy``: long answers to a megabyte. Half of the former two keep their
    connections, the others make a new one for each request.
    """

    port: int
    key: str
    streamers: int
    callers: int
    script: Mapping[str, int]
    heavy: int = 0
    answers: int = 0
    streams: int = 0
    failures: list[str] = field(default_factory=list)
    _ending: bool = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Load until the block ends; then every request in the air is waited for."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        try:
            yield
        finally:
            self._ending = True
            thread.join(60)
        assert not thread.is_alive(), "a request was never answered"

    async def _run(self) -> None:
        await asyncio.gather(
            *(self._streamer(keep=number % 2 == 0) for number in range(self.streamers)),
            *(self._caller(0.02 + number * 0.02, keep=number % 2 == 0) for number in range(self.callers)),
            *(self._caller(0.1, keep=True, text="x" * LARGE_BYTES, tokens=5_000) for _ in range(self.heavy)),
        )

    async def _streamer(self, *, keep: bool) -> None:
        async with Line(self.port) as line:
            while not self._ending:
                body = await self._ask(line, self.script, stream=True, keep=keep)
                self.streams += body.endswith(b"data: [DONE]\n\n")

    async def _caller(self, pause: float, *, keep: bool, text: str = "", tokens: int = 5) -> None:
        async with Line(self.port) as line:
            while not self._ending:
                self.answers += bool(await self._ask(line, {"tokens": tokens}, stream=False, keep=keep, text=text))
                await asyncio.sleep(pause)

    async def _ask(self, line: Line, script: Mapping[str, int], *, stream: bool, keep: bool, text: str = "") -> bytes:
        said: list[dict[str, Any]] = [{"role": "system", "content": text}] if text else []
        body = {
            "model": "sim/sim-small",
            "max_tokens": max(100, script["tokens"]),
            "stream": stream,
            "messages": [*said, {"role": "user", "content": f"sim: {json.dumps(script)}"}],
        }
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        try:
            answer = await line.ask("/v1/chat/completions", headers, compact(body))
        except OSError as error:
            self.failures.append(f"{'stream' if stream else 'request'}: {error}")
            await line.open()
            return b""
        if answer.status != 200 or (stream and not answer.body.endswith(b"data: [DONE]\n\n")):
            self.failures.append(f"{answer.status}: {answer.body[-300:]!r}")
        if not keep:
            line.close()
            await line.open()
        return answer.body
