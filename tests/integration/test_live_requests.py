"""`GET requests/live`: every settled request, in order, from the ledger, for readers that come and go."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastgate._core.budget import OUTCOME_REJECTED
from fastgate._core.journal import Draft
from fastgate._core.price import Usage
from fastgate.control import live
from tests.support.control_host import TOKEN, ControlHost, until
from tests.support.house import House, compact, key, private_mb, secret
from tests.support.wire import exchange, head

PATH = "/api/v1/requests/live"
USAGE = Usage(input=100, output=10)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path)
    yield host
    host.close()


class Reader:
    """An open stream; events are read as they come."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        self._lines = answer.iter_lines()
        assert next(self._lines) == f"retry: {1000 * live.RETRY_SECONDS:.0f}"  # it is registered from here on

    def event(self) -> dict[str, Any]:
        """The next request."""
        found: dict[str, Any] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "data":
                found = json.loads(value)
            elif name == "id":
                id_ = value
            elif not line and found:
                assert found["id"] == id_
                return found
        raise EOFError

    def events(self, count: int) -> list[dict[str, Any]]:
        return [self.event() for _ in range(count)]


@contextmanager
def reading(host: ControlHost, query: str = "", last: str | None = None) -> Iterator[Reader]:
    headers = {} if last is None else {"last-event-id": last}
    with host.client.stream("GET", PATH + query, headers=headers) as answer:
        yield Reader(answer)


@pytest.mark.alone
def test_a_request_is_told_once_and_soon_after_it_is_settled(host: ControlHost) -> None:
    host.serve(USAGE)
    host.settled()
    with reading(host) as reader:
        for number in range(3):
            began = time.monotonic()
            host.serve(USAGE, user=f"u{number}")
            event = reader.event()
            assert time.monotonic() - began < 1.5  # within a second, on a machine that has one to spare
            assert event["user"] == f"u{number}"
            assert event == host.get("requests", ("limit", "1"))["items"][0]


def test_a_reader_that_comes_back_goes_on_where_it_was(host: ControlHost) -> None:
    for _ in range(3):
        host.serve(USAGE)
    host.settled()
    ids = [item["id"] for item in reversed(host.get("requests")["items"])]
    with reading(host, last=ids[0]) as reader:
        assert [event["id"] for event in reader.events(2)] == ids[1:]
    for _ in range(1200):  # more than a page
        host.serve(USAGE)
    with reading(host, last=ids[1]) as reader:
        for _ in range(40):
            host.serve(USAGE)
        seen = [event["id"] for event in reader.events(1241)]
    host.settled()
    with reading(host, last=seen[-1]) as reader:
        host.serve(USAGE, user="last")
        assert reader.event()["user"] == "last"
    assert seen[0] == ids[2]
    assert len(set(seen)) == 1241


