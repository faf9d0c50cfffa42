"""Clients that ask a fixed number of times, in this process: each waits for its answer before it asks again.

wrk asks for a fixed time, and leaves requests on their way when it ends. Where two gateways are to do the same work,
this counts it out.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

import uvloop

from loadtest import nginx
from loadtest.errors import RigError
from loadtest.prompts import constant, numbered

ANSWER: Final = nginx.ANSWER.encode()
BLOCK_SECONDS: Final = 120.0
"""More than any block takes, so that a lost answer does not stop the measurement for ever."""


def prompts(size: int) -> Iterator[bytes]:
    """Requests without end, each with a body of ``size`` bytes that was never sent before."""
    before, after = constant(size)
    for number in itertools.count(1):
        yield numbered(before, number, after)


@dataclass(frozen=True)
class Answered:
    """How long all answers took, and what the clock that was given advanced by meanwhile; seconds."""

    seconds: float
    clock: float


class Client(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.Transport
    _requests: Iterator[bytes]

    def __init__(self) -> None:
        self._answer = b""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self, requests: Iterator[bytes]) -> "asyncio.Future[None]":
        """Send one after another until ``requests`` ends; RigError where an answer is not the constant one."""
        self._requests = requests
        self._done = asyncio.get_running_loop().create_future()
        self._next()
        return self._done

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what uvloop gives is one in all but name

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.startswith(b"HTTP/1.1 200 "):
            self._fail(f"is {self._answer[:500]!r}")
        elif self._answer.endswith(ANSWER):
            self._answer = b""
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"was cut after {self._answer[-500:]!r}")

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._done.set_result(None)
        else:
            self._transport.write(request)

    def _fail(self, how: str) -> None:
        if not self._done.done():
            self._done.set_exception(RigError(f"an answer {how}"))


def ask(port: int, requests: Iterator[bytes], *, count: int, connections: int, clock: Callable[[], float]) -> Answered:
    """Have ``count`` requests answered, after one on each connection that is not counted.

    Raises RigError where an answer is not the constant one, or does not come.
    """
    work = _ask(port, requests, count, connections, clock)
    try:
        return uvloop.run(asyncio.wait_for(work, BLOCK_SECONDS))
    except TimeoutError:
        raise RigError(f"{count} requests were not answered within {BLOCK_SECONDS:g} s") from None


async def _ask(
    port: int, requests: Iterator[bytes], count: int, connections: int, clock: Callable[[], float]
) -> Answered:
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(connections)]
    try:
        await asyncio.gather(*(client.ask(islice(requests, 1)) for client in clients))
        counted = islice(requests, count)
        began, before = time.monotonic(), clock()
        await asyncio.gather(*(client.ask(counted) for client in clients))
        return Answered(time.monotonic() - began, clock() - before)
    finally:
        for client in clients:
            client.close()
