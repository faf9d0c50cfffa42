"""What arrives: credentials, headers and the body, within bounds."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from fastgate.gateway.gone import GONE
from fastgate.gateway.inflate import Members
from fastgate.wire.failure import Failure, shown

# In the order in which they are looked at; one that is empty says nothing. Where both are sent, Anthropic's own API
# uses x-api-key.
_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-goog-api-key", "x-bf-vk", "x-litellm-api-key")
KEY_HEADERS: Final = frozenset(_KEY_HEADERS)
_READ_AT_ONCE: Final = 1 << 20
"""Bytes; longer bodies are taken piece by piece, so that those that do not come take no room."""
_DISCARDED: Final = 256 << 10
_DISCARD_SECONDS: Final = 1.0


def credential(headers: Mapping[str, str], query: str) -> str | None:
    """The virtual key that a request bears, wherever its client puts it; None: nowhere."""
    found = None
    if not KEY_HEADERS.isdisjoint(headers):
        found = next((value for name in _KEY_HEADERS if (value := headers.get(name))), None)
    if found is None:
        authorization = headers.get("authorization", "")
        if authorization[:7].lower() == "bearer ":
            found = authorization[7:]
        elif query:
            found = next((value for name, value in parse_qsl(query) if name == "key"), None)
    if not found:
        return None
    found = found.strip()
    return found[7:].strip() if found[:7].lower() == "bearer " else found


def query_to_forward(query: str) -> str:
    """The query without what is ours: a key never leaves the house."""
    if not query:
        return query
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "key")


def declared_length(headers: Mapping[str, str], limit: int) -> int | None:
    """The length that the request declares, None: chunked. Raises Failure where it is beyond ``limit`` bytes."""
    declared = headers.get("content-length")
    if declared is None:
        return None
    length = int(declared) if declared.isascii() and declared.isdigit() else limit + 1
    if length > limit:
        raise Failure.too_large(limit)
    return length


def patience_ns(headers: Mapping[str, str]) -> int:
    """How long the client lets its answer take, from ``x-fastgate-timeout-ms``; 0: it does not say. Raises Failure."""
    said = headers.get("x-fastgate-timeout-ms")
    if said is None:
        return 0
    if not (said.isascii() and said.isdigit() and 0 < len(said) < 10 and int(said)):
        raise Failure.invalid(
            f"The header x-fastgate-timeout-ms must be a number of milliseconds, and is '{shown(said, 40)}'."
        )
    return int(said) * 1_000_000


def body_at_hand(protocol: Any) -> bytes | None:
    """The whole body, where our own server has it already, as it has short ones; Granian cannot tell."""
    at_hand: Callable[[], bytes | None] | None = getattr(protocol, "at_hand", None)
    return None if at_hand is None else at_hand()


def comes_in_pieces(headers: Mapping[str, str], limit: int) -> bool:
    """Whether a body is to be taken piece by piece: it is long, or does not say how long. Raises Failure."""
    length = declared_length(headers, limit)
    return "transfer-encoding" in headers if length is None else length > _READ_AT_ONCE


async def read_pieces(protocol: Any, limit: int, take: Callable[[int], None]) -> bytes:
    """A body piece by piece, never more than ``limit`` bytes of it; ``take`` is told of each. Raises Failure."""
    body = bytearray()  # one large block, which goes back to the system whole; thousands of pieces would not
    async for piece in protocol:
        if len(body) + len(piece) > limit:
            raise Failure.too_large(limit)
        take(len(piece))
        body += piece
    return bytes(body)


async def discard_body(protocol: Any, headers: Mapping[str, str]) -> bool:
    """Take the body of a request that is refused unread, so that its connection can serve the next one.

    False: there is too much of it, or it does not come; then only closing the connection is left.
    """
    try:
        length = declared_length(headers, _DISCARDED)
    except Failure:
        return False
    if length is None:
        return "transfer-encoding" not in headers
    try:
        await asyncio.wait_for(protocol(), _DISCARD_SECONDS)
    except (TimeoutError, *GONE):
        return False
    return True


def inflated(body: bytes, headers: Mapping[str, str], limit: int, take: Callable[[int], None]) -> bytes:
    """The body without its content coding, at most ``limit`` bytes. Raises Failure."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return body
    plain = inflate(body, encoding, limit)
    take(len(plain))
    return plain


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo gzip or deflate, at most ``limit`` bytes. Raises Failure."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise Failure.invalid(f"The content-encoding '{shown(encoding, 40)}' is not supported: gzip, deflate or none.")
    members = Members()
    try:
        inflated = members.inflate_all(body, limit)
    except zlib.error:
        raise Failure.invalid(f"The body is not valid {encoding}.") from None
    if inflated is None:
        raise Failure.too_large(limit)
    if not members.whole:
        raise Failure.invalid(f"The {encoding} body is cut short.")
    return inflated
