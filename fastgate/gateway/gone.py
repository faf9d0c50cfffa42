"""How the two servers say that a client has left: our own (HTTP/1.1 without TLS) and Granian (all else)."""

from typing import Final

from granian._granian import RSGIProtocolClosed, RSGIProtocolError

from fastgate._core.client_errors import ClientLeft

GONE: Final = (ClientLeft, RSGIProtocolClosed, RSGIProtocolError)
