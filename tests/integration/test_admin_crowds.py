"""Whoever has no token cannot keep the admin API from those who have one, nor fill its log, nor see its metrics."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from fastgate.control.arrivals import BODY_SECONDS, HEAD_SECONDS
from tests.support.control_host import ControlHost

CROWD: Final = 1_500
"""More connections than the kernel lets wait."""
PROMPT_SECONDS: Final = 5.0
SLACK_SECONDS: Final = 20.0
"""For a machine that is busy elsewhere."""

NOTHING: Final = b""
HALF_A_HEAD: Final = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"
HALF_A_BODY: Final = (
    b"POST /sign-in HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    b"content-length: 4000\r\n\r\ntoken="
)


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ControlHost]:
    one = ControlHost(tmp_path)
    yield one
    one.close()


def connected(host: ControlHost, sent: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", host.client.base_url.port), timeout=30)
    one.sendall(sent)
    return one


def said_until_closed(one: socket.socket, deadline: float) -> bytes:
    said = b""
    while True:
        one.settimeout(max(0.1, deadline - time.monotonic()))
        piece = one.recv(65_536)
        if not piece:
            return said
        said += piece


@pytest.mark.parametrize("sent", [NOTHING, HALF_A_HEAD, HALF_A_BODY], ids=["nothing", "half a head", "half a body"])
def test_a_crowd_without_a_token_does_not_shut_the_api(host: ControlHost, sent: bytes) -> None:
    with ExitStack() as crowd:
        began = time.monotonic()
        waiting = [crowd.enter_context(connected(host, sent)) for _ in range(CROWD)]
        for _ in range(5):
            host.client.get("/healthz", timeout=PROMPT_SECONDS, headers={"connection": "close"}).raise_for_status()
            host.client.get("/api/v1/keys", timeout=PROMPT_SECONDS, headers={"connection": "close"}).raise_for_status()
        deadline = began + max(HEAD_SECONDS, BODY_SECONDS) + SLACK_SECONDS
        said = {said_until_closed(one, deadline).partition(b"\r\n")[0] for one in waiting}
        assert said == ({b"HTTP/1.1 408 Request Timeout"} if sent is HALF_A_BODY else {b""})


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/api/v1/keys", "/api/v1/nothing"])
def test_without_a_token_a_connection_has_one_answer(host: ControlHost, path: str) -> None:
    asked = b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % path.encode()
    with connected(host, asked * 2) as one:
        said = said_until_closed(one, time.monotonic() + SLACK_SECONDS)
    assert said.count(b"HTTP/1.1 ") == 1


def test_clients_that_leave_in_the_middle_are_no_lines_of_the_log(host: ControlHost) -> None:
    for _ in range(100):
        connected(host, HALF_A_BODY).close()
    host.client.get("/healthz").raise_for_status()
    host.end()
    assert "failed" not in host.log.read_text()


def test_no_memory_is_given_to_what_nobody_signs_in_with(host: ControlHost) -> None:
    answer = host.client.post("/sign-in", data={"token": "x" * 5_000})
    assert answer.status_code == 413, answer.text


def test_metrics_are_for_whoever_means_this_host(host: ControlHost) -> None:
    ours = ("127.0.0.1:8081", "LocalHost", "localhost:9", "[::1]:8081", "[::1]")
    others = ("evil.example", "127.0.0.1.evil.example:8081", "192.0.2.1", "")
    for name in (*ours, *others):
        answer = httpx.get(f"{host.client.base_url}/metrics", headers={"host": name}, trust_env=False)
        assert answer.status_code == (200 if name in ours else 403), name


def test_a_probe_may_ask_for_the_head_alone(host: ControlHost) -> None:
    answer = httpx.head(f"{host.client.base_url}/healthz", trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"")
