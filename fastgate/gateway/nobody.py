"""The place of a client that was answered already: what else is said is heard by nobody."""

from typing import Any, Final

from granian._granian import RSGIProtocolClosed

from fastgate.gateway.answers import Headers


class Nobody:
    """The protocol of a request, and the transport of a stream, to which nobody listens."""

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Told to nobody."""

    def response_stream(self, status: int, headers: Headers) -> "Nobody":
        """A stream whose client is gone from the beginning."""
        return self

    async def send_bytes(self, piece: bytes) -> Any:
        """As the server's: closed."""
        raise RSGIProtocolClosed


NOBODY: Final = Nobody()
