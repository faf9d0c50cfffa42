"""The bodies that are sent: unique, each by its number, and of an exact size."""

import json
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from loadtest import nginx, streamed
from loadtest.house import CONSTANT, KEY, SOURCE

PATH: Final = "/v1/chat/completions"
NUMBER: Final = 12
"""Digits of what makes a request unique."""
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def constant(size: int) -> tuple[bytes, bytes]:
    """What stands before and after the number of a request to the constant upstream whose body has ``size`` bytes."""
    start = (
        f'{{"model":"{CONSTANT}/{nginx.MODEL}","max_tokens":100,"messages":[{{"role":"user","content":"'
        f"{secrets.token_hex(8)} "
    )
    end = '"}]}'
    padding = (" the quick brown fox jumps over" * (size // 30 + 1))[: size - len(start) - len(end) - NUMBER]
    return _head(PATH, "application/json", size) + start.encode(), (padding + end).encode()


def stream(
    chunks: int, path: str = PATH, *, include_usage: bool, headers: Mapping[str, str] = NO_HEADERS
) -> tuple[bytes, bytes]:
    """What stands before and after the number of a request for a stream of the source; ``headers``: further ones."""
    asked: dict[str, object] = {"model": f"{SOURCE}/{streamed.MODEL}", "stream": True, "max_tokens": chunks}
    if include_usage:
        asked["stream_options"] = {"include_usage": True}
    content = f"{secrets.token_hex(8)} {'#' * NUMBER} {'the quick brown fox jumps over the lazy dog ' * 20}"
    body = json.dumps({**asked, "messages": [{"role": "user", "content": content}]}).encode()
    before, after = body.split(b"#" * NUMBER)
    return _head(path, "text/event-stream", len(body), headers) + before, after


def numbered(before: bytes, number: int, after: bytes) -> bytes:
    """One request."""
    return b"%b%0*d%b" % (before, NUMBER, number, after)


def _head(path: str, accept: str, length: int, headers: Mapping[str, str] = NO_HEADERS) -> bytes:
    further = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nAccept: {accept}\r\n"
        f"Content-Type: application/json\r\nUser-Agent: loadtest\r\nContent-Length: {length}\r\n{further}\r\n"
    )
    return head.encode()
