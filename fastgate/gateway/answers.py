"""What the client gets: headers of ours beside those of the provider, and errors in the client's own dialect."""

from collections.abc import Iterable
from typing import Any, Final

from fastgate._core.answer_head import Passed
from fastgate.dialects.base import Dialect
from fastgate.providers.kinds import answer_header
from fastgate.wire.failure import Failure

Headers = list[tuple[str, str]]

provider_headers: Final = Passed(answer_header).of
"""The headers of a provider's answer that its client may see, from ``(name, value)`` in bytes."""


def send_failure(
    protocol: Any, dialect: Dialect, failure: Failure, request_id: str, extra: Iterable[tuple[str, str]] = ()
) -> int:
    """Answer with an error in the client's dialect; returns the status."""
    status, headers, body = dialect.error(failure, request_id)
    protocol.response_bytes(status, [*headers, *extra], body)
    return status
