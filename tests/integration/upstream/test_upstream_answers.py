"""Answers of every framing, read whole and streamed, and the connections they leave behind."""

import asyncio

import pytest
from upstream_server import (
    BODY,
    CHUNKED,
    HEAD,
    LIMIT,
    OK,
    Peer,
    answer,
    chunk,
    streamed,
    upstream,
    whole,
)

from fastgate._core.upstream_errors import BodyTooLarge

GET = b"GET / HTTP/1.1\r\nhost: upstream\r\n\r\n"


async def test_request_goes_out_as_given_and_the_answer_comes_back():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"hello", b"X-Thing: 1", b"Set-Cookie: a", b"set-cookie:  b "))
        await peer.left()

    async with upstream(script) as (server, pool):
        exchange, body = await whole(pool)
        assert server.requests == [HEAD + BODY]
        assert (exchange.status, body) == (200, b"hello")
        assert exchange.headers == [
            (b"content-length", b"5"),
            (b"x-thing", b"1"),
            (b"set-cookie", b"a"),
            (b"set-cookie", b"b"),
        ]
        assert exchange.header(b"x-thing") == b"1"
        assert exchange.header(b"absent") is None
        assert (exchange.sent, exchange.answered, exchange.complete, exchange.received) == (True, True, True, 5)
        assert 0 < exchange.started_ns <= exchange.sent_ns <= exchange.answered_ns <= exchange.ended_ns
        assert await exchange.read(LIMIT) == b""  # taken already


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (OK + b"content-length: 12\r\n\r\n", b"twelve bytes"),
        (CHUNKED, chunk(b"twelve ") + chunk(b"bytes") + chunk(b"")),
        (CHUNKED, b"7;ext=1\r\ntwelve \r\n5\r\nbytes\r\n0\r\nx-trailer: 1\r\n\r\n"),
        (OK + b"\r\n", b"twelve bytes"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"twelve bytes"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + CHUNKED,
            b"c\r\ntwelve bytes\r\n0\r\n\r\n",
        ),
    ],
    ids=["length", "chunked", "trailers", "to-eof", "http10", "interim"],
)
@pytest.mark.parametrize("cut", ["whole", "bytes", "head-body"])
async def test_framings_however_cut(head: bytes, body: bytes, cut: str):
    pieces = {"whole": [head + body], "head-body": [head, body], "bytes": [bytes([byte]) for byte in head + body]}[cut]

    async def script(peer: Peer):
        await peer.request()
        await peer.send(*pieces)

    async with upstream(script) as (_, pool):
        exchange, read = await whole(pool)
        assert read == b"twelve bytes"
        assert exchange.header(b"link") is None
        assert exchange.header(b"x-trailer") is None
        at_head = await pool.request(HEAD, BODY)
        assert await streamed(at_head) == b"twelve bytes"
        assert at_head.received == 12


@pytest.mark.parametrize(
    ("request_head", "reply"),
    [
        (b"HEAD / HTTP/1.1\r\nhost: upstream\r\n\r\n", OK + b"content-length: 400\r\n\r\n"),
        (b"HEAD / HTTP/1.1\r\nhost: upstream\r\n\r\n", CHUNKED),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 400\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n"),
        (GET, OK + b"content-length: 0\r\n\r\n"),
    ],
    ids=["head-length", "head-chunked", "204", "304", "204-chunked", "empty"],
)
async def test_answers_without_a_body_end_with_their_head(request_head: bytes, reply: bytes):
    async def script(peer: Peer):
        for _ in range(3):
            await peer.request()
            await peer.send(reply)
        await peer.left()

    async with upstream(script) as (server, pool):
        for _ in range(3):
            exchange, body = await whole(pool, request_head, b"")
            assert body == b""
            assert exchange.complete
        assert len(server.peers) == 1


async def test_connection_is_reused_and_headers_do_not_leak_into_the_next_answer():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"one"), b"0\r\nx-trailer: 1\r\n\r\n")
        await peer.request()
        await peer.send(answer(b"two"))
        await peer.request()
        await peer.send(OK, b"a: b\r\n", b"content-length: 5\r\n\r\nth", b"ree")
        await peer.left()

    async with upstream(script) as (server, pool):
        assert [(await whole(pool))[1] for _ in range(2)] == [b"one", b"two"]
        third, body = await whole(pool)
        assert (third.headers, body) == ([(b"a", b"b"), (b"content-length", b"5")], b"three")
        assert len(server.peers) == 1
        assert pool.stats() == {"connections": 1, "idle": 1, "open": 0, "waiting": 0}


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"good", b"connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\ngood",
        answer(b"good") + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        answer(b"good") + b"HTTP/1.1 200",
        answer(b"good") + b"garbage",
        CHUNKED + chunk(b"good") + chunk(b"") + b"\0\0\0",
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil",
    ],
    ids=["close", "http10", "second-answer", "half-answer", "garbage", "garbage-after-chunks", "body-of-304"],
)
async def test_answer_stands_but_the_connection_is_not_kept(reply: bytes):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(reply)
        await peer.left()

    async with upstream(script) as (server, pool):
        for number in range(1, 3):
            exchange, body = await whole(pool)
            assert body == (b"" if exchange.status == 304 else b"good")
            assert len(server.peers) == number
        assert pool.stats()["idle"] == 0


