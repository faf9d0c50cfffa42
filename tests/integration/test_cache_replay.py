"""Streams that are given again at a pace: as they came, byte by byte, and to clients that read nothing, too."""

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, private_mb, secret, wait_for
from tests.support.wire import Answer, exchange, head

STALLED_SECONDS = 1.0
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
SILENT = 40
LONG = 40_000
"""Tokens of an answer of 200 KB."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "cache": {"exact": {"enabled": True, "max_mb": 16}},
        "keys": [key("paced", cache={"replay_ms": 1})],
    }
    environment = {"FASTGATE_STALLED_SECONDS": str(STALLED_SECONDS)}
    with House(tmp_path_factory.mktemp("replay"), settings, workers=1, environment=environment) as house:
        yield house


def request(script: dict[str, Any], *, stream: bool) -> bytes:
    message = {"role": "user", "content": f"sim: {compact(script).decode()}"}
    options = {"stream_options": {"include_usage": True}} if stream else {}
    body = {"model": "sim/sim-small", "max_tokens": LONG, "stream": stream, "messages": [message], **options}
    said = {"authorization": f"Bearer {secret('paced')}", "content-type": "application/json"}
    return head(CHAT, said, length=len(compact(body))) + compact(body)


def streamed(house: House, events: bytes) -> list[Answer]:
    """A stream of these bytes, as it came and as it is given again."""
    script = {"body_base64": b64encode(events).decode(), "headers": {"content-type": "text/event-stream"}}
    return [exchange(house.port, request(script, stream=True)) for _ in range(2)]


def chunk(content: str, *, indent: int | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    whole = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    return json.dumps(whole, indent=indent).encode()


END = b"data: " + chunk("", usage=USAGE) + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    "events",
    [
        b"".join(b"data: " + line + b"\n" for line in chunk("lines", indent=1).split(b"\n")) + b"\n" + END,
        b"event: \xff\xfe\ndata: " + chunk("name") + b"\n\n" + END,
        b"\n: a comment\n\nid: 7\nretry: 5\ndata:" + chunk("fields") + b"\n\n\n" + END,
        (b"data: " + chunk("ends of lines") + b"\n\n" + END).replace(b"\n", b"\r\n"),
    ],
    ids=["data of several lines", "a name that is no UTF-8", "comments and other fields", "CRLF"],
)
def test_a_stream_is_given_again_as_it_came(house: House, events: bytes) -> None:
    first, again = streamed(house, events)
    assert (first.status, first.headers["x-fastgate-cache"], first.body) == (200, "miss", events)
    assert (again.status, again.headers["x-fastgate-cache"], again.body) == (200, "exact", events)


def test_clients_that_read_nothing_are_cut_and_use_no_memory(house: House) -> None:
    """All wait for the same: 800 KB of events, made of an answer of 200 KB."""
    script = {"tokens": LONG}
    whole, streamed = (exchange(house.port, request(script, stream=stream), timeout=60) for stream in (False, True))
    assert (whole.headers["x-fastgate-cache"], streamed.headers["x-fastgate-cache"]) == ("miss", "exact")
    assert len(streamed.body) > 600_000
    [worker] = house.pids("worker")
    memory, most = private_mb(worker), 0.0
    with ExitStack() as clients:
        silent = [clients.enter_context(socket.socket()) for _ in range(SILENT)]
        for client in silent:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", house.port))
            client.sendall(request(script, stream=True))

        def cut() -> bool:
            nonlocal most
            most = max(most, private_mb(worker) - memory)
            return all(ended(client) for client in silent)

        wait_for(cut, 60, "all of them are cut")
    assert most < SILENT * 0.5


def ended(client: socket.socket) -> bool:
    """Whether the other end has shut the connection down, as the kernel's state tells."""
    established = 1
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != established
