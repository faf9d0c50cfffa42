"""What a request for embeddings asks for, what it is billed by, and what is refused before it reaches a provider."""

import json
from typing import Any

import pytest

from fastgate._core.body import scan, splice
from fastgate._core.price import Usage
from fastgate.dialects.base import Charge, Operation
from fastgate.dialects.openai_embeddings import MOST_TEXTS, OPENAI_EMBEDDINGS
from fastgate.gateway.app import ROUTES
from fastgate.wire.failure import Failure, FailureCode
from fastgate.wire.request import ChatRequest

INPUTS = [
    "text", ["one", "two"], [1, 2, 3], [[1, 2], [3]], "", [], [[]], ["a", 1, [2]], [["a"]], ['"', "\\", '\\"', "[{"],
    ["\\\\\"", "[", "é\\n"],
]  # fmt: skip
"""What is for a provider to judge: that an input is empty, or mixed, does not make its cost unbounded."""
NEITHER = [
    7, True, {}, {"text": "x"}, [None], [True], [1.5], [-1], [{"image": "http://x/y"}], ["a", {"text": "b"}],
    [[1, None]], [[[1]]], [[1, {}]],
]  # fmt: skip


def read(**members: Any) -> ChatRequest:
    return OPENAI_EMBEDDINGS.parse(json.dumps({"model": "m", "input": "x", **members}).encode())[1]


def refusal(body: bytes) -> Failure:
    with pytest.raises(Failure) as caught:
        OPENAI_EMBEDDINGS.parse(body)
    assert caught.value.code is FailureCode.INVALID_REQUEST
    return caught.value


@pytest.mark.parametrize("given", INPUTS)
def test_texts_and_tokens_are_taken(given: Any) -> None:
    found = read(input=given)
    assert (found.model, found.stream, found.output_cap, found.cap_field, found.n) == ("m", False, 0, None, 1)


@pytest.mark.parametrize("given", NEITHER)
def test_what_is_neither_text_nor_token_is_refused(given: Any) -> None:
    failure = refusal(json.dumps({"model": "m", "input": given}).encode())
    assert failure.param == "input"
    assert failure.message.startswith("'input' must be a text, a list of texts, a list of tokens, or a list of lists")


def test_a_long_input_is_refused_without_being_decoded() -> None:
    given = ["x" * 70_000, {"text": "x"}]
    assert "something else in it" in refusal(json.dumps({"model": "m", "input": given}).encode()).message


def test_a_refusal_says_where_and_repeats_nothing() -> None:
    failure = refusal(json.dumps({"model": "m", "input": ["a", {"secret": "text"}]}).encode())
    assert "$[1]" in failure.message
    assert "secret" not in failure.message


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"[]", "must be a JSON object", None),
        (b'{"input":"x"}', "'model' is missing or empty", "model"),
        (b'{"model":7,"input":"x"}', "'model' must be a string, not a number", "model"),
        (b'{"model":"m"}', "'input' is missing", "input"),
        (b'{"model":"m","input":null}', "'input' is missing", "input"),
        (b'{"model":"m","input":"x","input":"y"}', "member name is there twice", None),
        (b'{"model":"m","input":"x","stream":true}', "Embeddings are not streamed", "stream"),
        (b'{"model":"m","input":"x","stream":1}', "'stream' must be a boolean", "stream"),
        (b'{"model":"m","input":["x",]}', "not acceptable JSON", None),
    ],
)
def test_what_no_provider_could_take_is_refused(body: bytes, message: str, param: str | None) -> None:
    failure = refusal(body)
    assert failure.param == param
    with pytest.raises(Failure, match=message):
        raise failure


def test_there_are_only_so_many_texts_and_as_many_tokens_as_fit() -> None:
    most = b'"x",' * (MOST_TEXTS - 1) + b'"x"'
    assert OPENAI_EMBEDDINGS.parse(b'{"model":"m","input":[%b]}' % most)[1].model == "m"
    assert f"more than {MOST_TEXTS} texts" in refusal(b'{"model":"m","input":["",%b]}' % most).message
    tokens = b"1, " * MOST_TEXTS + b"2"
    assert OPENAI_EMBEDDINGS.parse(b'{"model":"m","input":[%b]}' % tokens)[1].model == "m"
    assert OPENAI_EMBEDDINGS.parse(b'{"model":"m","input":[ [%b] , [3]\n]}' % tokens)[1].model == "m"


@pytest.mark.parametrize("stream", [False, None])
def test_not_to_stream_may_be_said(stream: bool | None) -> None:
    assert not read(stream=stream).stream


def test_what_compatible_servers_may_bill_beside_the_input() -> None:
    assert read(dimensions=3, encoding_format="base64", user="u").beside == ""
    assert "prompt" in read(input_type="query").beside
    assert "conversation" in read(messages=[]).beside
    assert read(task=None).beside == ""
    assert read(user="u").user == "u"
    assert read(user=7).user is None


def test_only_the_models_name_is_spliced() -> None:
    body = b'{ "input" : ["a" , "b"], "model":"alias","encoding_format":"base64" }'
    found, request = OPENAI_EMBEDDINGS.parse(body)
    assert OPENAI_EMBEDDINGS.edits(found, request, output_cap=5, cap_field="max_tokens") == []
    edited = splice(body, OPENAI_EMBEDDINGS.edits(found, request, model='o"wn'))
    assert edited == body.replace(b'"alias"', b'"o\\"wn"')


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 5, "total_tokens": 5}, 5),
        ({"prompt_tokens": 0, "total_tokens": 0}, 0),
        ({"total_tokens": 7}, 7),
        ({"prompt_tokens": None, "total_tokens": 7}, 7),
        ({"prompt_tokens": -1, "total_tokens": -1}, 0),
        ({"prompt_tokens": "5", "total_tokens": 5}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_the_input_alone(usage: Any, tokens: int | None) -> None:
    answer = {"object": "list", "data": [{"embedding": [0.5]}], "model": "m-1", "usage": usage}
    found = scan(json.dumps(answer).encode(), OPENAI_EMBEDDINGS.answer_fields)
    charges = OPENAI_EMBEDDINGS.charges_of_answer(found)
    assert charges == (None if tokens is None else [Charge(None, Usage(input=tokens, request=1))])
    assert OPENAI_EMBEDDINGS.model_of_answer(found) == "m-1"
    assert OPENAI_EMBEDDINGS.output_bytes_of_answer(found) == 0


@pytest.mark.parametrize("prefix", ["/v1", "/v1/v1", "", "/openai", "/openai/v1"])
def test_every_prefix_of_openais_has_them(prefix: str) -> None:
    assert ROUTES[f"{prefix}/embeddings"] == (OPENAI_EMBEDDINGS, Operation.EMBED, "/embeddings")
    assert "/anthropic/v1/embeddings" not in ROUTES


def test_errors_are_openais() -> None:
    status, headers, body = OPENAI_EMBEDDINGS.error(Failure.invalid_key("is unknown"), "r1")
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"]) == (401, "authentication_error", "invalid_api_key")
    assert dict(headers)["x-request-id"] == "r1"


def test_they_have_neither_turns_nor_streams() -> None:
    body = b'{"model":"m","input":"x","messages":[{"role":"user","content":"hello"}]}'
    assert OPENAI_EMBEDDINGS.last_turn(body) is None
    assert OPENAI_EMBEDDINGS.said(b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}') is None
    assert OPENAI_EMBEDDINGS.events_of(b"{}", include_usage=True) is None
    assert OPENAI_EMBEDDINGS.answer_of(b"data: {}\n\n") is None
    assert OPENAI_EMBEDDINGS.charges_of_stream({}) is None
