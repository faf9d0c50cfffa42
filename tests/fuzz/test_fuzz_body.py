"""Bodies: the scan takes exactly the strict JSON texts, and its offsets are those of the values."""

import json

import pytest

from fastgate._core.body import BodyError, Fields, Scan, scan, splice
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.wire.failure import Failure
from tests.fuzz import reference
from tests.fuzz.harness import TARGETS, main, run, target

SEEDS = [
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"h\\u00e9llo \\ud83d\\ude00"}],"stream":true}',
    b'{"model": "m", "stream_options": {"include_usage": null}, "max_tokens": 1e2, "n": 2, "stream": true}',
    '{"model":"模型","messages":[{"content":[{"type":"image_url","image_url":{"url":"data:,x"}}]}]}'.encode(),
    b'{"model":"claude","max_tokens":16,"thinking":{"type":"enabled","budget_tokens":1024},"metadata":{"user_id":"u"}}',
    b"[[[[1, 2.5e-3, -0, true, false, null]]]]",
    b'{"a":{"b":{"c":[{"d":"\\n"}]}}}',
    b'[{"type":"image"},{"type":"im\\u0061ge"},{"t\\u0079pe":"\\u0069\\u006D\\u0061\\u0067\\u0065"},{"type":"images"}]',
]
TOKENS = [b'"', b"\\", b"\\u", b"\\ud800", b"\\udc00", b"{", b"}", b"[", b"]", b":", b",", b"null", b'"model":', b"e+",
          b"9e99999999999999999999", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"[" * 300, b'{"a":' * 300,
          b'"m\\u006fdel":1,', b'"type":"image"', b"\\u0061"]  # fmt: skip
FIELDS = Fields(
    ["model", "messages.*.content", "stream_options.include_usage", "a.b.c.*.d", "*", '*.type="image"'], unique=False
)


@target("body", seeds=SEEDS, tokens=TOKENS)
def check_body(data: bytes) -> None:
    if reference.valid(data):
        check_offsets(data, scan(data, FIELDS))
        return
    with pytest.raises(BodyError) as caught:
        scan(data, FIELDS)
    assert 0 <= caught.value.offset <= len(data)
    assert caught.value.line >= 1 <= caught.value.column


def check_offsets(data: bytes, found: Scan) -> None:
    document = reference.decode(data)
    for i, name in enumerate(FIELDS.names):
        path, _, wanted = name.partition("=")
        values = [each for each in reference.at(document, path) if not wanted or each == json.loads(wanted)]
        assert found.count(i) == len(values)
        values = [value for value in values if value is not None] or values
        if values:
            start, end = found.span(i)
            assert reference.decode(data[start:end]) == values[-1]
            assert found.raw(i) == data[start:end]
        else:
            assert (found.kind(i), found.raw(i)) == (0, None)


@target("requests", seeds=SEEDS, tokens=TOKENS)
def check_request(data: bytes) -> None:
    """A request is read or refused with a ``Failure``; edited, it is JSON with what was asked for."""
    for dialect in (OPENAI_CHAT, ANTHROPIC):
        try:
            found, request = dialect.parse(data)
        except Failure as failure:
            status, _, body = dialect.error(failure, "id")
            assert status == 400
            assert json.loads(body)["error"]["message"]
            continue
        edited = splice(data, dialect.edits(found, request, model="other", output_cap=7))
        again, changed = dialect.parse(edited)
        assert changed.model == "other"
        assert changed.output_cap == (7 if request.output_cap is None else min(request.output_cap, 7))
        assert changed.n == request.n
        assert not request.stream or dialect is ANTHROPIC or changed.include_usage
        assert again.count(-1) == 1


def test_bodies_for_a_short_while() -> None:
    assert run(TARGETS["body"], seed=1, rounds=4000) == 4000


def test_requests_for_a_short_while() -> None:
    assert run(TARGETS["requests"], seed=1, rounds=2000) == 2000


if __name__ == "__main__":
    main(["body", "requests"])
