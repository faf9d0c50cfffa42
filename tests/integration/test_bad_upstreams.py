"""Providers that answer badly, late, without end or not at all: what the client gets, and what is charged."""

import json
import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import House, compact, free_port, key, private_mb, secret, wait_for
from tests.support.wire import Answer, exchange, head, read_answer

TIMEOUT_SECONDS = 0.6
READ_SECONDS = 1.0
STALLED_SECONDS = 1.0
MEMORY_MB = 48
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
BOTH = pytest.mark.parametrize("path", [CHAT, MESSAGES])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "disconnect": {"read_seconds": READ_SECONDS},
        "customers": [{"id": "acme", "budgets": [{"limit_usd": "100000", "window": "lifetime"}]}],
        "teams": [{"id": "team", "customer": "acme"}],
        "keys": [key("one", team="team")],
    }
    environment = {"FASTGATE_STALLED_SECONDS": str(STALLED_SECONDS)}
    house = House(tmp_path_factory.mktemp("house"), settings, workers=1, environment=environment)
    with house.simulator as simulator:
        house.owns_simulator = False
        sim = {"type": "sim", "base_url": simulator.url, "keys": [{"name": "k", "value": "upstream-key"}]}
        bounds = {"first_byte": TIMEOUT_SECONDS, "idle": TIMEOUT_SECONDS, "total": 20}
        absent = {**sim, "base_url": f"http://127.0.0.1:{free_port()}"}
        house.settings["providers"] = {"sim": {**sim, "timeout_seconds": bounds}, "absent": absent}
        with house:
            yield house


@pytest.fixture(autouse=True)
def money_is_right(house: House) -> Iterator[None]:
    """No hold is left, the counters are the ledger, and the ledger is not below the bill."""
    house.simulator.reset()
    before = Decimal(house.admin("spend")["total"]["cost_usd"])
    [worker] = house.pids("worker")
    memory = private_mb(worker)
    yield
    house.settled()
    after = Decimal(house.admin("spend")["total"]["cost_usd"])
    assert after - before >= Decimal(house.bill()["total"]["usd"]) - Decimal("0.00000001")
    budget = house.budget("customer:acme/lifetime/default")
    assert Decimal(budget["spent_usd"]) == after
    assert Decimal(budget["held_usd"]) == 0
    assert house.pids("worker") == [worker]
    assert private_mb(worker) < memory + MEMORY_MB


def request(
    path: str, script: dict[str, Any], *, stream: bool = False, model: str = "sim/sim-small", tokens: int = 64
) -> bytes:
    """The bytes of a request that is answered as the script says."""
    content = f"sim: {compact(script).decode()}"
    document = {
        "model": model,
        "stream": stream,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": content}],
    }
    body = compact(document)
    claude = {"x-api-key": secret("one"), "anthropic-version": "2023-06-01"}
    credential = claude if path == MESSAGES else {"authorization": f"Bearer {secret('one')}"}
    return head(path, {**credential, "content-type": "application/json"}, length=len(body)) + body


def row(house: House, answer: Answer) -> dict[str, Any]:
    """The ledger's row of an answer."""
    house.settled()
    found: dict[str, Any] = house.admin(f"requests/{answer.headers['x-fastgate-request-id']}")
    return found


def assert_error(answer: Answer, path: str, status: int, code: str, kind: str) -> None:
    assert answer.complete
    assert (answer.status, answer.headers.get("x-fastgate-error")) == (status, code), answer.body
    error = json.loads(answer.body)["error"]
    assert error["type"] == (kind if path == MESSAGES else "server_error")
    assert "127.0.0.1" not in error["message"]


