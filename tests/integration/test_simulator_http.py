"""The simulator over real connections: framing, pipelining, failures, and what each costs."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fastgate.simulator import playback, protocol
from fastgate.simulator.options import Options
from fastgate.simulator.protocol import connections_factory
from fastgate.simulator.replies import Streamed
from fastgate.simulator.service import Service

pytestmark = pytest.mark.timeout(30)


class Server:
    """A simulator inside this process."""

    def __init__(self, service: Service, port: int, connections: set[protocol.Connection]) -> None:
        self.service = service
        self.port = port
        self.connections = connections

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, data: bytes) -> bytes:
        """Everything that comes back until the simulator closes."""
        reader, writer = await self.open()
        writer.write(data)
        received = await reader.read()
        await close(writer)
        return received

    async def left(self) -> None:
        """Waits until no connection is open."""
        while self.connections:
            await asyncio.sleep(0.001)

    @property
    def total(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service.bill.report()["total"]
        return found

    @property
    def outcomes(self) -> list[str]:
        return [item["outcome"] for item in self.service.bill.requests(0, 100)["items"]]


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Server]:
    service = Service(Options(**options))
    loop = asyncio.get_running_loop()
    factory, connections = connections_factory(service, loop)
    server = await loop.create_server(factory, "127.0.0.1", 0)
    try:
        yield Server(service, server.sockets[0].getsockname()[1], connections)
    finally:
        server.close()
        for connection in list(connections):
            connection.close()
        await server.wait_closed()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):  # the simulator may have been faster
        await writer.wait_closed()


def request(script: str = "", *, close: bool = True, version: str = "1.1", head: bytes = b"", **fields: Any) -> bytes:
    content = f"sim: {script}" if script else "hello"
    body = json.dumps({"model": "sim-small", "messages": [{"role": "user", "content": content}], **fields}).encode()
    ending = b"connection: close\r\n" if close else b""
    first = f"POST /v1/chat/completions HTTP/{version}\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode()
    return first + ending + head + b"\r\n" + body


def parts(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def unchunked(body: bytes) -> bytes:
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if not int(size, 16):
            assert body == b"\r\n"
            return whole
        whole += body[: int(size, 16)]
        assert body[int(size, 16) :].startswith(b"\r\n")
        body = body[int(size, 16) + 2 :]


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """One answer with a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    return await reader.readexactly(int(length.split(b" ")[1]))


async def test_a_connection_is_kept_and_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        scripts = [
            '{"text": "a", "latency_ms": 30}',
            "",
            '{"text": "c", "latency_ms": 1}',
            '{"fail": "429"}',
            '{"text": "e"}',
        ]
        writer.write(b"".join(request(script, close=False) for script in scripts))
        bodies = [json.loads(await read_answer(reader)) for _ in scripts]
        texts = [body["choices"][0]["message"]["content"] if "choices" in body else "error" for body in bodies]
        assert texts[0] == "a"
        assert texts[2:] == ["c", "error", "e"]
        await close(writer)
        assert server.total["requests"] == 4


async def test_more_pipelined_requests_than_may_wait_are_all_answered() -> None:
    async with serving(latency_ms=0.1) as server:
        reader, writer = await server.open()
        count = 3 * protocol.MAX_WAITING
        for number in range(count):
            writer.write(request(json.dumps({"text": str(number)}), close=False))
            await writer.drain()
        for number in range(count):
            body = json.loads(await read_answer(reader))
            assert body["choices"][0]["message"]["content"] == str(number)
        await close(writer)


async def test_a_request_may_come_byte_by_byte() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        for byte in request(close=False) + request():
            writer.write(bytes([byte]))
            await writer.drain()
        first = json.loads(await read_answer(reader))
        second = json.loads(parts(await reader.read())[1])
        assert first["id"] == second["id"]
        await close(writer)


async def test_a_stream_is_chunked_and_the_connection_kept() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        writer.write(request(close=False, stream=True) + request())
        head, body = parts(await reader.read())
        assert b"transfer-encoding: chunked" in head
        stream, _, rest = body.partition(b"\r\n0\r\n\r\n")
        assert unchunked(stream + b"\r\n0\r\n\r\n").endswith(b"data: [DONE]\n\n")
        assert rest.startswith(b"HTTP/1.1 200 OK")
        await close(writer)


