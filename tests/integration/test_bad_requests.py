"""Requests that are wrong, too large, too slow or not HTTP at all, over real sockets."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import House, compact, key, private_mb, secret, wait_for
from tests.support.wire import Answer, Reader, exchange, head, read_answer

UPLOAD_SECONDS = 2.0
MEMORY_MB = 60
"""That a worker may come to take beyond what it took at the start, whatever it is sent."""
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
GOOD = compact({"model": "sim/sim-small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    budgets = [{"limit_usd": "1000", "window": "lifetime"}]
    settings = {"teams": [{"id": "team"}], "keys": [key("one", team="team", budgets=budgets), key("free", team="team")]}
    environment = {"FASTGATE_UPLOAD_SECONDS": str(UPLOAD_SECONDS)}
    with House(tmp_path_factory.mktemp("house"), settings, workers=1, environment=environment) as house:
        yield house


@pytest.fixture(autouse=True)
def nothing_was_charged(house: House) -> Iterator[None]:
    """None of these requests reaches the provider, none leaves a hold, and the worker is as it was."""
    house.simulator.reset()
    [worker] = house.pids("worker")
    before = private_mb(worker)
    yield
    assert ask(house, CHAT, GOOD).status == 200
    house.settled()
    assert house.bill()["total"]["requests"] == 1
    assert Decimal(house.budget("key:one/lifetime/default")["held_usd"]) == 0
    assert house.pids("worker") == [worker]
    assert private_mb(worker) < before + MEMORY_MB


def headers(path: str, name: str = "one") -> dict[str, str]:
    credential = {"x-api-key": secret(name)} if path == MESSAGES else {"authorization": f"Bearer {secret(name)}"}
    return {**credential, "content-type": "application/json"}


def ask(house: House, path: str, body: bytes, *, method: str = "POST", **more: str) -> Answer:
    return exchange(house.port, head(path, {**headers(path), **more}, method=method, length=len(body)) + body)


def assert_error(answer: Answer, path: str, status: int, code: str, kind: str | None = None) -> str:
    """The contract's error in the dialect of the path; returns its message."""
    assert answer.complete
    assert (answer.status, answer.headers.get("x-fastgate-error")) == (status, code), answer.body[:500]
    document: Any = json.loads(answer.body)
    if "messages" in path:
        assert document["type"] == "error"
        assert document["error"]["type"] == (kind or "invalid_request_error")
        assert document["request_id"] == answer.headers["request-id"]
    else:
        assert document["error"]["code"] == code
    message: str = document["error"]["message"]
    assert answer.headers["x-fastgate-request-id"] in message
    assert ("Retrying may help" in message) == (status == 408)
    return message


BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the text ends too early"),
    "garbage": (b"\x00\x01\x02", "at line 1, column 1"),
    "cut": (GOOD[:-3], "at line 1"),
    "trailing": (GOOD + b"x", "at line 1"),
    "single quotes": (b"{'model': 'x'}", "at line 1, column 2"),
    "an array": (b"[]", "must be a JSON object"),
    "a number": (b"17", "must be a JSON object"),
    "no model": (b'{"messages":[]}', "'model' is missing or empty"),
    "an empty model": (b'{"model":"","messages":[]}', "'model' is missing or empty"),
    "a null model": (b'{"model":null}', "model"),
    "a model that is no text": (b'{"model":7}', "model"),
    "a stream that is no boolean": (GOOD[:-1] + b',"stream":"yes"}', "stream"),
    "a cap that is no number": (b'{"model":"sim/sim-small","max_tokens":"9"}', "max_tokens"),
    "a cap that is no integer": (b'{"model":"sim/sim-small","max_tokens":9.5}', "max_tokens"),
    "a negative cap": (b'{"model":"sim/sim-small","max_tokens":-1}', "max_tokens"),
    "a cap beyond 64 bits": (b'{"model":"sim/sim-small","max_tokens":99999999999999999999}', "max_tokens"),
    "a model twice": (b'{"model":"sim/sim-small","model":"sim/sim-large"}', "same member name is there twice"),
    "a model twice, escaped": (
        b'{"model":"sim/sim-small","mod\\u0065l":"sim/sim-large"}',
        "same member name is there twice",
    ),
    "a cap twice": (b'{"model":"sim/sim-small","max_tokens":1,"max_tokens":9}', "same member name is there twice"),
    "invalid UTF-8": (b'{"model":"sim/\xff\xfe"}', "at line 1"),
    "an overlong NUL": (b'{"model":"sim/\xc0\x80"}', "at line 1"),
    "a surrogate in UTF-8": (b'{"model":"sim/\xed\xa0\x80"}', "at line 1"),
    "a NUL": (b'{"model":"sim/\x00"}', "at line 1"),
    "a raw line break": (b'{"model":"sim/\n"}', "line"),
    "a bad escape": (b'{"model":"sim/\\x"}', "at line 1"),
    "too deep": (b'{"model":"sim/sim-small","x":' + b"[" * 100_000, "at line 1"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "at line 1, column 1"),
    "gzip": (b"\x1f\x8b\x08\x00", "at line 1, column 1"),
}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_bodies_that_cannot_be_taken(house: House, path: str) -> None:
    said = {
        name: assert_error(ask(house, path, body), path, 400, "invalid_request") for name, (body, _) in BODIES.items()
    }
    assert {name: text for name, text in said.items() if BODIES[name][1] not in text} == {}


