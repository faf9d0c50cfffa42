"""Embeddings by the official `openai` package, unmodified, through the gateway."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.support.house import House, secret

MODEL = "sim/sim-embedding"
TEXTS = ["Which city is the capital of France?", "Put flour into a bowl.", "é"]
Clients = Callable[[str], openai.OpenAI]


@pytest.fixture
def clients(house: House) -> Iterator[Clients]:
    """SDK clients by the name of their key, as their users make them."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(openai.OpenAI(base_url=house.openai_url, api_key=secret(name)))


@pytest.fixture
def plain(clients: Clients) -> openai.OpenAI:
    return clients("plain")


def script(**fields: Any) -> str:
    """A text that tells the simulator what to answer."""
    return f"sim: {json.dumps(fields)}"


def direct(house: House) -> openai.OpenAI:
    """The provider without a gateway."""
    return openai.OpenAI(base_url=house.simulator.openai_url, api_key="upstream-key", max_retries=0)


def test_a_text(house: House, plain: openai.OpenAI) -> None:
    raw = plain.embeddings.with_raw_response.create(model=MODEL, input="x" * 4000)
    answer = raw.parse()
    assert len(answer.data[0].embedding) == 256
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("sim-embedding", 1000, 1000)
    assert Decimal(raw.headers["x-fastgate-cost-usd"]) == Decimal("0.00002")
    assert (raw.headers["x-fastgate-provider"], raw.headers["x-fastgate-model"]) == ("sim", "sim-embedding")
    assert raw.headers["x-fastgate-cache"] == "bypass"


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize("given", [TEXTS, TEXTS[0], [5, 100_000, 7], [[5, 7], [100_000]]], ids=str)
def test_every_input_in_every_form_is_answered_as_without_a_gateway(
    house: House, plain: openai.OpenAI, given: Any, form: Any
) -> None:
    """Byte for byte: nothing is decoded or written anew on the way."""
    asked = {"input": given, "encoding_format": form, "dimensions": 64}
    with direct(house) as client:
        theirs = client.embeddings.with_raw_response.create(model="sim-embedding", **asked)
    ours = plain.embeddings.with_raw_response.create(model=MODEL, **asked)
    assert ours.content == theirs.content
    assert ours.parse() == theirs.parse()
    assert (form == "base64") == isinstance(ours.parse().data[0].embedding, str)


def test_what_the_sdk_asks_for_by_itself_is_base64_and_gives_the_same_numbers(plain: openai.OpenAI) -> None:
    by_itself = plain.embeddings.create(model=MODEL, input=TEXTS)
    as_numbers = plain.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
    assert [list(each.embedding) for each in by_itself.data] == [list(each.embedding) for each in as_numbers.data]


def test_a_batch(plain: openai.OpenAI) -> None:
    answer = plain.embeddings.create(model=MODEL, input=[f"text {n}" for n in range(500)], dimensions=32)
    assert [each.index for each in answer.data] == list(range(500))
    assert {len(each.embedding) for each in answer.data} == {32}


def test_an_answer_that_is_too_long_to_be_kept_is_relayed_and_billed_all_the_same(
    house: House, plain: openai.OpenAI
) -> None:
    house.settled()
    house.simulator.reset()
    raw = plain.embeddings.with_raw_response.create(
        model=MODEL, input=[f"text {n}" for n in range(800)], dimensions=3072, encoding_format="float"
    )
    assert len(raw.content) > 8 << 20
    assert "x-fastgate-cost-usd" not in raw.headers
    assert len(raw.parse().data) == 800
    house.settled()
    [row] = [each for each in house.requests(key="plain") if each["id"] == raw.headers["x-fastgate-request-id"]]
    assert (row["settlement"], Decimal(row["cost_usd"])) == ("exact", Decimal(house.bill()["total"]["usd"]))


async def test_async_client(house: House) -> None:
    async with openai.AsyncOpenAI(base_url=house.openai_url, api_key=secret("plain")) as client:
        answers = await asyncio.gather(
            *(client.embeddings.create(model=MODEL, input=f"number {n}", encoding_format="float") for n in range(32))
        )
    assert len({tuple(answer.data[0].embedding) for answer in answers}) == 32


@pytest.mark.parametrize(
    ("name", "model", "given", "kind", "code"),
    [
        ("nobody", MODEL, "x", openai.AuthenticationError, "invalid_api_key"),
        ("expired", MODEL, "x", openai.AuthenticationError, "invalid_api_key"),
        ("narrow", MODEL, "x", openai.PermissionDeniedError, "model_not_allowed"),
        ("plain", "gpt-none", "x", openai.NotFoundError, "model_not_found"),
        ("plain", MODEL, [{"image": "http://x/y"}], openai.BadRequestError, "invalid_request"),
        ("plain", MODEL, None, openai.BadRequestError, "invalid_request"),
        ("plain", MODEL, "x" * 1_100_000, openai.APIStatusError, "request_too_large"),
        ("plain", "impatient/sim-embedding", script(fail="hang"), openai.InternalServerError, "upstream_timeout"),
        ("plain", "absent/sim-embedding", "x", openai.InternalServerError, "upstream_error"),
    ],
)
def test_errors_are_those_that_the_sdk_knows(
    clients: Clients, name: str, model: str, given: Any, kind: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        clients(name).with_options(max_retries=0).embeddings.create(model=model, input=given)
    assert caught.value.response.headers["x-fastgate-error"] == code
    assert caught.value.response.headers["x-fastgate-request-id"] in caught.value.message


def test_a_spent_budget(house: House, clients: Clients) -> None:
    house.settled()
    before = house.bill()["total"]["requests"]
    with pytest.raises(openai.APIStatusError) as caught:
        clients("spent").embeddings.create(model=MODEL, input="x" * 400)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (402, "insufficient_quota", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    assert "limit $0.000001, spent $0.00" in error.message
    assert house.bill()["total"]["requests"] == before


@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_upstreams_error_passes_through_as_it_came(house: House, plain: openai.OpenAI, status: int) -> None:
    given = script(fail=str(status), message="Too much at once.")
    with direct(house) as client, pytest.raises(openai.APIStatusError) as expected:
        client.embeddings.create(model="sim-embedding", input=given)
    with pytest.raises(openai.APIStatusError) as caught:
        plain.with_options(max_retries=0).embeddings.create(model=MODEL, input=given)
    assert caught.value.response.content == expected.value.response.content
    assert caught.value.status_code == status


def test_a_model_that_does_something_else_is_the_providers_to_refuse(plain: openai.OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="not allowed to generate embeddings"):
        plain.embeddings.create(model="sim/sim-small", input="x")
    with pytest.raises(openai.PermissionDeniedError, match="not allowed to sample"):
        plain.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}])