@BOTH
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fail", ["garbage", "noheaders", "bighead"])
def test_what_is_no_answer_is_an_upstream_error(house: House, path: str, stream: bool, fail: str) -> None:
    """The provider may bill what it was sent: the hold stays charged, as unsettled."""
    answer = exchange(house.port, request(path, {"fail": fail}, stream=stream))
    assert_error(answer, path, 502, "upstream_error", "api_error")
    found = row(house, answer)
    assert (found["settlement"], found["status"], found["error"]) == ("unsettled", 502, "upstream_error")
    assert found["cost_usd"] == found["hold_usd"] != "0.000000000"


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_never_answers(house: House, path: str, stream: bool) -> None:
    began = time.monotonic()
    answer = exchange(house.port, request(path, {"fail": "hang"}, stream=stream))
    assert TIMEOUT_SECONDS <= time.monotonic() - began < TIMEOUT_SECONDS + 1
    assert_error(answer, path, 504, "upstream_timeout", "timeout_error")
    assert "x-should-retry" not in answer.headers  # nothing else was tried
    assert row(house, answer)["settlement"] == "unsettled"


@BOTH
def test_a_provider_that_is_not_there_costs_nothing(house: House, path: str) -> None:
    answer = exchange(house.port, request(path, {}, model="absent/sim-small"))
    assert_error(answer, path, 502, "upstream_error", "api_error")
    found = row(house, answer)
    assert (found["settlement"], found["cost_usd"]) == ("none", "0.000000000")


@BOTH
@pytest.mark.parametrize("fail", ["early", "cut", "stall"])
def test_a_whole_answer_that_breaks_off(house: House, path: str, fail: str) -> None:
    answer = exchange(house.port, request(path, {"fail": fail}))
    status, code, kind = (
        (504, "upstream_timeout", "timeout_error") if fail == "stall" else (502, "upstream_error", "api_error")
    )
    assert_error(answer, path, status, code, kind)
    assert row(house, answer)["settlement"] == "unsettled"


@BOTH
def test_a_stream_that_ends_with_its_head(house: House, path: str) -> None:
    """Whether its head has gone on by then is a matter of how the bytes fall."""
    answer = exchange(house.port, request(path, {"fail": "early"}, stream=True))
    assert answer.complete
    assert answer.status in {200, 502}
    assert b"upstream_error" in answer.body or b"api_error" in answer.body
    assert row(house, answer)["settlement"] == ("estimated" if answer.status == 200 else "unsettled")


@BOTH
@pytest.mark.parametrize("fail", ["cut", "stall"])
def test_a_stream_that_breaks_off_ends_with_an_error(house: House, path: str, fail: str) -> None:
    began = time.monotonic()
    answer = exchange(house.port, request(path, {"fail": fail, "chunks": 8, "after": 4, "tokens": 60}, stream=True))
    assert time.monotonic() - began < TIMEOUT_SECONDS + 1
    assert (answer.status, answer.complete) == (200, True)
    last = answer.body.strip().split(b"\n\n")[-1]
    event = last if path == CHAT else last.removeprefix(b"event: error\n")
    error = json.loads(event.removeprefix(b"data: "))["error"]
    assert error["type"] == ("server_error" if path == CHAT else "api_error")
    assert b"[DONE]" not in answer.body
    assert b"message_stop" not in answer.body
    found = row(house, answer)
    assert (found["settlement"], found["outcome"], found["error"]) == ("estimated", "upstream_error", "upstream_error")
    assert found["output_tokens"] >= 30


OPENING = {
    CHAT: 'data: {"choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n',
    MESSAGES: 'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"abc"}}\n\n',
}


@BOTH
def test_a_stream_that_stops_without_its_end_is_no_complete_answer(house: House, path: str) -> None:
    """Its connection ended in order; only the events say that something is missing."""
    script = {"body": OPENING[path], "headers": {"content-type": "text/event-stream"}}
    answer = exchange(house.port, request(path, script, stream=True))
    assert (answer.status, answer.complete) == (200, True)
    opening, error = answer.body.rstrip().split(b"\n\n")
    assert opening == OPENING[path].rstrip().encode()
    assert (
        "closed the connection before its answer was whole"
        in json.loads(error.partition(b"data: ")[2])["error"]["message"]
    )
    found = row(house, answer)
    assert (found["settlement"], found["outcome"], found["error"]) == ("estimated", "upstream_error", "upstream_error")


