"""A stream through the whole gateway, metered and paid for on the way, without its two sockets.

The reference hands on the same chunks and decodes each, as a gateway has to that wants to know what flows.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.served import Pool, Protocol, Scope, Served, Streamed, prompt
from benchmarks.turns import Compare

CHUNKS: Final = 500
BATCH: Final = 4
WORDS: Final = " and so it flows on"
HEAD: Final = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"sim-small","choices":'
USAGE: Final = {"prompt_tokens": 250, "completion_tokens": 2000, "total_tokens": 2250}


def chunk(rest: str) -> bytes:
    return f"data: {HEAD}{rest}}}\n\n".encode()


STREAM: Final = [
    *[chunk(f'[{{"index":0,"delta":{{"content":"{WORDS}"}},"finish_reason":null}}],"usage":null')] * CHUNKS,
    chunk('[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null'),
    chunk(f'[],"usage":{json.dumps(USAGE)}'),
    b"data: [DONE]\n\n",
]


class PlainRelay:
    """The reference."""

    async def serve(self, scope: Scope, protocol: Protocol) -> None:
        asked = json.loads(await protocol())
        assert asked["stream"]
        transport, texts = protocol.response_stream(200, []), list[str]()

        def relay(piece: bytes) -> None:
            transport.send_bytes(piece)
            if not piece.startswith(b"data: ["):
                seen: dict[str, Any] = json.loads(piece[6:])
                texts.extend(choice["delta"].get("content", "") for choice in seen["choices"])

        await Streamed(STREAM).stream(relay)
        assert len("".join(texts)) == CHUNKS * len(WORDS)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, Pool(STREAM))
    yield made
    made.close()


@pytest.mark.parametrize("hidden", [False, True], ids=["usage asked for", "usage hidden"])
def test_stream(compare: Compare, served: Served, hidden: bool) -> None:
    """Its hold is topped up several times; usage that only the gateway wanted is taken out again."""
    body = prompt(1, stream=True, max_tokens=16_384, stream_options={"include_usage": not hidden})
    scope, protocol = Scope(body), Protocol(body)
    compare(
        f"streams: {CHUNKS} chunks{', usage taken out' if hidden else ''}",
        partial(served.many, served.serve, scope, protocol, BATCH),
        partial(served.many, PlainRelay().serve, scope, Protocol(body), BATCH),
        number=1,
        before=served.worker.beat,
    )
    assert protocol.answer[0] == 200
    told = b"".join(protocol.pieces)
    assert told.count(WORDS.encode()) == CHUNKS
    assert (b"completion_tokens" in told) is not hidden
    assert told.endswith(STREAM[-1])
