"""Requests for embeddings: taken as they are, or refused with a reason; what is taken is texts and tokens alone."""

import json
from typing import Any

from fastgate._core.body import splice
from fastgate.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from fastgate.wire.failure import Failure
from tests.fuzz.harness import TARGETS, main, run, target

SEEDS = [
    b'{"model":"text-embedding-3-small","input":"h\\u00e9llo \\ud83d\\ude00","encoding_format":"base64"}',
    b'{"model": "m", "input": ["one", "two", ""], "dimensions": 256, "user": "u", "stream": false}',
    b'{"input":[1, 2, 3e0, 100257],"model":"m"}',
    b'{"input":[[1,2],[3]],"model":"m","input_type":"query"}',
    '{"model":"模型","input":[{"image":"http://x"},"text"]}'.encode(),
]
TOKENS = [b'"', b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b"null", b"true", b'"input":', b'"m\\u006fdel":',
          b"-1", b"1.5", b"1e400", b"9" * 30, b"\xed\xa0\x80", b"[" * 300, b'{"a":', b'"stream":true,']  # fmt: skip


def is_text_or_tokens(given: Any) -> bool:
    """Texts, tokens, and lists of them."""
    if isinstance(given, str):
        return True
    return isinstance(given, list) and all(
        is_leaf(each) or (isinstance(each, list) and all(map(is_leaf, each))) for each in given
    )


def is_leaf(given: Any) -> bool:
    return isinstance(given, str) or (isinstance(given, float) and given >= 0 and given.is_integer())


def decoded(data: bytes) -> Any:
    """Numbers of any length, too."""
    return json.loads(data, parse_int=float)


@target("embeddings", seeds=SEEDS, tokens=TOKENS)
def check_request(data: bytes) -> None:
    try:
        found, request = OPENAI_EMBEDDINGS.parse(data)
    except Failure as failure:
        status, _, body = OPENAI_EMBEDDINGS.error(failure, "id")
        assert status == 400
        assert json.loads(body)["error"]["message"]
        return
    document = decoded(data)
    assert is_text_or_tokens(document["input"])
    assert not document.get("stream")
    assert (request.output_cap, request.stream) == (0, False)
    edited = splice(data, OPENAI_EMBEDDINGS.edits(found, request, model="other", output_cap=7))
    assert decoded(edited) == {**document, "model": "other"}
    assert OPENAI_EMBEDDINGS.parse(edited)[1].model == "other"


def test_embeddings_for_a_short_while() -> None:
    assert run(TARGETS["embeddings"], seed=1, rounds=4000) == 4000


if __name__ == "__main__":
    main(["embeddings"])