def test_rejected_requests_are_in_the_ledger_and_strangers_are_counted(house: House) -> None:
    before = len(house.requests(error="invalid_request"))
    ask(house, CHAT, b"{}")
    house.settled()
    rows = house.requests(error="invalid_request")
    assert len(rows) == before + 1
    assert (rows[0]["status"], rows[0]["outcome"], rows[0]["settlement"], rows[0]["key"]) == (
        400,
        "rejected",
        "none",
        "one",
    )
    assert rows[0]["cost_usd"] == rows[0]["hold_usd"] == "0.000000000"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip"])
def test_a_compressed_body_that_is_none(house: House, encoding: str) -> None:
    answer = ask(house, CHAT, GOOD, **{"content-encoding": encoding})
    assert_error(answer, CHAT, 400, "invalid_request")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_body_of_65_mb_that_is_declared(house: House, path: str) -> None:
    """Refused by its head: nothing of it has to be sent."""
    answer = exchange(house.port, head(path, headers(path), length=65 << 20))
    assert "67108864 bytes" in assert_error(answer, path, 413, "request_too_large", "request_too_large")


def test_a_body_of_65_mb_that_is_sent_all_the_same(house: House) -> None:
    with socket.create_connection(("127.0.0.1", house.port), 20) as connection:
        connection.sendall(head(CHAT, headers(CHAT), length=65 << 20))
        answer = read_answer(connection)
        pump(connection, b"x" * (1 << 20), 65)
    assert_error(answer, CHAT, 413, "request_too_large")


@pytest.mark.parametrize(("path", "status"), [(CHAT, 401), ("/v1/nothing", 404)])
def test_a_refusal_before_the_body_leaves_the_connection_usable(house: House, path: str, status: int) -> None:
    refused = head(path, {"authorization": "Bearer nobody"}, length=200_000) + b" " * 200_000
    with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
        for _ in range(3):
            connection.sendall(refused)
            answer = read_answer(connection)
            assert (answer.status, "connection" in answer.headers) == (status, False)


@pytest.mark.parametrize("length", [200_000, 20 << 20, None])
def test_a_refusal_of_a_body_that_does_not_come_closes_the_connection(house: House, length: int | None) -> None:
    """What is too long to be thrown away, or does not come, cannot be told from the next request."""
    more = {"transfer-encoding": "chunked"} if length is None else {}
    with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
        connection.sendall(head(CHAT, {"authorization": "Bearer nobody", **more}, length=length) + b" ")
        answer = read_answer(connection)
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        assert received_or_reset(connection) == b""


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_are_bounded_together(house: House, chunked: bool) -> None:
    """Four of the longest fit at once; whoever comes then is told to come again, and is served once there is room."""
    size, waiting = 60 << 20, []
    more = {"transfer-encoding": "chunked"} if chunked else {}
    opening = head(CHAT, {**headers(CHAT), **more}, length=None if chunked else size)
    piece = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20)) if chunked else b" " * (1 << 20)
    try:
        for _ in range(4):
            connection = socket.create_connection(("127.0.0.1", house.port), 20)
            waiting.append(connection)
            connection.sendall(opening)
            pump(connection, piece, 59)
        wait_for(lambda: upload(house, opening, piece).status == 503, 5, "the worker has no more room")
        refused = upload(house, opening, piece)
    finally:
        for connection in waiting:
            connection.close()
    assert refused.headers["retry-after"] == "1"
    assert json.loads(refused.body)["error"]["code"] == "server_is_overloaded"
    wait_for(lambda: upload(house, opening, piece).status == 408, 10, "there is room again")