async def test_an_old_client_gets_a_stream_that_ends_with_the_connection() -> None:
    async with serving() as server:
        head, body = parts(await server.exchange(request(version="1.0", close=False, stream=True)))
        assert b"chunked" not in head
        assert b"connection: close" in head
        assert body.startswith(b"data: {")
        assert body.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_waits_to_be_asked_is_asked() -> None:
    async with serving() as server:
        data = request(head=b"expect: 100-continue\r\n")
        head, _, body = data.partition(b"\r\n\r\n")
        reader, writer = await server.open()
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        await close(writer)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", 426),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
    ],
)
async def test_what_is_no_request_is_refused_and_the_connection_closed(data: bytes, status: int) -> None:
    async with serving() as server:
        answer = await server.exchange(data)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert json.loads(parts(answer)[1])["error"]["type"] == "invalid_request_error"


async def test_a_body_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_BODY", 1000)
    async with serving() as server:
        assert (await server.exchange(request(user="x" * 2000))).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "starts"), [("noheaders", b""), ("garbage", b"\x16\x03"), ("early", b"HTTP/1.1 200 OK")]
)
async def test_an_answer_that_never_was_costs_nothing(kind: str, starts: bytes, stream: bool) -> None:
    async with serving() as server:
        answer = await server.exchange(request(json.dumps({"fail": kind}), close=False, stream=stream))
        assert answer.startswith(starts)
        assert parts(answer)[1] == b"" or kind == "garbage"
        assert bool(answer) == bool(starts)
        assert server.total["requests"] == 0
        assert server.service.bill.unbilled == {kind: 1}


async def test_a_hanging_answer_ends_with_its_reader() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        writer.write(request('{"fail": "hang"}', close=False))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        await close(writer)
        await server.left()
        assert server.total["requests"] == 0


async def test_a_whole_answer_that_is_cut_is_billed_in_full() -> None:
    async with serving() as server:
        head, body = parts(await server.exchange(request('{"fail": "cut", "tokens": 7}', close=False)))
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        assert 0 < len(body) < length
        assert (server.total["output_tokens"], server.outcomes) == (7, ["cut"])


@pytest.mark.parametrize(("after", "tokens"), [(None, 4), (0, 0), (1, 1), (7, 7), (99, 8)])
async def test_a_stream_that_is_cut_is_billed_as_far_as_it_came(after: int | None, tokens: int) -> None:
    async with serving() as server:
        script = json.dumps({"fail": "cut", "tokens": 8, "after": after})
        _, body = parts(await server.exchange(request(script, close=False, stream=True)))
        assert body.count(b'"content":"') == tokens + 1  # and one for the role
        assert b"[DONE]" not in body
        assert (server.total["output_tokens"], server.outcomes) == (tokens, ["cut"])


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_stalls_leaves_the_connection_open(stream: bool) -> None:
    async with serving() as server:
        reader, writer = await server.open()
        writer.write(request('{"fail": "stall", "tokens": 8}', close=False, stream=stream))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.05)
        assert not reader.at_eof()
        await close(writer)
        await server.left()
        assert (server.total["output_tokens"], server.outcomes) == (4 if stream else 8, ["cut"])


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_can_be_compressed_unasked(stream: bool) -> None:
    async with serving() as server:
        head, body = parts(await server.exchange(request('{"fail": "gzip"}', stream=stream)))
        plain = parts(await server.exchange(request('{"fail": "gzip"}', stream=stream)))[1]
        assert b"content-encoding: gzip" in head
        inflated = gzip.decompress(unchunked(body) if stream else body)
        assert (b"[DONE]" in inflated) == stream
        assert plain == body


