"""Requests that cost exactly what is held for them: their scripted usage is their strict bound.

So it does not matter who settles when, and the number that fits into a budget is known to the nano-dollar.
"""

from decimal import Decimal
from typing import Any

from tests.support.house import compact, secret

CAP = 100
LATENCY_MS = 400
_TEMPLATE_TOKENS = 64
_WRITE_1H, _OUTPUT = 300, 600  # nano-USD per token of sim-small: its dearest input, its output


def body(number: int, latency_ms: int = LATENCY_MS) -> bytes:
    """A request billed a token to be cached for an hour for each of its bytes and its template, and all of its cap."""
    length = 0
    while True:
        written = length + _TEMPLATE_TOKENS
        used = {
            "input_tokens": 0,
            "output_tokens": CAP,
            "cache_creation_input_tokens": written,
            "cache_creation": {"ephemeral_1h_input_tokens": written},
        }
        script = compact({"usage": used, "latency_ms": latency_ms}).decode()
        content = f"sim: {script} {number:06d}{'.' * (4 - len(str(latency_ms)))}"  # all of one length
        document = {"model": "sim/sim-small", "max_tokens": CAP, "messages": [{"role": "user", "content": content}]}
        found = compact(document)
        if len(found) == length:
            return found
        length = len(found)


HOLD = (len(body(0)) + _TEMPLATE_TOKENS) * _WRITE_1H + CAP * _OUTPUT


def usd(nano: int) -> str:
    """As a setting."""
    return f"{Decimal(nano) / 10**9:f}"


def budget(holds: int, rest: int = 0, **more: Any) -> dict[str, Any]:
    """For so many holds, and ``rest`` nano-USD."""
    return {"limit_usd": usd(holds * HOLD + rest), "window": "day", "bound": "strict", **more}


def request(name: str, number: int = 0, latency_ms: int = LATENCY_MS) -> tuple[str, dict[str, str], bytes]:
    """Of the key ``name``, for :func:`tests.support.wire.parallel`."""
    headers = {"x-api-key": secret(name), "anthropic-version": "2023-06-01", "content-type": "application/json"}
    return "/v1/messages", headers, body(number, latency_ms)
