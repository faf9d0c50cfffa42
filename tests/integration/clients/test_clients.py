"""The HTTP/1.1 server, asked by hand: framing, pipelining, bounds, clients that send anything at all."""

import asyncio
import random
import socket
from typing import Any

import pytest

from tests.support.lines import CHUNKED, ONE, Line, echo, serving


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://host/a%2f?b", "/a/", "b"),
        (b"http://host?b=/c", "/", "b=/c"),
        (b"/a?b=http://host/c", "/a", "b=http://host/c"),
        (b"*", "*", ""),
    ],
)
async def test_what_is_asked_for(target: bytes, path: str, query: str) -> None:
    async with serving() as (_, port), Line(port) as line:
        line.send(b"OPTIONS " + target + b" HTTP/1.1\r\n\r\n")
        assert (await line.answer())[1].decode() == f"OPTIONS {path} {query} 1.1 [] "


async def test_what_the_application_sees() -> None:
    async with serving() as (_, port), Line(port) as line:
        line.send(ONE)
        head, body = await line.answer()
        assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ")
        pairs = "[('host', 'x'), ('x-one', '1'), ('x-one', '2'), ('content-length', '5')]"
        assert body.decode() == f"POST /a b c=d 1.1 {pairs} hello"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_requests_sent_ahead_are_answered_in_order_however_they_are_split(size: int) -> None:
    asked = b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % n + ONE for n in range(100))
    async with serving() as (_, port), Line(port) as line:
        for start in range(0, len(asked), size):
            line.send(asked[start : start + size])
            if size == 1 and start % 50 == 0:
                await asyncio.sleep(0)
        for n in range(100):
            assert (await line.answer())[1] == b"GET /%d  1.1 [] " % n
            assert (await line.answer())[1].endswith(b" hello")


async def test_more_requests_ahead_than_can_wait() -> None:
    """What is too much is not answered, and the connection ends; nothing is answered twice or out of order."""
    asked = b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % n for n in range(3000))
    async with serving() as (_, port), Line(port) as line:
        line.send(asked)
        told = await line.rest()
        assert [n for n in range(3000) if b"GET /%d " % n in told] == list(range(told.count(b"HTTP/1.1 200")))
        assert told.count(b"HTTP/1.1 200") >= 1024


async def test_clients_that_come_at_once_are_accepted_within_a_few_passes_of_the_loop() -> None:
    """One in a pass would starve them where passes are long."""
    async with serving() as (server, port):
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(48)]
        passes = 0
        while server.connections < len(clients):
            await asyncio.sleep(0)
            passes += 1
        assert passes <= 12
        for client in clients:
            client.close()


async def test_answers_that_a_client_does_not_take_hold_up_its_further_requests() -> None:
    """What waits for one client is bounded, whatever it sends ahead."""
    served, size = 0, 2 << 20

    async def answer(scope: Any, protocol: Any) -> None:
        nonlocal served
        served += 1
        protocol.response_bytes(200, [], b"%d" % (served % 10) * size)

    async with serving(answer) as (_, port), Line(port) as line:
        line.send(b"GET / HTTP/1.1\r\n\r\n" * 30)
        while not served:
            await asyncio.sleep(0)
        for _ in range(300):  # passes of the loop, of which each would begin one
            await asyncio.sleep(0)
        assert served < 20
        for n in range(1, 31):
            assert (await line.answer())[1] == b"%d" % (n % 10) * size
        assert served == 30


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"content-length: 5", b"hello"), (b"transfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), (b"x: y", b"")],
)
async def test_a_request_that_asks_for_another_protocol(framing: bytes, body: bytes, *, split: bool) -> None:
    """Java's HTTP client does, beside a body; it is answered in this one, and the connection goes on."""
    head = b"POST / HTTP/1.1\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n" + framing + b"\r\n\r\n"
    asked = (head + body) * 2 + ONE
    async with serving() as (_, port), Line(port) as line:
        for piece in [asked[n : n + 1] for n in range(len(asked))] if split else [asked]:
            line.send(piece)
            await asyncio.sleep(0)
        for _ in range(2):
            assert (await line.answer())[1].endswith(b")] hello" if body else b")] ")
        assert (await line.answer())[1].endswith(b" hello")


async def test_what_follows_connect_is_no_request() -> None:
    async with serving() as (_, port), Line(port) as line:
        line.send(b"CONNECT a:1 HTTP/1.1\r\n\r\n" + ONE)
        told = await line.rest()
        assert (told.count(b"HTTP/1.1 200"), told.count(b"connection: close")) == (1, 1)


@pytest.mark.parametrize(
    ("asked", "persists"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", True),
    ],
)
async def test_whether_a_connection_goes_on(asked: bytes, persists: bool) -> None:
    async with serving() as (_, port), Line(port) as line:
        line.send(asked)
        head, _ = await line.answer()
        assert (b"connection: close" in head) is not persists
        if persists:
            line.send(asked)
            await line.answer()
        else:
            assert await line.rest() == b""


