"""A TCP proxy of a test's own between a host and a store: it passes on, delays, swallows or cuts what comes."""

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self

Mode = Literal["pass", "delay", "hole", "cut"]
DELAY_SECONDS: Final = 0.2


class FaultProxy:
    """``with FaultProxy(port) as proxy``: listens on ``proxy.port`` and speaks to ``port``, both of 127.0.0.1.

    ``mode`` may change at any moment: ``hole`` keeps connections and loses what is said on them, ``cut`` ends them and
    takes none. What was lost stays lost: such a connection is ended when the hole is closed.
    """

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self._upstream = upstream
        self._mode: Mode = "pass"
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        before, self._mode = self._mode, mode
        if mode == "cut" or before == "hole":
            self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._cut()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        with suppress(OSError):
            there, onward = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._open |= {writer, onward}
            try:
                await asyncio.gather(self._carry(reader, onward), self._carry(there, writer))
            finally:
                self._open -= {writer, onward}
                for each in (writer, onward):
                    each.close()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if self._mode == "delay":
                    await asyncio.sleep(DELAY_SECONDS)
                if self._mode != "hole":
                    sink.write(data)
        sink.close()
