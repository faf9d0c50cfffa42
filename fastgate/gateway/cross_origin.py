"""For pages of other origins (CORS): a layer around the gateway, which only a worker has whose configuration wants it.

Nothing of a browser's own is accepted (no cookies, no client certificates): a page needs a virtual key like any client.
"""

from typing import Any, Final

from fastgate.gateway.inbound import KEY_HEADERS
from fastgate.gateway.marked import Headers, Marked
from fastgate.providers.kinds import KINDS
from fastgate.wire.failure import shown

MAX_AGE_SECONDS: Final = 7200
"""That a browser need not ask again; no browser keeps an answer for longer."""
_METHODS: Final = "GET, POST"
_NAMES: Final = frozenset(
    {"authorization", "content-encoding", "session-id", "x-session-id", *KEY_HEADERS}
    | {name for kind in KINDS.values() for names in kind.forward.values() for name in names}
)
_PREFIXES: Final = ("anthropic-", "openai-", "x-claude-code-", "x-fastgate-", "x-stainless-")


class CrossOrigin:
    """An RSGI application; ``origins`` as in ``server.cors_origins``."""

    def __init__(self, gateway: Any, origins: tuple[str, ...]) -> None:
        self._gateway = gateway
        self._origins = frozenset(origins)
        self._every: Headers | None = _granted("*") if "*" in origins else None

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request: its preflight is answered here, anything else by the gateway, with headers added."""
        origin = scope.headers.get("origin")
        headers = self._headers(origin)
        if scope.method == "OPTIONS" and origin and "access-control-request-method" in scope.headers:
            _preflight(scope, protocol, origin, headers)
        else:
            await self._gateway.__rsgi__(scope, Marked(protocol, headers))

    def _headers(self, origin: str | None) -> Headers:
        """What is said on every answer to a request of this origin; caches must not mix them."""
        if self._every is not None:
            return self._every
        vary = ("vary", "origin")
        return [*_granted(origin), vary] if origin is not None and origin in self._origins else [vary]


def _granted(origin: str) -> Headers:
    return [("access-control-allow-origin", origin), ("access-control-expose-headers", "*")]


def _preflight(scope: Any, protocol: Any, origin: str, headers: Headers) -> None:
    """Whether a page may ask what it is about to ask."""
    if len(headers) == 1:
        body = f"The origin {shown(origin)} is not in this gateway's server.cors_origins.\n".encode()
        protocol.response_bytes(403, [("content-type", "text/plain; charset=utf-8"), *headers], body)
        return
    wanted = scope.headers.get("access-control-request-headers", "").lower().split(",")
    allowed = [name for name in map(str.strip, wanted) if name in _NAMES or name.startswith(_PREFIXES)]
    answer = [
        *headers,
        ("access-control-allow-methods", _METHODS),
        ("access-control-allow-headers", ", ".join(allowed)),
        ("access-control-max-age", str(MAX_AGE_SECONDS)),
    ]
    protocol.response_empty(204, answer)
