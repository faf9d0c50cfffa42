"""What an answer of the simulator costs, billing included, as a ratio to decoding and encoding the same JSON.

Target: more than 30,000 small answers a second on one core, 33 µs each with HTTP. On a 2-core EPYC VM (2026-11-21) an
answer takes 10 µs, HTTP as much again, and the reference 0.8 to 1.2 µs.
"""

import itertools
from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from benchmarks.turns import Compare
from fastgate.simulator.options import Options
from fastgate.simulator.request import Request
from fastgate.simulator.service import Service

HEADERS: Final = {b"authorization": b"Bearer sk-1", b"anthropic-version": b"2023-06-01"}
BODY: Final = b'{"model":"%b","max_tokens":64,"messages":[{"role":"user","content":"question %d about the river"}]}'


def asking(service: Service, path: bytes, model: bytes) -> Callable[[], object]:
    """Asks something else each time."""
    numbers = itertools.count()

    def ask() -> object:
        return service.reply(Request(b"POST", path, HEADERS, BODY % (model, next(numbers))))

    return ask


def there_and_back(answer: bytes) -> Callable[[], object]:
    """The reference: the same bytes decoded and encoded, with no thought in between."""
    question, shape = BODY % (b"sim-small", 1), msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    return lambda: (decode(question), encode(shape))


@pytest.mark.parametrize("model", [b"sim-small", b"sim-large", b"sim-cached"])
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/messages"])
def test_an_answer(compare: Compare, path: bytes, model: bytes) -> None:
    service = Service(Options())
    ask = asking(service, path, model)
    answer = ask()
    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    compare(f"simulator: {model.decode()} at {path.decode()}", ask, there_and_back(answer))