async def test_data_on_an_idle_connection_ends_it():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"good"))
        if peer.number == 0:
            await go.wait()
            await peer.send(answer(b"evil", status=b"408 Request Timeout"))
            await peer.left()
            ended.set()
        await peer.left()

    go, ended = asyncio.Event(), asyncio.Event()
    async with upstream(script) as (server, pool):
        assert (await whole(pool))[1] == b"good"
        go.set()
        await ended.wait()
        assert (await whole(pool))[1] == b"good"
        assert len(server.peers) == 2


async def test_small_answer_needs_no_further_wait():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(OK + b"content-length: 6\r\n\r\nabc")
        await peer.send(b"def")
        await peer.left()

    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY, buffer_limit=6)
        assert exchange.complete
        reading = exchange.read(6)
        with pytest.raises(StopIteration) as result:
            reading.send(None)  # done without giving way to the loop
        assert result.value.value == b"abcdef"


async def test_head_alone_is_enough_without_a_buffer():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(OK + b"content-length: 3\r\n\r\n")
        await go.wait()
        await peer.send(b"abc")
        await peer.left()

    go = asyncio.Event()
    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY)
        assert (exchange.status, exchange.complete) == (200, False)
        go.set()
        assert await exchange.read(3) == b"abc"


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_body_beyond_the_limit_can_still_be_streamed(framing: str):
    text = bytes(range(256)) * 4096

    async def script(peer: Peer):
        await peer.request()
        if framing == "length":
            await peer.send(OK + b"content-length: %d\r\n\r\n" % len(text), text)
        else:
            await peer.send(CHUNKED, *(chunk(text[at : at + 5000]) for at in range(0, len(text), 5000)), chunk(b""))
        await peer.left()

    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY, buffer_limit=300_000)
        with pytest.raises(BodyTooLarge) as caught:
            await exchange.read(300_000)
        assert text.startswith(caught.value.partial)
        assert (len(caught.value.partial) > 300_000) == (
            framing == "chunked"
        )  # a length is known to be too much at once
        assert await streamed(exchange) == text


async def test_body_at_the_limit_is_read():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED, chunk(b"x" * 1000), chunk(b""))
        await peer.left()

    async with upstream(script) as (_, pool):
        assert await (await pool.request(HEAD, BODY, buffer_limit=1000)).read(1000) == b"x" * 1000


async def test_pieces_of_a_read_reach_the_sink_together_and_at_once():
    async def script(peer: Peer):
        await peer.request()
        await peer.send(CHUNKED)
        for number in range(5):
            await go.get()
            await peer.send(chunk(b"a%d" % number) + chunk(b"b%d" % number))
        await peer.send(chunk(b""))
        await peer.left()

    go: asyncio.Queue[None] = asyncio.Queue()
    pieces: list[bytes] = []

    def sink(piece: bytes) -> None:
        pieces.append(piece)
        go.put_nowait(None)  # the next is sent only after this one arrived: nothing is held back

    async with upstream(script) as (_, pool):
        exchange = await pool.request(HEAD, BODY)
        go.put_nowait(None)
        assert await exchange.stream(sink) is None
        assert pieces == [b"a%db%d" % (number, number) for number in range(5)]


async def test_large_request_arrives_whole_and_its_connection_is_kept():
    body = bytes(range(256)) * 20_000

    async def script(peer: Peer):
        for _ in range(2):
            await peer.request()
            await peer.send(answer(b"ok"))
        await peer.left()

    async with upstream(script) as (server, pool):
        head = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        for _ in range(2):
            await whole(pool, head, body)
        assert server.requests == [head + body] * 2
        assert len(server.peers) == 1


async def test_early_answer_to_an_unfinished_upload_ends_the_connection():
    async def script(peer: Peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.transport.pause_reading()
        await peer.send(answer(b"too large", status=b"413 Content Too Large"))
        await peer.left()

    async with upstream(script) as (_, pool):
        head = b"POST / HTTP/1.1\r\ncontent-length: 30000000\r\n\r\n"
        exchange, body = await whole(pool, head, bytes(30_000_000))
        assert (exchange.status, body) == (413, b"too large")
        assert pool.stats()["idle"] == 0
