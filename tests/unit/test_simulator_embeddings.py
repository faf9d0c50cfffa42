"""The simulator's embeddings: reading, vectors, charging."""

import json
from base64 import b64decode
from math import sqrt
from struct import unpack
from typing import Any

import pytest

from fastgate.simulator import openai_embeddings
from fastgate.simulator.answer import Answer, Writer
from fastgate.simulator.ask import Refusal
from fastgate.simulator.bill import Charge
from fastgate.simulator.options import Options
from fastgate.simulator.prices import PRICES
from fastgate.simulator.replies import Reply
from fastgate.simulator.request import Request
from fastgate.simulator.script import read_script
from fastgate.simulator.service import Service
from fastgate.simulator.tokens import TOKENIZERS


def answer(given: Any, *, tokenizer: str = "quarter", **fields: Any) -> Answer:
    """The answer to this input."""
    ask = openai_embeddings.read(json.dumps({"model": "sim-embedding", "input": given, **fields}).encode(), {})
    return Writer(TOKENIZERS[tokenizer]).write(ask, read_script(ask.script), 12345, 1_700_000_000, "embedding")


def document(given: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(openai_embeddings.whole(given))
    return body


def vectors(given: Any, **fields: Any) -> list[list[float]]:
    return [item["embedding"] for item in document(answer(given, **fields))["data"]]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_an_answer_has_a_vector_for_each_text_and_says_what_was_read() -> None:
    body = document(answer(["one", "two", "three"]))
    assert (body["object"], body["model"]) == ("list", "sim-embedding")
    assert [(item["object"], item["index"]) for item in body["data"]] == [("embedding", n) for n in range(3)]
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    for item in body["data"]:
        assert len(item["embedding"]) == 256
        assert sqrt(cosine(item["embedding"], item["embedding"])) == pytest.approx(1, abs=1e-6)


def test_the_same_text_has_the_same_vector_and_one_with_the_same_words_a_near_one() -> None:
    one, again, near, far = vectors(
        ["Which city is the capital of France?", "Which city is the capital of France?",
         "which city is the capital of Peru", "Put flour into a bowl"],
    )  # fmt: skip
    assert one == again
    assert 0.6 < cosine(one, near) < 0.99
    assert abs(cosine(one, far)) < 0.3


def test_base64_holds_the_same_numbers() -> None:
    [packed] = vectors("some words", encoding_format="base64", dimensions=8)
    assert isinstance(packed, str)
    assert [list(unpack("<8f", b64decode(packed)))] == vectors("some words", encoding_format="float", dimensions=8)


@pytest.mark.parametrize(
    ("given", "tokenizer", "tokens"),
    [
        ("x" * 40, "quarter", 10),
        (["x" * 40, "é"], "byte", 42),
        (["x" * 40, "é"], "hostile", 42 + 2 * 2 + 16),
        ([1, 2, 3], "quarter", 3),
        ([[1, 2], [3]], "byte", 3),
        ([[1, 2], [3]], "hostile", 3 + 2 * 2 + 16),
    ],
)
def test_the_input_alone_is_charged(given: Any, tokenizer: str, tokens: int) -> None:
    written = answer(given, tokenizer=tokenizer)
    assert document(written)["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert openai_embeddings.charges(written, PRICES) == [Charge("sim-embedding", (tokens, 0, 0, 0, 0, 0, 0, 0, 0))]


@pytest.mark.parametrize(
    ("usage", "tokens"), [({"prompt_tokens": 7, "total_tokens": 9}, 7), ({"total_tokens": 9}, 9), ({}, 0)]
)
def test_a_scripted_usage_is_stated_and_charged(usage: Any, tokens: int) -> None:
    written = answer(["x", f"sim: {json.dumps({'usage': usage})}"])
    assert document(written)["usage"] == usage
    assert openai_embeddings.charges(written, PRICES)[0].counts[0] == tokens


def test_without_a_usage_what_was_read_is_charged() -> None:
    written = answer('sim: {"usage": null}', tokenizer="byte")
    assert "usage" not in document(written)
    assert openai_embeddings.charges(written, PRICES)[0].counts[0] == 20


@pytest.mark.parametrize(
    "fields",
    [
        {"input": ""}, {"input": []}, {"input": [""]}, {"input": [[]]}, {"input": ["a", 1]}, {"input": [1, [2]]},
        {"input": [-1]}, {"input": [{}]}, {"input": ["a"] * 2049}, {"input": None}, {"input": "a", "stream": True},
        {"input": "a", "dimensions": 0}, {"input": "a", "dimensions": 4000}, {"input": "a", "encoding_format": "md5"},
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_refused(fields: Any) -> None:
    with pytest.raises(Refusal) as caught:
        openai_embeddings.read(json.dumps({"model": "sim-embedding", **fields}).encode(), {})
    assert caught.value.status == 400


def status(service: Service, path: str, body: Any) -> int:
    reply = service.reply(Request(b"POST", path.encode(), {}, json.dumps(body).encode()))
    assert not isinstance(reply, Reply)
    return int(reply.split(b" ", 2)[1])


def test_a_model_does_one_or_the_other() -> None:
    service = Service(Options())
    chat = {"messages": [{"role": "user", "content": "x"}]}
    assert status(service, "/v1/embeddings", {"model": "sim-embedding", "input": "x"}) == 200
    assert status(service, "/v1/embeddings", {"model": "sim-small", "input": "x"}) == 403
    assert status(service, "/v1/chat/completions", {"model": "sim-embedding", **chat}) == 403
    assert status(service, "/v1/embeddings", {"model": "nobody", "input": "x"}) == 404
    report = service.bill.report()
    assert report["total"]["requests"] == 1
    assert report["unbilled"] == {"403": 2, "404": 1}