def upload(house: House, opening: bytes, piece: bytes) -> Answer:
    """Most of a long body, and whatever is said to it."""
    with socket.create_connection(("127.0.0.1", house.port), 20) as connection:
        connection.sendall(opening)
        pump(connection, piece, 30)
        return read_answer(connection)


@pytest.mark.parametrize("said", ["", "0", "-5", "1.5", "soon", "9" * 12])
def test_a_patience_that_is_no_number(house: House, said: str) -> None:
    for path in (CHAT, MESSAGES):
        answer = ask(house, path, GOOD, **{"x-fastgate-timeout-ms": said})
        assert "x-fastgate-timeout-ms" in assert_error(answer, path, 400, "invalid_request")


def pump(connection: socket.socket, piece: bytes, times: int) -> None:
    """Send until it is done or the other side has had enough."""
    try:
        for _ in range(times):
            connection.sendall(piece)
    except ConnectionError:
        return


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_body_of_65_mb_in_chunks(house: House, path: str) -> None:
    chunk = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20))
    request = head(path, {**headers(path), "transfer-encoding": "chunked"}, length=None)
    with socket.create_connection(("127.0.0.1", house.port), 20) as connection:
        connection.sendall(request)
        pump(connection, chunk, 65)
        answer = read_answer(connection)
    if answer.status:  # a server may cut a client that goes on sending before it reads the answer
        assert_error(answer, path, 413, "request_too_large", "request_too_large")


def test_a_small_body_that_inflates_beyond_the_limit(house: House) -> None:
    import gzip

    bomb = gzip.compress(b" " * (70 << 20))
    answer = ask(house, CHAT, bomb, **{"content-encoding": "gzip"})
    assert_error(answer, CHAT, 413, "request_too_large")