@pytest.mark.parametrize("stream", [False, True])
async def test_an_endless_answer_is_not_buffered(stream: bool) -> None:
    async with serving() as server:
        reader, writer = await server.open()
        writer.write(request('{"fail": "endless"}', close=False, stream=stream))
        read = 0
        while read < 5_000_000:
            read += len(await reader.read(1 << 16))
        (connection,) = server.connections
        for _ in range(50):  # turns of the loop in which nobody reads
            await asyncio.sleep(0)
        assert connection._transport.get_write_buffer_size() < 1 << 20
        await close(writer)
        await server.left()
        assert server.outcomes == ["cut"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_head_can_be_huge(stream: bool) -> None:
    async with serving() as server:
        head, _ = parts(await server.exchange(request('{"fail": "bighead"}', stream=stream)))
        assert len(head) > 1_000_000


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_is_whole_in_the_end(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setattr(playback, "SLOW_SECONDS", 0.001)
    async with serving() as server:
        _, body = parts(await server.exchange(request('{"fail": "slow"}', stream=stream)))
        assert unchunked(body).endswith(b"[DONE]\n\n") if stream else json.loads(body)


@pytest.mark.parametrize("size", [1, 3, 100, 100_000])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_split_anywhere_is_the_same_answer(size: int, stream: bool) -> None:
    async with serving() as server:
        _, body = parts(await server.exchange(request(json.dumps({"split": size, "text": "hello"}), stream=stream)))
        text = unchunked(body) if stream else body
        assert (
            (b'"content":"hell"' in text)
            if stream
            else (json.loads(text)["choices"][0]["message"]["content"] == "hello")
        )
        assert server.outcomes == ["complete"]


async def test_raw_bytes_and_bodies_are_sent_as_they_are_and_billed_only_with_a_usage() -> None:
    async with serving() as server:
        assert await server.exchange(request('{"raw": "not http", "split": 2}', close=False)) == b"not http"
        answer = await server.exchange(request('{"body_base64": "AP8=", "status": 418, "headers": {"X-A": "1"}}'))
        assert answer.startswith(b"HTTP/1.1 418 ")
        assert b"x-a: 1" in answer
        assert parts(answer)[1] == b"\x00\xff"
        assert server.total["requests"] == 0
        await server.exchange(request('{"body": "data: x", "usage": {"prompt_tokens": 3}}', stream=True))
        assert (server.total["requests"], server.total["input_tokens"]) == (1, 3)


@pytest.mark.parametrize("read", [0, 1, 5, 9])
async def test_a_stream_that_is_cancelled_is_billed_as_far_as_it_came_plus_the_lag(read: int) -> None:
    """The pieces are 20 ms apart and the lag is worth two: one more or less is the time that leaving takes."""
    async with serving(chunk_ms=20, ttft_ms=20, cancel_lag_ms=41) as server:
        reader, writer = await server.open()
        writer.write(request('{"tokens": 10, "reasoning": 6}', close=False, stream=True))
        for _ in range(read + 1):
            await reader.readuntil(b'"content":"')
        await close(writer)
        await server.left()
        assert server.outcomes == ["cancelled"]
        produced = server.total["output_tokens"]
        assert min(read + 2, 10) - 1 <= produced <= min(read + 3, 10)
        assert server.total["reasoning_tokens"] == 6
        assert server.total["input_tokens"] > 0


async def test_a_whole_answer_is_billed_though_its_reader_left() -> None:
    async with serving(latency_ms=20) as server:
        _, writer = await server.open()
        writer.write(request(close=False))
        while not server.connections:
            await asyncio.sleep(0)
        await close(writer)
        await server.left()
        assert server.total["requests"] == 0
        async with asyncio.timeout(5):
            while not server.total["requests"]:
                await asyncio.sleep(0.001)
        assert server.outcomes == ["complete"]


async def test_a_reader_that_never_reads_holds_a_stream_up() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        script = json.dumps({"tokens": 20_000, "chunk_ms": 0.001, "text": "x" * 4_000_000, "chunks": 2000})
        writer.write(request(script, close=False, stream=True))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        (connection,) = server.connections
        reply = connection._reply
        assert isinstance(reply, Streamed)
        while not reply._held:
            await asyncio.sleep(0)
        assert connection._transport.get_write_buffer_size() < 1 << 20
        assert server.total["requests"] == 0
        while b"[DONE]" not in await reader.readline():
            pass
        assert server.total["output_tokens"] == 20_000
        await close(writer)


async def test_a_client_that_asks_on_and_on_and_never_reads_is_not_listened_to() -> None:
    async with serving() as server:
        _, writer = await server.open()
        data = request(json.dumps({"text": "x" * 100_000}), close=False) * 10

        async def ask_on_and_on() -> None:
            while True:
                writer.write(data)
                await writer.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask_on_and_on(), 0.5)
        (connection,) = server.connections
        assert not connection._transport.is_reading()
        assert connection._transport.get_write_buffer_size() < 32 << 20
        assert len(connection._waiting) < 2 * protocol.MAX_WAITING
        writer.transport.abort()
        await server.left()