@BOTH
def test_a_provider_that_repeats_our_credential(house: House, path: str) -> None:
    """The one change to an error of the provider's own: it is not for the client to see."""
    script = {
        "status": 401,
        "body": '{"error": {"message": "Incorrect API key: upstream-key."}}',
        "headers": {"openai-key": "upstream-key", "anthropic-key": "upstream-key"},
    }
    answer = exchange(house.port, request(path, script))
    assert answer.body == b'{"error": {"message": "Incorrect API key: ***."}}'
    assert "upstream-key" not in str(answer.headers)


@BOTH
def test_a_usage_that_contradicts_itself_is_corrected_and_counted(house: House, path: str) -> None:
    def counted() -> int:
        return sum(owner["usage_anomalies"] for owner in house.admin("status")["workers"])

    before = counted()
    usage = {"prompt_tokens": 5, "completion_tokens": -7, "input_tokens": 5, "output_tokens": -7}
    answer = exchange(house.port, request(path, {"status": 200, "body": json.dumps({"usage": usage})}))
    assert answer.status == 200
    assert row(house, answer)["output_tokens"] == 0
    wait_for(lambda: counted() > before, 5, "it is counted")
    assert "negative" in house.log.read_text()


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_compressed_unasked(house: House, path: str, stream: bool) -> None:
    script = {"text": "one two three", "fail": "gzip"}
    answer = exchange(house.port, request(path, script, stream=stream))
    assert (answer.status, "content-encoding" in answer.headers) == (200, False)
    assert b"one " in answer.body
    assert b"\x1f\x8b" not in answer.body
    found = row(house, answer)
    assert found["settlement"] == "exact"
    assert Decimal(found["cost_usd"]) == round(Decimal(house.bill()["total"]["usd"]), 9)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_byte_by_byte(house: House, path: str, stream: bool) -> None:
    answer = exchange(house.port, request(path, {"text": "one two three", "split": 1}, stream=stream))
    assert (answer.status, answer.complete) == (200, True)
    assert row(house, answer)["settlement"] == "exact"


@BOTH
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 529])
def test_an_error_passes_through_byte_for_byte(house: House, path: str, status: int) -> None:
    body = '{ "error" :{"message": "T\u00fcr zu",\n "odd":1e5 } }'
    script = {"status": status, "body": body, "headers": {"retry-after": "7", "x-request-id": "r", "set-cookie": "a=b"}}
    answer = exchange(house.port, request(path, script))
    assert (answer.status, answer.body) == (status, body.encode())
    assert (answer.headers["retry-after"], answer.headers.get("set-cookie")) == ("7", None)
    assert answer.headers.get("x-fastgate-error") == ("upstream_error" if status >= 500 else None)
    found = row(house, answer)
    assert (found["settlement"], found["status"], found["cost_usd"]) == ("none", status, "0.000000000")


@BOTH
def test_a_redirect_is_not_followed(house: House, path: str) -> None:
    raw = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    answer = exchange(house.port, request(path, {"raw": raw}))
    assert_error(answer, path, 502, "upstream_error", "api_error")


