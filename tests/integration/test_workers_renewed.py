"""What a client sees of a worker that another one replaces (under load: tests/chaos/test_renewal.py)."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from tests.support.house import House, compact, key, secret, wait_for
from tests.support.wire import Answer, exchange, head, read_answer

SETTINGS = {"server": {"drain_seconds": 3}, "teams": [{"id": "team"}], "keys": [key("one", team="team")]}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path, SETTINGS, workers=1) as house:
        yield house


def worker(house: House) -> int:
    """The pid of the worker in charge."""
    children = json.loads((house.state_dir / "supervisor.json").read_bytes())["children"]
    return int(next(child["pid"] for child in children if child["name"] == "worker 0"))


def renew(house: House) -> int:
    """Renews every process; the pid of the worker that leaves."""
    before = worker(house)
    assert house.process is not None
    house.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: "every process is renewed" in house.log.read_text(), 30, "everything is renewed")
    wait_for(lambda: worker(house) != before, 5, "the children's health says so")
    return before


def request(script: dict[str, int], *, stream: bool = False) -> bytes:
    message = {"role": "user", "content": f"sim: {json.dumps(script)}"}
    body = compact({"model": "sim/sim-small", "max_tokens": 100, "stream": stream, "messages": [message]})
    headers = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}
    return head("/v1/chat/completions", headers, length=len(body)) + body


def ask(connection: socket.socket) -> Answer:
    connection.sendall(request({"tokens": 3}))
    return read_answer(connection)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_nothing_ends_for_a_configuration_that_could_not_be_served(house: House) -> None:
    control = house.pids("control")
    before = worker(house)
    with house.config.open("a") as file:
        file.write("no_such_setting: 1\n")
    assert house.process is not None
    house.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: "not renewed further" in house.log.read_text(), 30, "it says why it does not")
    assert "no_such_setting: unknown setting" in house.log.read_text()
    assert (worker(house), house.pids("control")) == (before, control)
    house.write_config(house.settings)
    renew(house)


def test_an_idle_connection_is_closed_with_an_answer(house: House) -> None:
    with closing(socket.create_connection(("127.0.0.1", house.port), 10)) as connection:
        assert "connection" not in ask(connection).headers
        leaving = renew(house)
        while "connection" not in (answer := ask(connection)).headers:  # the signal may just be on its way
            assert answer.status == 200
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert connection.recv(1) == b""
    wait_for(lambda: is_gone(leaving), 2, "a worker without clients leaves, before its bound")
    after = exchange(house.port, request({"tokens": 3}))
    assert after.status == 200
    assert "connection" not in after.headers


def test_a_stream_goes_on_to_its_end(house: House) -> None:
    with closing(socket.create_connection(("127.0.0.1", house.port), 10)) as connection:
        connection.sendall(request({"tokens": 30, "chunks": 30, "chunk_ms": 80}, stream=True))
        connection.recv(1, socket.MSG_PEEK)  # it has begun
        renew(house)
        answer = read_answer(connection)
    assert answer.complete
    assert answer.body.endswith(b"data: [DONE]\n\n")
    house.settled()
    assert [row["settlement"] for row in house.requests()] == ["exact"]


def test_a_connection_that_nobody_uses_holds_up_a_leaving_worker_for_the_bound_alone(house: House) -> None:
    with closing(socket.create_connection(("127.0.0.1", house.port), 10)) as connection:
        assert ask(connection).status == 200
        leaving = renew(house)
        wait_for(lambda: is_gone(leaving), 10, "the worker has left")
        assert connection.recv(1) == b""


def test_what_outlasts_the_bound_ends_with_an_error_and_is_settled(house: House) -> None:
    asked = {True: {"tokens": 90, "chunks": 90, "chunk_ms": 100}, False: {"tokens": 90, "latency_ms": 20_000}}
    with ExitStack() as stack:
        connections = {}
        for stream, script in asked.items():
            connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", house.port), 20)))
            connection.sendall(request(script, stream=stream))
            connections[stream] = connection
        wait_for(lambda: house.holds() == len(asked), 10, "both are on their way")
        house.stop()
        told = {stream: b"".join(iter(partial(each.recv, 65_536), b"")) for stream, each in connections.items()}
    for answer, status in ((told[True], b"200"), (told[False], b"502")):
        assert answer.split()[1] == status
        assert b"was still answering when this gateway had to end" in answer
    assert told[True].rstrip().endswith(b"0")  # the last chunk of HTTP, after the error in the stream's own form
    assert "2 requests outlast the bound of draining" in house.log.read_text()
    house.start()
    house.settled()
    ends = {bool(row["stream"]): (row["settlement"], row["outcome"]) for row in house.requests()}
    assert ends == {True: ("estimated", "upstream_error"), False: ("unsettled", "unknown")}
