"""Credentials, queries and codings of requests, as they can be written."""

import gzip
import zlib

import pytest

from fastgate._core.upstream_errors import ProtocolError
from fastgate.gateway.inbound import credential, inflate, inflated, query_to_forward
from fastgate.gateway.inflate import Inflater
from fastgate.wire.failure import Failure

LIMIT = 1 << 20


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({"authorization": "Bearer abc"}, "", "abc"),
        ({"authorization": "bearer  abc "}, "", "abc"),
        ({"x-api-key": "abc", "authorization": "Bearer other"}, "", "abc"),
        ({"x-api-key": "", "authorization": "Bearer abc"}, "", "abc"),
        ({"x-api-key": "", "api-key": "abc"}, "", "abc"),
        ({"x-api-key": "Bearer abc"}, "", "abc"),
        ({"x-api-key": "k" * 4096}, "", "k" * 4096),
        ({}, "a=1&key=abc", "abc"),
        ({}, "k%65y=abc", "abc"),
        ({}, "xkey=abc", None),
        ({"authorization": "Basic abc"}, "", None),
        ({}, "", None),
    ],
)
def test_where_a_key_may_be(headers: dict[str, str], query: str, found: str | None) -> None:
    assert credential(headers, query) == found


@pytest.mark.parametrize(
    ("query", "forwarded"),
    [
        ("", ""), ("a=1", "a=1"), ("key=s", ""), ("a=1&key=s&b=2", "a=1&b=2"), ("k%65y=s&a=1", "a=1"),
        ("%6B%65%79=s", ""), ("xkey=1", "xkey=1"), ("key", ""), ("a=key=1", "a=key=1"),
    ],
)  # fmt: skip
def test_a_key_leaves_the_house_in_no_spelling(query: str, forwarded: str) -> None:
    assert query_to_forward(query) == forwarded


def members(*parts: bytes) -> bytes:
    return b"".join(gzip.compress(part, mtime=0) for part in parts)  # whoever collects the tests finds the same ones


@pytest.mark.parametrize("coding", ["gzip", "GZIP", " x-gzip "])
def test_all_members_of_a_request_count(coding: str) -> None:
    body = members(b'{"a":', b"", b"1}")
    assert inflated(body, {"content-encoding": coding}, LIMIT, lambda _: None) == b'{"a":1}'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (members(b"a" * LIMIT, b"b"), "request_too_large"),
        (members(b"a")[:-3], "invalid_request"),
        (members(b"a") + b"junk", "invalid_request"),
        (members(b"a") + members(b"b")[:5], "invalid_request"),
        (members(b"") * 2000, "invalid_request"),
        (b"", "invalid_request"),
    ],
)
def test_requests_that_are_not_what_they_say(body: bytes, code: str) -> None:
    with pytest.raises(Failure) as failure:
        inflate(body, "gzip", LIMIT)
    assert failure.value.code == code


def test_as_much_as_is_allowed() -> None:
    assert len(inflate(members(b"a" * (LIMIT - 1), b"b"), "gzip", LIMIT)) == LIMIT
    assert inflate(zlib.compress(b"a"), "deflate", LIMIT) == b"a"


def test_all_members_of_an_answer_count() -> None:
    body = members(b"one ", b"two ", b"three")
    assert Inflater.of(b"gzip").all(body) == b"one two three"
    for size in (1, 7, len(body)):
        inflater = Inflater(b"gzip")
        pieces = [piece for at in range(0, len(body), size) for piece in inflater.pieces(body[at : at + size])]
        assert b"".join(pieces) == b"one two three"
    with pytest.raises(ProtocolError, match="cut short"):
        Inflater.of(b"gzip").all(body[:-1])
    with pytest.raises(ProtocolError, match="more than"):
        Inflater.of(b"gzip").all(members(b"a" * (17 << 20)))
