"""What a client sees of a host that was told to end (hosts behind nginx, under load: test_rolling_restart.py)."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.test_supervisor_host import host
from tests.integration.test_workers_renewed import ask, request
from tests.support.house import House, key, wait_for
from tests.support.wire import exchange, head, read_answer

DELAY_SECONDS = 1.5
SETTINGS = {
    "server": {"drain_seconds": 10, "drain_delay_seconds": DELAY_SECONDS},
    "teams": [{"id": "team"}],
    "keys": [key("one", team="team")],
}


def connected(house: House) -> socket.socket:
    return socket.create_connection(("127.0.0.1", house.port), 10)


def last_in(house: House) -> socket.socket:
    """The last connection that is let in."""
    before = connected(house)
    with suppress(TimeoutError, ConnectionRefusedError):
        while True:
            another = socket.create_connection(("127.0.0.1", house.port), 0.2)
            before.close()
            before = another
            before.settimeout(10)
    return before


def ready(house: House) -> tuple[int, int]:
    """What ``/readyz`` and ``/healthz`` say."""
    said = [exchange(house.port, head(path, method="GET", length=None)).status for path in ("/readyz", "/healthz")]
    return said[0], said[1]


def told_to_end(house: House) -> float:
    """When it was; it says by now that it is not ready."""
    assert house.process is not None
    began = time.monotonic()
    house.process.send_signal(signal.SIGTERM)
    wait_for(lambda: ready(house)[0] == 503, 5, "it is not ready")
    return began


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path, SETTINGS, workers=1) as house:
        yield house


def test_a_host_that_ends_says_so_and_serves_on_before_it_refuses(house: House) -> None:
    assert ready(house) == (200, 200)
    http2 = httpx.Client(http1=False, http2=True, trust_env=False, base_url=f"{house.url}/v1")
    with connected(house) as kept, connected(house) as streaming, http2:
        assert http2.get("/models").headers["x-fastgate-error"] == "invalid_api_key"
        assert "connection" not in ask(kept).headers
        streaming.sendall(request({"tokens": 30, "chunks": 30, "chunk_ms": 100}, stream=True))
        assert streaming.recv(1, socket.MSG_PEEK), "its head is out, and does not say that the connection ends"
        began = told_to_end(house)
        assert ready(house) == (503, 200)
        assert http2.get("/models").headers["x-fastgate-error"] == "invalid_api_key"
        for connection in (kept, connected(house)):
            answer = ask(connection)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert connection.recv(1) == b""
            connection.close()
        with last_in(house) as late:
            assert time.monotonic() - began >= DELAY_SECONDS
            assert ask(late).status == 200, "who has connected is served"
        with pytest.raises(ConnectionRefusedError):
            connected(house)
        assert http2.get("/models").headers["x-fastgate-error"] == "draining", "as it could go on asking"
        assert read_answer(streaming).body.endswith(b"[DONE]\n\n")
        answer = ask(streaming)
        assert (answer.status, answer.headers["connection"]) == (200, "close"), "it was not said to end, and does not"
        assert house.ends() == 0


def test_idle_connections_hold_nobody_up_without_a_delay(tmp_path: Path) -> None:
    with House(tmp_path, {**SETTINGS, "server": {"drain_seconds": 30}}, workers=1) as house, connected(house) as idle:
        assert ask(idle).status == 200
        began = time.monotonic()
        assert house.stop() == 0
        assert time.monotonic() - began < 10
        assert idle.recv(1) == b""


def test_who_waits_to_be_accepted_when_the_host_ends_is_served(tmp_path: Path) -> None:
    with host(tmp_path / "state", workers=1) as one:
        worker = one.child("worker 0")["pid"]
        os.kill(worker, signal.SIGSTOP)
        waiting = [socket.create_connection(("127.0.0.1", one.port), 10) for _ in range(20)]
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: one.health()["phase"] == "draining", 5, "it ends")
        os.kill(worker, signal.SIGCONT)
        assert all(connection.recv(9).startswith(b"0 ") for connection in waiting)
        assert one.process.wait(10) == 0
        for connection in waiting:
            connection.close()
