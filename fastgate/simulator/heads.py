"""The head of an HTTP answer, and the framing of a streamed body."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream; charset=utf-8"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus} | {529: b"Overloaded"}

# The head of nearly every answer, so that it is one formatting.
_PLAIN: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%b: req_%016x\r\ncontent-length: %d\r\n\r\n"


def plain_head(request_id_header: bytes, request_id: int, length: int) -> bytes:
    """The head of a JSON answer on a connection that stays open."""
    return _PLAIN % (request_id_header, request_id, length)


def head(
    status: int,
    content_type: bytes,
    headers: Mapping[bytes, bytes],
    *,
    length: int | None,
    keep_alive: bool,
    chunked: bool = False,
) -> bytes:
    """Any head. ``length`` None: the body is chunked, or ends with the connection."""
    lines = [b"HTTP/1.1 %d %b" % (status, _PHRASES.get(status, b"Status"))]
    fields = {b"content-type": content_type}
    if length is not None:
        fields[b"content-length"] = b"%d" % length
    elif chunked:
        fields[b"transfer-encoding"] = b"chunked"
    if not keep_alive:
        fields[b"connection"] = b"close"
    fields.update(headers)
    lines += [b"%b: %b" % field for field in fields.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; nothing for no bytes, since an empty chunk would end it."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
