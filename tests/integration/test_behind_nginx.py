"""The load balancer of packaging/nginx, word for word but for ports and files, in front of a gateway."""

import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.certificates import Authority
from tests.support.house import House, compact, free_port, key, secret
from tests.support.nginx import Nginx, packaged

CLIENT, STRANGER = "127.1.0.1", "127.2.0.1"
ASK = {"model": "sim/sim-small", "max_tokens": 9}

Clients = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "server": {"trusted_proxies": ["127.0.0.1"]},
        "keys": [key("bound", allowed_ips=["127.1.0.0/16"])],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=1) as house:
        yield house


@pytest.fixture(scope="module")
def clients(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Clients of nginx, by the address that they call from."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    authority = Authority(folder)
    pair = authority.issue("gateway.test", "gateway")
    context = ssl.create_default_context(cafile=str(authority.ca))

    def client(address: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"https://127.0.0.1:{port}/v1",
            transport=httpx.HTTPTransport(verify=context, local_address=address),
            headers={"authorization": f"Bearer {secret('bound')}"},
        )

    with Nginx(folder / "run", packaged(port, [house.port], pair), port):
        yield client


def question(text: str, **more: object) -> bytes:
    return compact({**ASK, "messages": [{"role": "user", "content": text}], **more})


def test_the_client_is_whom_nginx_saw(clients: Clients) -> None:
    with clients(CLIENT) as client:
        assert client.post("/chat/completions", content=question("hi")).status_code == 200
    with clients(STRANGER) as client:
        for claimed in ({}, {"x-forwarded-for": CLIENT}, {"forwarded": f"for={CLIENT}"}, {"x-real-ip": CLIENT}):
            refused = client.post("/chat/completions", content=question("hi"), headers=claimed)
            assert (refused.status_code, refused.headers["x-fastgate-error"]) == (403, "ip_not_allowed"), claimed
            assert f"from {STRANGER}." in refused.json()["error"]["message"]


def test_the_pieces_of_a_stream_come_as_they_are_made(clients: Clients) -> None:
    script = 'sim: {"text": "one two three four", "chunks": 4, "chunk_ms": 300}'
    with (
        clients(CLIENT) as client,
        client.stream("POST", "/chat/completions", content=question(script, stream=True)) as answer,
    ):
        assert answer.status_code == 200
        pieces = [piece for piece in answer.iter_raw() if piece]
    assert len(pieces) > 1
    assert pieces[-1].endswith(b"data: [DONE]\n\n")