def test_what_was_settled_late_is_not_missed_by_who_saw_later_requests(host: ControlHost) -> None:
    """A request's id begins with its start; a stream that began earlier may be settled after others."""
    early = time.time_ns()
    host.serve(USAGE)
    host.settled()
    (seen,) = host.get("requests")["items"]
    request_id = early.to_bytes(8, "big") + (10**6).to_bytes(8, "big")
    host.journal.log(Draft(key="ide"), request_id, early // 1000, 40, 402, OUTCOME_REJECTED, False, "budget_exceeded")
    with reading(host, last=seen["id"]) as reader:
        assert reader.event()["id"] == request_id.hex()


def test_filters_are_those_of_the_list(host: ControlHost) -> None:
    with reading(host, "?tag:feature=search&where=user=ann&where=user=bob&status=200") as reader:
        for tags, user in (("feature=search", "eve"), ("feature=chat", "ann"), ("feature=search", "bob")):
            host.serve(USAGE, tags=tags, user=user)
        host.reject("budget_exceeded")
        host.serve(USAGE, tags="feature=search", user="ann")
        assert [event["user"] for event in reader.events(2)] == ["bob", "ann"]


def test_what_is_not_understood_is_refused(host: ControlHost) -> None:
    def asked(query: str = "", **headers: str) -> httpx.Response:
        return host.client.get(PATH + query, headers=headers)

    assert asked("?since=2026-01-01").json()["parameter"] == "since"
    assert asked("?colour=red").json()["parameter"] == "colour"
    assert asked("?last_event_id=1").json()["parameter"] == "last_event_id"
    assert asked("?where=nonsense").json()["parameter"] == "where"
    assert asked(**{"last-event-id": "7"}).status_code == 400
    assert asked(**{"last-event-id": "0" * 32}).status_code == 404
    assert httpx.get(str(host.client.base_url) + PATH, trust_env=False).status_code == 401
    described = host.get("openapi.json")["paths"][PATH]["get"]
    assert "text/event-stream" in described["responses"]["200"]["content"]
    names = {(each["in"], each["name"]) for each in described["parameters"]}
    assert {("header", "last-event-id"), ("query", "where"), ("query", "team")} <= names


def test_readers_that_leave_make_room_for_others(host: ControlHost) -> None:
    for _ in range(2):
        connections = [connect(host) for _ in range(live.MOST_READERS)]
        assert host.client.get(PATH).status_code == 503
        for connection in connections:
            connection.close()
        until(lambda: readable(host))


def test_there_are_no_more_readers_than_that_however_suddenly_they_come(host: ControlHost) -> None:
    where = (host.client.base_url.host, host.client.base_url.port or 0)
    asked = head(PATH, {"authorization": f"Bearer {TOKEN}"}, method="GET", length=None)
    for _ in range(6):  # each time their places are free again, in whatever state they left
        with ExitStack() as crowd:
            connections = [crowd.enter_context(socket.create_connection(where, 20)) for _ in range(120)]
            for connection in connections:
                connection.sendall(asked)
            statuses = [connection.recv(12) for connection in connections]
            assert statuses.count(b"HTTP/1.1 200") == live.MOST_READERS
            assert statuses.count(b"HTTP/1.1 503") == 120 - live.MOST_READERS
        until(lambda: seats_are_free(host))


def seats_are_free(host: ControlHost) -> bool:
    """Whether as many can read as may."""
    with ExitStack() as crowd:
        answers = [crowd.enter_context(host.client.stream("GET", PATH)) for _ in range(live.MOST_READERS)]
        return all(answer.status_code == 200 for answer in answers)


def readable(host: ControlHost) -> bool:
    with host.client.stream("GET", PATH) as answer:
        return answer.status_code == 200


def connect(host: ControlHost) -> socket.socket:
    """A reader that has the head of its answer, and reads no further."""
    connection = socket.create_connection((host.client.base_url.host, host.client.base_url.port or 0), 20)
    connection.sendall(head(PATH, {"authorization": f"Bearer {TOKEN}"}, method="GET", length=None))
    while b"retry: " not in connection.recv(4096):
        pass
    return connection


def test_readers_that_take_nothing_cost_no_memory_and_hold_up_nobody(host: ControlHost) -> None:
    with ExitStack() as slow, reading(host) as reader:
        growth(host, reader)  # the ledger's own buffers fill, too
        for _ in range(40):
            slow.enter_context(connect(host))
        grown = [growth(host, reader) for _ in range(4)]
        assert min(grown) < 40, f"MB in each round: {grown}; 40 x 2,500 events are more than 100"
        began = time.monotonic()
        assert host.end() == 0
        assert time.monotonic() - began < 8


def growth(host: ControlHost, reader: Reader) -> float:
    """MB that the process grows by while so many requests are settled, and read by one reader."""
    assert host.process is not None
    before = private_mb(host.process.pid)
    for _ in range(2500):
        host.serve(USAGE, tags="filler=" + "x" * 400)
    reader.events(2500)
    return private_mb(host.process.pid) - before


def test_the_end_of_the_process_ends_the_stream(host: ControlHost) -> None:
    # With a client of its own: the host closes its own client at the end.
    own = httpx.Client(base_url=host.client.base_url, headers=host.client.headers, trust_env=False)
    with own, own.stream("GET", PATH) as answer:
        reader = Reader(answer)
        host.serve(USAGE)
        reader.event()
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(host.end)
            with pytest.raises(EOFError):
                reader.event()
            assert ended.result(10) == 0


def test_a_request_through_a_gateway_is_heard_of(tmp_path: Path) -> None:
    settings = {"teams": [{"id": "team"}], "keys": [key("one", team="team")]}
    with House(tmp_path, settings, workers=1) as house:
        headers = {"authorization": f"Bearer {house.admin_token}"}
        with httpx.stream("GET", house.admin_url + PATH, headers=headers, trust_env=False, timeout=30) as answer:
            reader = Reader(answer)
            body = compact({"model": "sim/sim-small", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]})
            sent = {"authorization": f"Bearer {secret('one')}", "content-type": "application/json"}
            done = exchange(house.port, head("/v1/chat/completions", sent, length=len(body)) + body)
            event = reader.event()
        assert event["id"] == done.headers["x-fastgate-request-id"]
        assert event["cost_usd"] == done.headers["x-fastgate-cost-usd"]
