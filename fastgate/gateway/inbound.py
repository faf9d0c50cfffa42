"""What arrives: credentials, headers and the body, within bounds."""

import zlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from fastgate.wire.failure import Failure, shown

# In the order in which they are looked at; where both are sent, Anthropic's own API uses x-api-key.
_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-goog-api-key", "x-bf-vk", "x-litellm-api-key")
_LONGEST_KEY: Final = 1024


def credential(headers: Mapping[str, str], query: str) -> str | None:
    """The virtual key that a request bears, wherever its client puts it; None: nowhere."""
    found = None
    for name in _KEY_HEADERS:
        found = headers.get(name)
        if found is not None:
            break
    else:
        authorization = headers.get("authorization")
        if authorization is not None and authorization[:7].lower() == "bearer ":
            found = authorization[7:]
        elif "key=" in query:
            found = next((value for name, value in parse_qsl(query) if name == "key"), None)
    if found is None or len(found) > _LONGEST_KEY:
        return None
    found = found.strip()
    return found[7:].strip() if found[:7].lower() == "bearer " else found


def query_to_forward(query: str) -> str:
    """The query without what is ours: a key never leaves the house."""
    if "key=" not in query:
        return query
    return "&".join(part for part in query.split("&") if not part.startswith("key="))


def declared_length(headers: Mapping[str, str], limit: int) -> int | None:
    """The length that the request declares, None: chunked. Raises Failure where it is beyond ``limit`` bytes."""
    declared = headers.get("content-length")
    if declared is None:
        return None
    length = int(declared) if declared.isascii() and declared.isdigit() else limit + 1
    if length > limit:
        raise Failure.too_large(limit)
    return length


async def read_body(protocol: Any, headers: Mapping[str, str], limit: int) -> bytes:
    """The body, inflated where it is compressed, never more than ``limit`` bytes of it. Raises Failure."""
    if declared_length(headers, limit) is None and "transfer-encoding" in headers:
        body = await _read_chunks(protocol, limit)
    else:
        body = await protocol()
    encoding = headers.get("content-encoding")
    return body if encoding is None or encoding == "identity" else inflate(body, encoding, limit)


async def _read_chunks(protocol: Any, limit: int) -> bytes:
    pieces = []
    size = 0
    async for piece in protocol:
        size += len(piece)
        if size > limit:
            raise Failure.too_large(limit)
        pieces.append(piece)
    return b"".join(pieces)


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo gzip or deflate, at most ``limit`` bytes. Raises Failure."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise Failure.invalid(f"The content-encoding '{shown(encoding, 40)}' is not supported: gzip, deflate or none.")
    engine = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        inflated = engine.decompress(body, limit + 1)
    except zlib.error:
        raise Failure.invalid(f"The body is not valid {encoding}.") from None
    if len(inflated) > limit:
        raise Failure.too_large(limit)
    if not engine.eof:
        raise Failure.invalid(f"The {encoding} body is cut short.")
    return inflated
