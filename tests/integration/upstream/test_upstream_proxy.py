"""Connections to an upstream through a proxy: the tunnel, TLS in it, and every way in which it can fail."""

import asyncio
import ssl

import pytest
from upstream_server import BODY, HEAD, OK, Peer, answer, facts, open_pool, serve, upstream, whole

from fastgate._core.tunnel import MOST_HEAD, Proxy
from fastgate._core.upstream_errors import ClosedEarly, ConnectError, ConnectTimeout
from tests.support.certificates import Authority
from tests.support.connect_proxy import ConnectProxy

OPENED = b"HTTP/1.1 200 OK\r\n\r\n"


async def three(peer: Peer) -> None:
    for _ in range(3):
        await peer.request()
        await peer.send(answer(b"ok"))
    await peer.left()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def server_side(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("upstream.test", "server"))
    return context


def client_side(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca))


async def test_a_tunnel_is_kept_like_any_connection():
    with ConnectProxy() as proxy:
        async with upstream(three, proxy=Proxy("127.0.0.1", proxy.port)) as (server, pool):
            for _ in range(3):
                assert (await whole(pool))[1] == b"ok"
            assert proxy.targets == [f"127.0.0.1:{server.port}"]
            assert server.requests == [HEAD + BODY] * 3  # what the upstream sees is as without a proxy
            target = f"127.0.0.1:{server.port}".encode()
            assert proxy.heads == [b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (target, target)]


async def test_tls_is_spoken_with_the_upstream_itself(authority: Authority):
    with ConnectProxy() as proxy:
        there = Proxy("127.0.0.1", proxy.port)
        async with serve(three, tls=server_side(authority)) as server:
            async with open_pool(server.port, ssl=client_side(authority), proxy=there) as pool:
                assert [(await whole(pool))[1] for _ in range(3)] == [b"ok"] * 3
            async with open_pool(server.port, ssl=ssl.create_default_context(), proxy=there) as pool:
                with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED") as caught:
                    await whole(pool)
                assert facts(caught.value) == (False, False)
            assert len(server.requests) == 3


async def test_a_proxy_that_is_spoken_to_over_tls(authority: Authority):
    with ConnectProxy(tls=server_side(authority)) as proxy:
        there = Proxy("127.0.0.1", proxy.port, tls=True, ssl=client_side(authority))
        async with upstream(three, proxy=there) as (_, pool):
            assert (await whole(pool))[1] == b"ok"
        async with (
            serve(three, tls=server_side(authority)) as server,
            open_pool(server.port, ssl=client_side(authority), proxy=there) as pool,
        ):
            assert [(await whole(pool))[1] for _ in range(3)] == [b"ok"] * 3
        assert len(proxy.targets) == 2


async def test_credentials():
    with ConnectProxy(credentials=("me", "hünter:2")) as proxy:
        async with upstream(three, proxy=Proxy("127.0.0.1", proxy.port, "me:hünter:2")) as (_, pool):
            assert (await whole(pool))[1] == b"ok"
        async with upstream(three, proxy=Proxy("127.0.0.1", proxy.port, "me:guess-1234")) as (server, pool):
            with pytest.raises(ConnectError) as caught:
                await whole(pool)
            assert str(caught.value) == (
                f"cannot connect to 127.0.0.1:{server.port} through the proxy 127.0.0.1:{proxy.port}: it wants a user"
                " and password, or others than those that it got (status 407)"
            )
            assert "guess-1234" not in repr(pool) + repr(Proxy("h", 1, "me:guess-1234"))


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", r"it refused the tunnel \(status 403\)"),
        (b"HTTP/1.0 503 No\r\ncontent-length: 2\r\n\r\nno", r"it refused the tunnel \(status 503\)"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", r"it refused the tunnel \(status 101\)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "it does not answer in HTTP/1"),
        (b"HTTP/2 200\r\n\r\n", "it does not answer in HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * MOST_HEAD, f"it answered with more than {MOST_HEAD} bytes of head"),
        (OPENED + OK, "it sent more than its answer"),
    ],
)
async def test_answers_that_open_no_tunnel(says: bytes, reason: str):
    with ConnectProxy(says=says) as proxy:
        async with upstream(three, proxy=Proxy("127.0.0.1", proxy.port)) as (server, pool):
            with pytest.raises(ConnectError, match=reason) as caught:
                await whole(pool)
            assert facts(caught.value) == (False, False)
            assert not server.peers


async def test_a_target_that_the_proxy_cannot_reach():
    with ConnectProxy() as closed:
        port = closed.port
    with ConnectProxy() as proxy:
        async with open_pool(port, proxy=Proxy("127.0.0.1", proxy.port)) as pool:
            with pytest.raises(ConnectError, match=r"it refused the tunnel \(status 502\)"):
                await whole(pool)


async def test_no_proxy_there():
    with ConnectProxy() as proxy:
        port = proxy.port
    async with upstream(three, proxy=Proxy("127.0.0.1", port)) as (_, pool):
        with pytest.raises(ConnectError, match=f"through the proxy 127.0.0.1:{port}: .*111") as caught:
            await whole(pool)
        assert facts(caught.value) == (False, False)


async def test_a_proxy_that_hangs_up():
    async def leave(peer: Peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 2")

    async with serve(leave) as proxy, upstream(three, proxy=Proxy("127.0.0.1", proxy.port)) as (_, pool):
        with pytest.raises(ConnectError, match="it closed the connection without an answer"):
            await whole(pool)


async def test_a_proxy_that_says_nothing_is_a_connect_timeout():
    async def wait(peer: Peer):
        await peer.left()

    async with (
        serve(wait) as proxy,
        upstream(three, proxy=Proxy("127.0.0.1", proxy.port), connect_timeout=0.1) as (server, pool),
    ):
        with pytest.raises(ConnectTimeout, match=f"127.0.0.1:{server.port} through the proxy") as caught:
            await whole(pool)
        assert facts(caught.value) == (False, False)
        await proxy.peers[0].gone.wait()


async def test_a_handshake_that_never_ends_in_a_tunnel(authority: Authority):
    async def wait(peer: Peer):
        await peer.left()

    with ConnectProxy() as proxy:
        there = Proxy("127.0.0.1", proxy.port)
        async with (
            serve(wait) as server,
            open_pool(server.port, ssl=client_side(authority), proxy=there, connect_timeout=0.3) as pool,
        ):
            with pytest.raises(ConnectTimeout):
                await whole(pool)
            await server.peers[0].gone.wait()


async def test_a_request_that_is_cancelled_takes_its_tunnel_with_it():
    async def wait(peer: Peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        asked.set()
        await peer.left()

    asked = asyncio.Event()
    async with serve(wait) as proxy, upstream(three, proxy=Proxy("127.0.0.1", proxy.port)) as (_, pool):
        request = asyncio.create_task(whole(pool))
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await proxy.peers[0].gone.wait()


async def test_a_tunnel_that_ends_in_the_middle_of_an_answer():
    async def begin(peer: Peer):
        await peer.request()
        await peer.send(OK + b"content-length: 9\r\n\r\nabc")

    with ConnectProxy() as proxy:
        async with upstream(begin, proxy=Proxy("127.0.0.1", proxy.port)) as (_, pool):
            with pytest.raises(ClosedEarly) as caught:
                await whole(pool)
            assert facts(caught.value) == (True, True)