def test_a_body_in_chunks(house: House) -> None:
    house.simulator.reset()
    pieces = [GOOD[i : i + 7] for i in range(0, len(GOOD), 7)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    request = head(CHAT, {**headers(CHAT), "transfer-encoding": "chunked"}, length=None)
    assert exchange(house.port, request + chunks).status == 200
    house.simulator.reset()


def test_ten_thousand_headers(house: House) -> None:
    """Refused by the server before we see them, without a body of ours."""
    many = [*headers(CHAT).items(), *((f"x-{n}", "y") for n in range(10_000))]
    answer = exchange(house.port, head(CHAT, many, length=0))
    assert (answer.status, answer.body) == (431, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/nothing", 404, "not_found"),
        ("GET", "/admin", 404, "not_found"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("PURGE", CHAT, 405, "method_not_allowed"),
        ("DELETE", MESSAGES, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/responses", 400, "dialect_not_supported"),
        ("POST", "/openai/deployments/d/embeddings", 400, "dialect_not_supported"),
        ("GET", "/v1/embeddings", 405, "method_not_allowed"),
        ("GET", "/anthropic/v1/nothing", 404, "not_found"),
        ("POST", f"{CHAT}/", 404, "not_found"),
        ("POST", "/%00", 404, "not_found"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "not_found"),
    ],
)
def test_an_unknown_path_or_method(house: House, method: str, path: str, status: int, code: str) -> None:
    answer = ask(house, path, b"", method=method)
    kind = "not_found_error" if status == 404 else None
    shape = "messages" if path.startswith(("/anthropic", MESSAGES)) else path
    assert_error(answer, shape, status, code, kind)


def test_a_method_that_is_none(house: House) -> None:
    answer = ask(house, CHAT, b"", method="BREW")
    assert (answer.status, answer.headers["connection"], answer.body) == (501, "close", b"")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_stops_is_refused_in_time(house: House, path: str, chunked: bool) -> None:
    more = {"transfer-encoding": "chunked"} if chunked else {}
    start = b"%x\r\n%b\r\n" % (20, GOOD[:20]) if chunked else GOOD[:20]
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
        connection.sendall(head(path, {**headers(path), **more}, length=None if chunked else len(GOOD)) + start)
        answer = read_answer(connection)
    assert_error(answer, path, 408, "request_timeout")
    assert UPLOAD_SECONDS <= time.monotonic() - began < UPLOAD_SECONDS + 2


def test_an_upload_that_is_too_slow_is_refused_in_time(house: House) -> None:
    """It is the whole body that has to arrive, so a byte now and then does not help."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", house.port), 0.1) as connection:
        connection.sendall(head(CHAT, headers(CHAT), length=len(GOOD)))
        reader = Reader()
        sent = 0
        while time.monotonic() - began < 5:
            try:
                if reader.feed(connection.recv(65_536)):
                    break
            except TimeoutError:
                connection.sendall(GOOD[sent : sent + 1])
                sent += 1
    assert_error(reader.answer, CHAT, 408, "request_timeout")
    assert sent < len(GOOD)


@pytest.mark.parametrize("reset", [False, True])
def test_an_upload_that_ends_before_its_length(house: House, reset: bool) -> None:
    before = len(house.requests())
    with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
        connection.sendall(head(CHAT, headers(CHAT), length=len(GOOD)) + GOOD[:20])
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.shutdown(socket.SHUT_WR)
            answer = read_answer(connection)
            assert "ended before its body was whole" in assert_error(answer, CHAT, 400, "invalid_request")
    wait_for(lambda: len(house.requests()) > before, 10, "it is in the ledger")
    assert house.requests()[0]["outcome"] == "rejected"


START = b"POST / HTTP/1.1\r\nhost: a\r\n"
NO_HTTP = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00",
    "no path": b"GET\r\n\r\n",
    "another version": b"POST /v1/chat/completions HTTP/9.9\r\n\r\n",
    "NULs": b"\x00" * 4096,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": START + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "a negative length": START + b"content-length: -5\r\n\r\n",
    "a chunk without size": START + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_closed(house: House, name: str) -> None:
    with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
        connection.sendall(NO_HTTP[name])
        with suppress(OSError):  # it may be closed already
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := received_or_reset(connection):
            received += piece
    assert not received or not received.startswith(b"HTTP/1.1 2"), received


def received_or_reset(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-goog-api-key", "x-litellm-api-key"])
def test_a_key_of_ten_kilobytes(house: House, name: str) -> None:
    for value in ("k" * 10_000, "Bearer " + "k" * 10_000):
        answer = exchange(house.port, head(CHAT, {name: value}, length=len(GOOD)) + GOOD)
        assert_error(answer, CHAT, 401, "invalid_api_key")


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic eA==", "Bearer \u00e9\u00ff", "Bearer sk-fg-x,sk-fg-y"]
)
def test_a_credential_that_is_none(house: House, value: str) -> None:
    answer = exchange(house.port, head(CHAT, {"authorization": value}, length=len(GOOD)) + GOOD)
    assert_error(answer, CHAT, 401, "invalid_api_key")


def test_a_flood_of_wrong_keys_fills_nothing(house: House) -> None:
    [worker] = house.pids("worker")
    count: Callable[[], int] = lambda: house.admin("status")["workers"][0]["without_key"]  # noqa: E731
    before, rows, memory = count(), len(house.requests()), private_mb(worker)
    with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
        for start in range(0, 20_000, 500):
            burst = [
                head("/v1/models", {"x-api-key": f"{n:x<1000}"}, method="GET", length=None)
                for n in range(start, start + 500)
            ]
            connection.sendall(b"".join(burst))
            seen = b""
            while seen.count(b"HTTP/1.1 401") < 500 or not seen.endswith(b"}"):
                seen += connection.recv(1 << 20)
    wait_for(lambda: count() >= before + 20_000, 10, "they are counted")
    assert len(house.requests()) == rows
    assert private_mb(worker) < memory + 15


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime", CHAT, "/"])
def test_a_websocket_is_refused(house: House, path: str) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    answer = exchange(house.port, head(path, {**headers(CHAT), **upgrade}, method="GET", length=None))
    assert_error(answer, CHAT, 426, "upgrade_refused")
