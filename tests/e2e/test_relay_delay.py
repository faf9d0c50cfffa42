"""How much later a piece of a stream arrives because it went through the gateway."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
import uvloop

from tests.support.house import House, compact, key, secret
from tests.support.wire import head

STREAMS = 16
PIECES = 320
ALLOWED_MS = 5.0
ROUNDS = 4
_MARK = b'"content":"'


@contextmanager
def ticker() -> Iterator[int]:
    """The port of a provider whose pieces say when they were sent."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ticker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


class Listener(asyncio.Protocol):
    """One stream: notes how old each piece is when it arrives."""

    def __init__(self, request: bytes, delays: list[int]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._delays = delays
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            at = event.find(_MARK)
            if at >= 0:
                sent = event[at + len(_MARK) : event.index(b'"', at + len(_MARK))]
                self._delays.append(now - int(sent))
            elif event.endswith(b"[DONE]"):
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(None)


async def listen(port: int, request: bytes) -> list[int]:
    """Delays in ns of all pieces of all streams, sorted."""
    delays: list[int] = []
    loop = asyncio.get_running_loop()
    listeners = []
    for _ in range(STREAMS):
        _, listener = await loop.create_connection(lambda: Listener(request, delays), "127.0.0.1", port)
        listeners.append(listener.ended)
    await asyncio.gather(*listeners)
    assert len(delays) == STREAMS * PIECES
    return sorted(delays)


def measure(port: int, request: bytes) -> list[int]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(listen(port, request))


def ms(delays: list[int], share: float) -> float:
    return delays[min(int(len(delays) * share), len(delays) - 1)] / 1e6


def shown(delays: list[int]) -> str:
    return f"p50 {ms(delays, 0.5):.2f} ms, p99.9 {ms(delays, 0.999):.2f} ms"


@pytest.mark.timeout(90)
def test_a_piece_is_relayed_within_five_milliseconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At p99.9, from the provider's write to the client's read, the machine's own delays included. Rounds in which it
    was busy elsewhere are repeated: what the gateway itself takes, it takes in every round."""
    body = compact({"model": "tiny", "stream": True, "max_tokens": PIECES, "messages": []})
    headers = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}
    request = head("/v1/chat/completions", headers, length=len(body)) + body
    with ticker() as upstream:
        provider = {"type": "openai-compatible", "base_url": f"http://127.0.0.1:{upstream}/v1"}
        prices = {"tiny": {"input_usd_per_million": "1", "output_usd_per_million": "1"}}
        settings = {
            "providers": {"ticker": {**provider, "prices": prices}},
            "models": {"tiny": {"targets": [{"provider": "ticker", "model": "tiny"}]}},
            "teams": [{"id": "team", "budgets": [{"limit_usd": "100", "window": "day"}]}],
            "keys": [key("one", team="team")],
        }
        with House(tmp_path, settings, workers=1) as house:
            measure(house.port, request)  # connections, caches
            rounds = []
            for _ in range(ROUNDS):
                direct, relayed = measure(upstream, request), measure(house.port, request)
                rounds.append(ms(relayed, 0.999))
                with capsys.disabled():
                    print(
                        f"\n{STREAMS} streams, {len(relayed)} pieces: {shown(relayed)}; without gateway {shown(direct)}"
                    )
                if rounds[-1] <= ALLOWED_MS:
                    break
    assert min(rounds) <= ALLOWED_MS, rounds
