"""What it takes to put together the headers of an answer; the reference does that in Python."""

from functools import lru_cache, partial
from time import time_ns
from typing import Final

from benchmarks.turns import Compare
from fastgate._core.answer_head import Figures, Passed
from fastgate.providers.kinds import answer_header
from fastgate.wire.money import usd

RECEIVED: Final = [
    *[(b"content-type", b"application/json"), (b"content-length", b"800"), (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")],
    *[(b"server", b"s"), (b"x-request-id", b"req_0123456789abcdef"), (b"openai-processing-ms", b"612")],
]
CONSTANT: Final = tuple(
    (f"x-fastgate-{name}", "a value") for name in ("provider", "model", "route", "attempts", "cache")
)
NAMES: Final = ("x-fastgate-request-id", "x-fastgate-overhead-us", "x-fastgate-budget-left-usd", "x-fastgate-cost-usd")
REQUEST_ID: Final = bytes(range(16))
LEFT: Final = 999_999_955_300
COST: Final = 44_700


@lru_cache
def name_of(raw: bytes) -> str | None:
    text = raw.decode()
    return text if answer_header(text) else None


def plainly(since_ns: int) -> list[tuple[str, str]]:
    passed = [(name, value.decode()) for raw, value in RECEIVED if (name := name_of(raw)) is not None]
    figures = (REQUEST_ID.hex(), str((time_ns() - since_ns) // 1000), usd(LEFT), usd(COST))
    return [*passed, *CONSTANT, *zip(NAMES, figures, strict=True)]


def test_headers(compare: Compare) -> None:
    passed, figures = Passed(answer_header), Figures(*NAMES)

    def ours(since_ns: int) -> list[tuple[str, str]]:
        return figures.behind((passed.of(RECEIVED), CONSTANT), REQUEST_ID, since_ns, LEFT, COST)

    began = time_ns()
    assert [name for name, _ in ours(began)] == [name for name, _ in plainly(began)]
    compare("headers: those of an answer", partial(ours, began), partial(plainly, began))