async def test_a_body_is_invited_when_it_is_wanted() -> None:
    wanted = asyncio.Event()

    async def hesitant(scope: Any, protocol: Any) -> None:
        await wanted.wait()
        await echo(scope, protocol)

    async with serving(hesitant) as (_, port), Line(port) as line:
        line.send(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.reader.read(1), 0.05)
        wanted.set()
        assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.send(b"hello")
        assert (await line.answer())[1].endswith(b" hello")


async def test_nobody_is_invited_who_could_not_know_it() -> None:
    """A client of HTTP/1.0, and one whose answer has begun."""

    begun = asyncio.Event()

    async def answer(scope: Any, protocol: Any) -> None:
        transport = protocol.response_stream(200, []) if scope.http_version == "1.1" else None
        begun.set()
        body = await protocol()
        if transport is None:
            protocol.response_bytes(200, [], body)
        else:
            await transport.send_bytes(body)

    for version in (b"1.0", b"1.1"):
        begun.clear()
        async with serving(answer) as (_, port), Line(port) as line:
            line.send(b"POST / HTTP/%b\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n" % version)
            await begun.wait()
            line.send(b"hello")
            told = await line.rest()
            assert b"hello" in told
            assert b"100 Continue" not in told


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_in_pieces(version: bytes) -> None:
    async def pieces(scope: Any, protocol: Any) -> None:
        transport = protocol.response_stream(200, [])
        for piece in (b"one", b"", b"two"):
            await transport.send_bytes(piece)

    async with serving(pieces) as (_, port), Line(port) as line:
        line.send(b"GET / HTTP/%b\r\nconnection: close\r\n\r\n" % version)
        head, _, body = (await line.rest()).partition(b"\r\n\r\n")
        assert (b"transfer-encoding: chunked" in head) is (version == b"1.1")
        assert body == (b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" if version == b"1.1" else b"onetwo")


async def test_an_answer_shorter_than_announced_ends_the_connection() -> None:
    async def short(scope: Any, protocol: Any) -> None:
        await protocol.response_stream(200, [("content-length", "9")]).send_bytes(b"12345")

    async with serving(short) as (_, port), Line(port) as line:
        line.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await line.rest()).endswith(b"\r\n\r\n12345")


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
async def test_answers_without_a_body(method: bytes, status: int) -> None:
    async def answer(scope: Any, protocol: Any) -> None:
        protocol.response_bytes(status, [], b"body")

    async with serving(answer) as (_, port), Line(port) as line:
        line.send((method + b" / HTTP/1.1\r\n\r\n") * 2)
        for _ in range(2):
            head = await line.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert (b"content-length: 4" in head) is (method == b"HEAD")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "\x00", "\u20ac"])
async def test_no_header_of_an_answer_can_become_two(value: str) -> None:
    async def careless(scope: Any, protocol: Any) -> None:
        for answer in (protocol.response_stream, protocol.response_empty):
            with pytest.raises(ValueError, match="the header 'x'"):
                answer(200, [("x", value)])

    async with serving(careless) as (_, port), Line(port) as line:
        line.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await line.answer())[0].startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000, b"431"),
        (b"BREW / HTTP/1.1\r\n\r\n", b"501"),
        (b"GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx : y\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: y\r\n z\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: y\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx\0: y\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: y\0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\ncontent-length: +1\r\n\r\nx", b"400"),
        (b"GET / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\nx", b"400"),
        (b"GET / HTTP/1.1\r\ncontent-length: 18446744073709551617\r\n\r\nx", b"400"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400"),
        (CHUNKED + b"5\nhello\n0\n\n", b"400"),
        (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", b"400"),
        (CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n", b"400"),
        (CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"400"),
        (CHUNKED + b"5;" + b"x" * 600_000, b"400"),
        (CHUNKED + b"0\r\n" + b"x: y\r\n" * 100_000, b"400"),
        (CHUNKED + b"-1\r\n", b"400"),
    ],
)
async def test_what_is_no_request(asked: bytes, status: bytes) -> None:
    async with serving() as (_, port), Line(port) as line:
        line.send(asked)
        told = await line.rest()
        assert told[9:12] == status, told
        assert told.count(b"HTTP/1.1 ") == 1


async def test_garbage_after_a_request_comes_after_its_answer() -> None:
    async with serving() as (_, port), Line(port) as line:
        line.send(ONE + b"\x00\x01\x02")
        assert (await line.answer())[1].endswith(b" hello")
        assert await line.rest() == b""


async def test_anything_at_all_is_answered_or_closed() -> None:
    """Requests with bytes changed, cut out or put in, split anywhere; the server serves on."""
    rng = random.Random(11)
    async with serving() as (server, port):
        for _ in range(300):
            data = bytearray(rng.choice([ONE, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", ONE * 2]))
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(data))
                data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
            cut = rng.randrange(len(data))
            async with Line(port) as line:
                line.send(bytes(data[:cut]))
                await asyncio.sleep(0)
                line.send(bytes(data[cut:]))
                line.writer.write_eof()
                told = await asyncio.wait_for(line.rest(), 5)
                assert told == b"" or told.startswith(b"HTTP/1.1 ")
        async with Line(port) as line:
            line.send(ONE)
            assert (await line.answer())[1].endswith(b" hello")
        assert server.connections <= 1
