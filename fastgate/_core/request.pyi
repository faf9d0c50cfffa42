from collections.abc import Awaitable, Iterable
from typing import Self, final

from fastgate._core.client_errors import ClientLeft as ClientLeft

@final
class Headers:
    """Of a request: names in lower case, values as text. Of those whose value is not ASCII only the name is known."""

    def items(self) -> list[tuple[str, str]]:
        """All of them, in the order in which they came."""
    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a header, else ``default``."""
    def get_all(self, name: str) -> list[str]:
        """All values of a header."""
    def __contains__(self, name: str) -> bool:
        """Whether a header came, readable or not."""

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
