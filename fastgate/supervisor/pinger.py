"""Asks a child over its unix socket, again and again, whether it is there."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from fastgate.cache.unix_path import short
from fastgate.supervisor.keeper import Keeper

ASK_SECONDS: Final = 0.5
"""From an answer to the next question, and from a line that is gone to the next one."""
_MOST_REPLY: Final = 4096


class Pinger:
    """``ping``: the bytes of the question; whatever comes back is a sign of life."""

    def __init__(self, keeper: Keeper, path: Path, ping: bytes) -> None:
        self._keeper = keeper
        self._path = path
        self._ping = ping
        self._answers = 1

    def beats(self) -> dict[int, int]:
        """How many answers there were so far, by the pid of the child that runs now."""
        pid = self._keeper.health.pid
        return {} if pid is None else {pid: self._answers}

    async def run(self) -> None:
        """Asks until it is cancelled."""
        while True:
            with suppress(OSError):  # it does not listen yet, or is gone
                await self._ask_on()
            await asyncio.sleep(ASK_SECONDS)

    async def _ask_on(self) -> None:
        """On one connection, for as long as it lasts. Raises OSError."""
        with short(self._path) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
            plug.setblocking(False)
            plug.connect(name)  # the kernel accepts at once where somebody listens
            reader, writer = await asyncio.open_unix_connection(sock=plug.dup())
        try:
            while True:
                writer.write(self._ping)
                if not await reader.read(_MOST_REPLY):
                    return
                self._answers += 1
                await asyncio.sleep(ASK_SECONDS)
        finally:
            writer.close()
