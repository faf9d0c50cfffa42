"""A request's protocol, as the server hands it over, whose answer gets headers of the gateway's own."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any

Headers = list[tuple[str, str]]


class Marked:
    """``headers`` are added to whatever is answered, each once."""

    __slots__ = ("_headers", "_protocol", "client_disconnect")

    def __init__(self, protocol: Any, headers: Headers) -> None:
        self._protocol = protocol
        self._headers = headers
        self.client_disconnect = protocol.client_disconnect

    def __call__(self) -> Awaitable[bytes]:
        """The request's body."""
        body: Awaitable[bytes] = self._protocol()
        return body

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The request's body, in pieces."""
        pieces: AsyncIterator[bytes] = self._protocol.__aiter__()
        return pieces

    def response_empty(self, status: int, headers: Headers) -> None:
        """An answer without a body."""
        self._protocol.response_empty(status, self._with_own(headers))

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""
        self._protocol.response_bytes(status, self._with_own(headers), body)

    def response_stream(self, status: int, headers: Headers) -> Any:
        """The beginning of an answer."""
        return self._protocol.response_stream(status, self._with_own(headers))

    def _with_own(self, headers: Headers) -> Headers:
        return [*(each for each in headers if each not in self._headers), *self._headers]
