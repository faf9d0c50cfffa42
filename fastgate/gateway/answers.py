"""What the client gets: headers of ours beside those of the provider, and errors in the client's own dialect."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fastgate.dialects.base import Dialect
from fastgate.providers.kinds import answer_header
from fastgate.wire.failure import Failure
from fastgate.wire.money import usd

Headers = list[tuple[str, str]]


@lru_cache(maxsize=1024)
def _answer_name(name: bytes) -> str | None:
    text = name.decode("latin-1")
    return text if answer_header(text) else None


def provider_headers(received: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a provider's answer that its client may see."""
    return [(name, value.decode("latin-1")) for raw, value in received if (name := _answer_name(raw)) is not None]


def own_headers(request_id: str, overhead_us: int, left: int | None, cost: int | None) -> Headers:
    """``x-fastgate-*`` of one answer; amounts in nano-USD, None: not to be said."""
    headers = [("x-fastgate-request-id", request_id), ("x-fastgate-overhead-us", str(overhead_us))]
    if left is not None:
        headers.append(("x-fastgate-budget-left-usd", usd(left)))
    if cost is not None:
        headers.append(("x-fastgate-cost-usd", usd(cost)))
    return headers


def send_failure(
    protocol: Any, dialect: Dialect, failure: Failure, request_id: str, extra: Iterable[tuple[str, str]] = ()
) -> int:
    """Answer with an error in the client's dialect; returns the status."""
    status, headers, body = dialect.error(failure, request_id)
    protocol.response_bytes(status, [*headers, *extra], body)
    return status
