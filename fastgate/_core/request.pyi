from collections.abc import Awaitable, Iterable
from typing import Self, final

from fastgate._core.client_errors import ClientLeft as ClientLeft
from fastgate._core.headers import Headers

@final
class Request:
    """What a client asks, its body, and the way to answer it: RSGI's scope and protocol in one."""

    method: str
    path: str
    """Percent-encoding undone."""
    query_string: str
    http_version: str
    """``1.0`` or ``1.1``."""
    client: str
    """``host:port``, an IPv6 address in brackets; empty where the client had left before it was seen."""
    headers: Headers

    def __call__(self) -> Awaitable[bytes]:
        """The whole body. Raises ClientLeft where it does not come to its end."""
    def at_hand(self) -> bytes | None:
        """The whole body, taken out, where it has come already; else None."""
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[bytes]:
        """The body, piece by piece. Raises ClientLeft where it does not come to its end."""
    async def client_disconnect(self) -> None:
        """Returns when the client has left."""
    def response_empty(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Answer without a body."""
    def response_bytes(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """The whole answer. Raises ValueError for a header that cannot be one. A second answer is none."""
    def response_stream(self, status: int, headers: Iterable[tuple[str, str]]) -> Answer:
        """The beginning of an answer, to be given in pieces. Raises ValueError as above."""

@final
class Answer:
    """An answer that is given in pieces. It ends when this is dropped, or with the application's call."""

    def send_bytes(self, data: bytes) -> Awaitable[None]:
        """A piece of the answer. Never waits; awaiting it raises ClientLeft where the client has left."""
