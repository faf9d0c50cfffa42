"""One HTTP request, as the connection hands it to the service."""

from collections.abc import Mapping
from typing import Final

HEADERS: Final = frozenset({b"authorization", b"x-api-key", b"anthropic-version", b"expect"})
"""The header names that the simulator looks at."""


class Request:
    """Method, path and query, body; of the headers those in :data:`HEADERS`, by their names in lower case."""

    __slots__ = ("body", "headers", "http10", "keep_alive", "method", "path", "query")

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes,
        *,
        keep_alive: bool = True,
        http10: bool = False,
    ) -> None:
        self.method = method
        self.path, _, self.query = target.partition(b"?")
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.http10 = http10
