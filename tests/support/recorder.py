"""A provider that keeps what it is sent, byte for byte, and answers what it is told."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httptools
import uvloop


class Recorded:
    """A request as it arrived."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[str, str]] = []
        self.body = b""

    def header(self, name: str) -> str | None:
        """The only value of a header; None: it was not sent."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


class _Connection(asyncio.Protocol):
    def __init__(self, recorder: "Recorder") -> None:
        self._recorder = recorder
        self._begin()

    def _begin(self) -> None:
        self._request = Recorded()
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, piece: bytes) -> None:
        self._request.body += piece

    def on_message_complete(self) -> None:
        request, self._request = self._request, Recorded()
        self._recorder.requests.append(request)
        self._transport.write(self._recorder.answer(request))


class Recorder:
    """``with Recorder(answer) as upstream``; ``answer`` gives the whole answer, head included, to a request."""

    def __init__(self, answer: Callable[[Recorded], bytes]) -> None:
        self.answer = answer
        self.requests: list[Recorded] = []
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"

    def last(self) -> Recorded:
        """The last request, which must be the only one since this was asked before."""
        [request] = self.requests
        self.requests.clear()
        return request

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        uvloop.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._stop.wait()


def whole(body: bytes, status: str = "200 OK", headers: bytes = b"") -> bytes:
    """An answer of known length."""
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b" % (
        status.encode(), headers, len(body), body,
    )  # fmt: skip
