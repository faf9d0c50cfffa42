"""TLS to the upstream: verified against the authority that is set, HTTP/1.1 negotiated, truncation noticed."""

import asyncio
import ssl

import pytest
from upstream_server import BODY, CHUNKED, HEAD, OK, Peer, answer, chunk, open_pool, serve, spin, streamed, whole

from fastgate._core.upstream_errors import ClosedEarly, ConnectError, ConnectTimeout
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_side(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("upstream.test", "server"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def client_side(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca))


async def test_answers_over_tls_with_reuse(server_side: ssl.SSLContext, client_side: ssl.SSLContext):
    async def script(peer: Peer):
        chosen.append(peer.transport.get_extra_info("ssl_object").selected_alpn_protocol())
        for number in range(3):
            await peer.request()
            await peer.send(CHUNKED, *(chunk(text) for _ in range(number + 1)), chunk(b""))
        await peer.left()

    chosen: list[str | None] = []
    text = bytes(range(256)) * 1000
    async with serve(script, tls=server_side) as server, open_pool(server.port, ssl=client_side) as pool:
        assert (await whole(pool))[1] == text
        assert await streamed(await pool.request(HEAD, BODY)) == text * 2
        assert (await whole(pool))[1] == text * 3
        assert chosen == ["http/1.1"]  # one connection, and not the h2 that the server likes better


async def test_name_to_verify_may_differ_from_the_address(server_side: ssl.SSLContext, client_side: ssl.SSLContext):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(answer(b"ok"))
        await peer.left()

    async with serve(script, tls=server_side) as server:
        async with open_pool(server.port, ssl=client_side, server_hostname="upstream.test") as pool:
            assert (await whole(pool))[1] == b"ok"
        async with open_pool(server.port, ssl=client_side, server_hostname="other.test") as pool:
            with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED") as caught:
                await whole(pool)
            assert not caught.value.sent
        assert len(server.requests) == 1


async def test_unknown_authority(server_side: ssl.SSLContext):
    async def script(peer: Peer):
        await peer.request()

    async with (
        serve(script, tls=server_side) as server,
        open_pool(server.port, ssl=ssl.create_default_context()) as pool,
    ):
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await whole(pool)
        assert server.requests == []


async def test_server_without_tls(client_side: ssl.SSLContext):
    async def script(peer: Peer):
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve(script) as server, open_pool(server.port, ssl=client_side) as pool:
        with pytest.raises(ConnectError):
            await whole(pool)


async def test_handshake_that_never_ends_is_a_connect_timeout(client_side: ssl.SSLContext):
    async def script(peer: Peer):
        await peer.left()

    async with serve(script) as server, open_pool(server.port, ssl=client_side, connect_timeout=0.1) as pool:
        with pytest.raises(ConnectTimeout):
            await whole(pool)
        await server.peers[0].gone.wait()


@pytest.mark.asyncio(loop_factories=["uvloop"])  # the other loop's TLS does not tell the two ends apart
async def test_end_without_close_notify_is_no_end(server_side: ssl.SSLContext, client_side: ssl.SSLContext):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(OK + b"\r\nabc")
        await got.wait()
        peer.transport.abort()

    got = asyncio.Event()
    async with serve(script, tls=server_side) as server, open_pool(server.port, ssl=client_side) as pool:
        exchange = await pool.request(HEAD, BODY)
        with pytest.raises(ClosedEarly):
            await exchange.stream(lambda piece: got.set())
        assert exchange.received == 3


async def test_close_notify_ends_a_body_that_only_the_close_ends(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
):
    async def script(peer: Peer):
        await peer.request()
        await peer.send(OK + b"\r\nabc")

    async with serve(script, tls=server_side) as server, open_pool(server.port, ssl=client_side) as pool:
        assert (await whole(pool))[1] == b"abc"
        await spin()


async def test_stale_connection_is_replaced(server_side: ssl.SSLContext, client_side: ssl.SSLContext):
    async def script(peer: Peer):
        await peer.request()
        if peer.number == 0:
            await peer.send(answer(b"first"))
            await peer.request()
            peer.transport.abort()
        await peer.send(answer(b"second"))
        await peer.left()

    async with serve(script, tls=server_side) as server, open_pool(server.port, ssl=client_side) as pool:
        assert (await whole(pool))[1] == b"first"
        assert (await whole(pool))[1] == b"second"
        assert len(server.peers) == 2
