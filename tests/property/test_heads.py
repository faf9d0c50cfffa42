"""Heads against plain statements of the same rules: what is read of a request's, and what an answer's is made of."""

import asyncio
import re
from collections.abc import Iterator
from functools import partial
from time import time_ns
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastgate._core.answer_head import Figures, Passed
from fastgate._core.client import Client
from fastgate._core.headers import by_name
from fastgate._core.server import Server
from fastgate.wire.money import usd

Pairs = list[tuple[str, str]]

NAMES: Final = st.sampled_from(["Accept", "accept", "X-One", "x-one", "x-two", "X-TWO", "Cookie"])
VALUES: Final = st.binary(max_size=20).map(lambda value: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", value).strip(b" \t"))
TEXTS: Final = st.text(st.characters(max_codepoint=0x17F), max_size=40) | st.text("ab \t", max_size=40)
ANSWERED: Final = st.lists(
    st.tuples(st.sampled_from(["content-type", "x-fastgate-cost-usd", "connection", "a"]) | TEXTS, TEXTS), max_size=8
)
AMOUNTS: Final = st.none() | st.integers(-(2**63), 2**63 - 1)


class Transport:
    """The other end of a connection: it takes everything."""

    def __init__(self) -> None:
        self.written = b""

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return "127.0.0.1", 50000

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def ask(loop: asyncio.AbstractEventLoop, application: Any, asked: bytes) -> bytes:
    """What a client is answered whose bytes the application is given."""
    transport = Transport()
    client: Any = Client(Server(loop, application, lambda *_: asyncio.Protocol()))  # type: ignore[call-arg]
    client.connection_made(transport)

    async def once() -> None:
        client.data_received(asked)
        await asyncio.sleep(0)  # what is put off to the end of a pass

    loop.run_until_complete(once())
    client.connection_lost(None)
    return transport.written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
@example([("x-one", b"1"), ("X-One", b"1")])
@example([("x-one", b"\xff"), ("x-one", b"1"), ("x-two", b"\xff"), ("accept", b""), ("x-one", b"2")])
def test_headers_of_a_request(loop: asyncio.AbstractEventLoop, came: list[tuple[str, bytes]]) -> None:
    seen = []

    async def application(scope: Any, protocol: Any) -> None:
        seen.append(scope.headers)
        protocol.response_empty(200, [])

    lines = b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in came)
    ask(loop, application, b"GET / HTTP/1.1\r\n%b\r\n" % lines)
    [headers] = seen
    readable = [(name.lower(), value.decode()) for name, value in came if value.isascii()]
    assert headers.items() == readable
    assert [*by_name(headers).items()] == [*dict(readable).items()]
    for name in ("accept", "x-one", "x-two", "cookie", "host"):
        values = [value for known, value in readable if known == name]
        assert headers.get_all(name) == values
        assert headers.get(name) == next(iter(values), None)
        assert headers.get(name, "else") == next(iter(values), "else")
        assert (name in headers) == any(known.lower() == name for known, _ in came)


def test_headers_of_another_server() -> None:
    class Granian:
        def items(self) -> Pairs:
            return [("a", "1"), ("b", "2"), ("a", "3")]

    assert by_name(Granian()) == {"a": "3", "b": "2"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANSWERED, st.sampled_from([200, 204, 304, 404, 599]), st.binary(max_size=40))
@example([("a", "\n")], 200, b"")
@example([("a", "b" * 40 + "\x7f")], 200, b"")
@example([("a" * 20, "b" * 20 + "\r\nx: y")], 200, b"")
@example([("\u0100", "b")], 200, b"")
def test_an_answer_is_what_it_was_given_or_nothing(
    loop: asyncio.AbstractEventLoop, headers: Pairs, status: int, body: bytes
) -> None:
    """One bad header and nothing of the answer is said: the one behind it is as if it were the first."""
    said = [(name, value) for name, value in headers if name != "connection"]
    sound = not any(re.search(r"[\x00-\x08\x0a-\x1f\x7f\u0100-\U0010ffff]", text) for pair in said for text in pair)
    raised = []

    async def application(scope: Any, protocol: Any) -> None:
        for answer in (
            partial(protocol.response_stream, 200, [*headers, ("a", "\x00")]),
            partial(protocol.response_bytes, status, headers, body),
        ):
            try:
                answer()
            except ValueError as error:
                raised.append(error)
        if len(raised) == 2:
            protocol.response_bytes(500, (("b", "c"),), b"")

    written = ask(loop, application, b"GET / HTTP/1.1\r\n\r\n")
    assert len(raised) == (1 if sound else 2)
    closes = sound and any(name == "connection" and value == "close" for name, value in headers)
    bodiless = status in (204, 304)
    lines = [f"{name}: {value}" for name, value in said] if sound else ["b: c"]
    lines += [f"content-length: {len(body) if sound else 0}"] * (not (sound and bodiless))
    lines += ["connection: close"] * closes
    first, date, rest = written.split(b"\r\n", 2)
    assert first.startswith(b"HTTP/1.1 %d " % (status if sound else 500))
    assert date.startswith(b"date: ")
    ends = b"" if bodiless or not sound else body
    assert rest == b"".join(line.encode("latin-1") + b"\r\n" for line in lines) + b"\r\n" + ends


@given(
    st.lists(st.lists(st.tuples(TEXTS, TEXTS), max_size=3) | st.tuples(st.tuples(TEXTS, TEXTS)), max_size=4),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**62),
    AMOUNTS,
    AMOUNTS,
)
@example([], bytes(16), 0, 0, 999_999_999)
@example([], bytes(range(240, 256)), 2**62, -1, 1_000_000_000)
@example([], bytes(16), 0, -(2**63), 2**63 - 1)
def test_figures_of_an_answer(parts: Any, id_: bytes, since_ns: int, left: int | None, cost: int | None) -> None:
    before = time_ns()
    found = Figures("id", "us", "left", "cost").behind(tuple(parts), id_, since_ns, left, cost)
    after = time_ns()
    pairs = [pair for part in parts for pair in part]
    us = int(found[len(pairs) + 1][1])
    assert (before - since_ns) // 1000 <= us <= (after - since_ns) // 1000
    amounts = [(name, usd(amount)) for name, amount in (("left", left), ("cost", cost)) if amount is not None]
    assert found == [*pairs, ("id", id_.hex()), ("us", str(us)), *amounts]


@given(st.lists(st.tuples(st.sampled_from([b"server", b"x-\xff"]) | st.binary(min_size=1), st.binary())))
def test_what_is_passed_on_of_a_providers_headers(received: list[tuple[bytes, bytes]]) -> None:
    def wanted(name: str) -> bool:
        return len(name) % 2 == 0

    expected = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in received if len(name) % 2 == 0]
    passed = Passed(wanted)
    assert passed.of(received) == passed.of(iter(received)) == expected


def test_names_are_asked_for_once_unless_they_are_long_or_very_many() -> None:
    asked = []

    def wanted(name: str) -> bool:
        asked.append(name)
        return name.startswith("a")

    passed = Passed(wanted)
    some, many = [b"a", b"b", b"a" * 257], [b"a%d" % number for number in range(5000)]
    for _ in range(2):
        assert passed.of((name, b"") for name in some) == [("a", ""), ("a" * 257, "")]
    assert asked == ["a", "b", "a" * 257, "a" * 257]
    for _ in range(2):
        assert [name for name, _ in passed.of((name, b"") for name in many)] == [name.decode() for name in many]