@BOTH
@pytest.mark.parametrize("body", ["", "{", "[]", '{"usage": 7}', '{"usage": {"prompt_tokens": "x"}}', "\ud7ff\x00"])
def test_a_success_that_reports_nothing_is_estimated(house: House, path: str, body: str) -> None:
    answer = exchange(house.port, request(path, {"body": body}))
    assert (answer.status, answer.body) == (200, body.encode())
    found = row(house, answer)
    assert found["settlement"] == "estimated"
    assert 0 < Decimal(found["cost_usd"]) <= Decimal(found["hold_usd"])


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_end(house: House, path: str, stream: bool) -> None:
    """Passed on as it comes for as long as somebody reads it; then read on for a while, and cut."""
    [worker] = house.pids("worker")
    memory = private_mb(worker)
    with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
        connection.sendall(request(path, {"fail": "endless"}, stream=stream))
        received = 0
        while received < 64 << 20:
            piece = connection.recv(1 << 20)
            if not piece:
                break
            received += len(piece)
        assert private_mb(worker) < memory + MEMORY_MB
    wait_for(lambda: house.holds() == 0, READ_SECONDS + 5, "it is cut")
    house.settled()
    found = house.requests()[0]
    assert (found["settlement"], found["status"]) == ("estimated", 200)
    assert Decimal(found["cost_usd"]) <= Decimal(found["hold_usd"])


LONG = {"chunks": 100_000, "tokens": 100_000}
"""About 25 MB of events."""


def test_a_reader_that_never_reads(house: House) -> None:
    """Its provider is paused, so that nothing piles up; then it is cut, and the answer read to its end for the bill."""
    [worker] = house.pids("worker")
    memory = private_mb(worker)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", house.port))
        began = time.monotonic()
        connection.sendall(request(CHAT, LONG, stream=True, tokens=100_000))
        wait_for(lambda: house.holds() == 1, 5, "it has begun")
        most = 0.0
        while house.holds():
            most = max(most, private_mb(worker) - memory)
            assert time.monotonic() - began < STALLED_SECONDS + 10
        assert time.monotonic() - began > STALLED_SECONDS
        assert most < MEMORY_MB
        answer = read_answer(connection)
    assert not answer.complete
    assert len(answer.received) < 12 << 20
    found = row(house, answer)
    assert (found["settlement"], found["outcome"], found["output_tokens"]) == ("exact", "client_gone", 100_000)


def test_an_error_too_long_to_be_kept(house: House) -> None:
    """Not passed on, since it cannot be told from an answer without end; its connection is not kept either."""
    script = {"status": 500, "body": "x" * (9 << 20)}
    answer = exchange(house.port, request(CHAT, script), timeout=20)
    assert_error(answer, CHAT, 502, "upstream_error", "api_error")


def test_a_reader_that_takes_little_at_a_time_is_not_cut(house: House) -> None:
    """One that takes something now and then is slow, not stalled, however long its provider is paused for it."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", house.port))
        connection.sendall(request(CHAT, LONG, stream=True, tokens=100_000))
        began = time.monotonic()
        while time.monotonic() - began < 3 * STALLED_SECONDS:
            assert connection.recv(8192)
            time.sleep(0.05)
        assert house.holds() == 1
        drain(connection)
    house.settled()
    assert (house.requests()[0]["settlement"], house.requests()[0]["outcome"]) == ("exact", "ok")


def drain(connection: socket.socket) -> None:
    tail = b""
    while not tail.endswith(b"0\r\n\r\n"):
        piece = connection.recv(1 << 20)
        assert piece
        tail = tail[-16:] + piece


def test_a_reader_that_is_slow_misses_nothing(house: House) -> None:
    """It takes something now and then, for longer than one that takes nothing is let wait."""
    sent = request(CHAT, LONG, stream=True, tokens=100_000)
    with socket.socket() as connection:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.connect(("127.0.0.1", house.port))
        connection.sendall(sent)
        began = time.monotonic()
        received = bytearray()
        while not received.endswith(b"0\r\n\r\n"):
            piece = connection.recv(1 << 17)
            assert piece, len(received)
            received += piece
            # A pause within the bound after each 128 KB at first, so that it lasts longer than the bound in all.
            if time.monotonic() - began < 2 * STALLED_SECONDS:
                time.sleep(0.02)
    assert time.monotonic() - began > 2 * STALLED_SECONDS
    assert received.count(b'"delta":{"content":') == 100_001 - 1
    assert b"[DONE]" in received[-200:]
    house.settled()
    assert house.requests()[0]["settlement"] == "exact"
