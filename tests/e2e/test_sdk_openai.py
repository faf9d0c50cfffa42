"""The official `openai` package, unmodified, through the gateway."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.support.house import House, secret

QUESTION: Any = [{"role": "user", "content": "x" * 40}]
WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
OSLO = {"tools": [{"name": "weather", "arguments": {"city": "Oslo"}}]}


def script(**fields: Any) -> Any:
    """Messages that tell the simulator what to answer."""
    return [{"role": "user", "content": f"sim: {json.dumps(fields)}"}]


class Counted:
    """An SDK's client as its users make it, but that its HTTP requests are counted; ``retries``: the SDK's default."""

    def __init__(self, house: House, name: str = "plain") -> None:
        self.sent = 0
        http = openai.DefaultHttpxClient(event_hooks={"request": [self._count]})
        self.client = openai.OpenAI(base_url=house.openai_url, api_key=secret(name), http_client=http)

    def _count(self, _: Any) -> None:
        self.sent += 1

    def chat(self, messages: Any = QUESTION, model: str = "sim/sim-small", **more: Any) -> Any:
        """One chat completion."""
        return self.client.chat.completions.create(model=model, messages=messages, **more)

    def refused(
        self, kind: type[openai.APIStatusError], messages: Any = QUESTION, **more: Any
    ) -> openai.APIStatusError:
        """The error that a chat ends in: of exactly this class, streamed or not."""
        found = []
        for stream in (False, True):
            with pytest.raises(kind) as caught:
                self.chat(messages, stream=stream, **more)
            assert type(caught.value) is kind
            found.append(caught.value)
        assert [error.status_code for error in found[1:]] == [found[0].status_code]
        return found[0]


Clients = Callable[[str], Counted]


@pytest.fixture
def clients(house: House) -> Iterator[Clients]:
    """Clients by the name of their key, all closed at the end."""
    with ExitStack() as stack:

        def make(name: str) -> Counted:
            counted = Counted(house, name)
            stack.enter_context(counted.client)
            return counted

        yield make


@pytest.fixture
def plain(clients: Clients) -> Counted:
    return clients("plain")


def fastgate_error(error: openai.APIStatusError) -> str | None:
    code: str | None = error.response.headers.get("x-fastgate-error")
    return code


def test_chat(plain: Counted) -> None:
    raw = plain.client.chat.completions.with_raw_response.create(model="smart", messages=QUESTION)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 16)
    assert Decimal(raw.headers["x-fastgate-cost-usd"]) == Decimal("0.000185")
    assert (raw.headers["x-fastgate-provider"], raw.headers["x-fastgate-model"]) == ("sim", "sim-large")
    assert answer._request_id == "req_" + answer.id.removeprefix("chatcmpl-")
    assert plain.sent == 1


@pytest.mark.parametrize("asked", [True, False, None])
def test_chat_streamed(plain: Counted, asked: bool | None) -> None:
    options: Any = {} if asked is None else {"stream_options": {"include_usage": asked}}
    with plain.chat(script(text="one two three"), stream=True, **options) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three"
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [asked is True]
    assert all(chunk.choices for chunk in chunks[: -1 if asked else None])


@pytest.mark.parametrize("stream", [False, True])
def test_tools(plain: Counted, stream: bool) -> None:
    answer = plain.chat(script(**OSLO), tools=[WEATHER], stream=stream)
    if stream:
        parts = [chunk.choices[0].delta.tool_calls[0] for chunk in answer if chunk.choices[0].delta.tool_calls]
        name, arguments = parts[0].function.name, "".join(part.function.arguments or "" for part in parts)
    else:
        assert answer.choices[0].finish_reason == "tool_calls"
        [call] = answer.choices[0].message.tool_calls
        name, arguments = call.function.name, call.function.arguments
        turn = [*script(**OSLO), answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "4 C"}]
        assert plain.chat(turn, tools=[WEATHER]).choices[0].message.content
    assert (name, json.loads(arguments)) == ("weather", {"city": "Oslo"})


def test_a_stream_helper_puts_the_answer_together(plain: Counted) -> None:
    with plain.client.chat.completions.stream(model="sim/sim-small", messages=script(text="a b c")) as stream:
        assert stream.get_final_completion().choices[0].message.content == "a b c"


def test_models(clients: Clients, plain: Counted) -> None:
    names = [model.id for model in plain.client.models.list()]
    assert names[0] == "smart"
    assert {"sim/sim-small", "sim/sim-large", "sim/sim-reasoning", "sim/sim-cached"} <= set(names)
    assert plain.client.models.retrieve("sim/sim-small").id == "sim/sim-small"
    narrow = clients("narrow")
    assert [model.id for model in narrow.client.models.list()] == ["sim/sim-small"]
    with pytest.raises(openai.NotFoundError):
        narrow.client.models.retrieve("smart")


async def test_async_client(house: House) -> None:
    async with openai.AsyncOpenAI(base_url=house.openai_url, api_key=secret("plain")) as client:

        async def streamed(number: int) -> str:
            stream = await client.chat.completions.create(
                model="smart", messages=script(text=f"number {number}"), stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        assert await asyncio.gather(*map(streamed, range(32))) == [f"number {n}" for n in range(32)]
        answer = await client.chat.completions.create(model="smart", messages=script(text="whole"))
        assert answer.choices[0].message.content == "whole"
        names = [model.id async for model in client.models.list()]
        assert names[0] == "smart"


@pytest.mark.parametrize(("name", "why"), [("nobody", "unknown"), ("expired", "expired on 2020-01-01")])
def test_an_invalid_key(clients: Clients, name: str, why: str) -> None:
    counted = clients(name)
    error = counted.refused(openai.AuthenticationError)
    assert (error.code, fastgate_error(error), error.response.headers["x-should-retry"]) == (
        "invalid_api_key", "invalid_api_key", "false",
    )  # fmt: skip
    assert why in error.message
    assert counted.sent == 2
    with pytest.raises(openai.AuthenticationError):
        counted.client.models.list()


def test_a_spent_budget(house: House, clients: Clients) -> None:
    counted = clients("spent")
    before = house.bill()["total"]["requests"]
    error = counted.refused(openai.APIStatusError)
    assert (error.status_code, error.type, error.code) == (402, "insufficient_quota", "insufficient_quota")
    assert fastgate_error(error) == "budget_exceeded"
    assert error.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.response.headers
    assert "key budget 'key:spent/day/default'" in error.message
    assert "limit $0.000001, spent $0.00" in error.message
    assert error.response.headers["x-fastgate-request-id"] in error.message
    assert counted.sent == 2
    assert house.bill()["total"]["requests"] == before


def ask_in_a_row(client: openai.OpenAI) -> None:
    for _ in range(20):
        client.chat.completions.create(model="sim/sim-small", messages=QUESTION)


def test_a_limit_is_waited_for(clients: Clients) -> None:
    """The SDK raises its own error where it must not retry, and else comes again when the window has turned."""
    counted = clients("paced")
    with pytest.raises(openai.RateLimitError) as caught:
        ask_in_a_row(counted.client.with_options(max_retries=0))
    error = caught.value
    assert (error.status_code, error.code, fastgate_error(error)) == (429, "rate_limit_exceeded", "rate_limited")
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(error.response.headers["retry-after-ms"]) <= 1000
    counted.sent = 0
    answers = [counted.chat() for _ in range(3)]
    assert [answer.usage.completion_tokens > 0 for answer in answers] == [True] * 3
    assert counted.sent > 3, "some were refused at first"


def test_a_model_that_the_key_may_not_use(clients: Clients) -> None:
    counted = clients("narrow")
    error = counted.refused(openai.PermissionDeniedError, model="smart")
    assert (error.code, error.param, fastgate_error(error)) == ("model_not_allowed", "model", "model_not_allowed")
    assert counted.sent == 2


@pytest.mark.parametrize("model", ["gpt-none", "nobody/sim-small", "é" * 400])
def test_an_unknown_model(plain: Counted, model: str) -> None:
    error = plain.refused(openai.NotFoundError, model=model)
    assert (error.code, error.param, fastgate_error(error)) == ("model_not_found", "model", "model_not_found")
    assert plain.sent == 2


def test_a_body_too_large(plain: Counted) -> None:
    error = plain.refused(openai.APIStatusError, [{"role": "user", "content": "x" * 1_100_000}])
    assert (error.status_code, error.code, fastgate_error(error)) == (413, "request_too_large", "request_too_large")
    assert plain.sent == 2


def test_an_upstream_that_takes_too_long(plain: Counted) -> None:
    error = plain.refused(openai.InternalServerError, script(fail="hang"), model="impatient/sim-small")
    assert (error.status_code, error.code, fastgate_error(error)) == (504, "upstream_timeout", "upstream_timeout")
    assert "x-should-retry" not in error.response.headers
    assert plain.sent == 2 * (1 + openai.DEFAULT_MAX_RETRIES)  # nothing else was tried, so another try may help


def test_an_upstream_that_is_not_there(plain: Counted) -> None:
    client = plain.client.with_options(max_retries=1)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="absent/sim-small", messages=QUESTION)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_error")
    assert plain.sent == 2  # nothing was sent upstream: another try cannot be billed twice


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError),
     (503, openai.InternalServerError), (529, openai.InternalServerError)],
)  # fmt: skip
def test_an_upstreams_error_passes_through_as_it_came(
    house: House, plain: Counted, status: int, kind: type[openai.APIStatusError]
) -> None:
    messages = script(fail=str(status), message="Maximum context length is 8 tokens.", headers={"retry-after-ms": "1"})
    before = house.bill()["total"]
    direct = openai.OpenAI(base_url=house.simulator.openai_url, api_key="upstream-key", max_retries=0)
    with direct, pytest.raises(kind) as expected:
        direct.chat.completions.create(model="sim-small", messages=messages)
    with pytest.raises(kind) as caught:
        plain.chat(messages)
    error = caught.value
    assert error.response.json()["error"] == expected.value.response.json()["error"]
    assert error.response.status_code == expected.value.response.status_code == status
    for name in ("retry-after", "retry-after-ms"):
        assert error.response.headers.get(name) == expected.value.response.headers.get(name)
    assert plain.sent == (1 if status == 400 else 3)
    assert house.bill()["total"] == before


def test_a_stream_that_breaks_off(plain: Counted) -> None:
    received = []
    with pytest.raises(openai.APIError) as caught:  # noqa: PT012
        for chunk in plain.chat(script(chunks=8, fail="cut", after=3), stream=True):
            received.append(chunk)
    assert type(caught.value) is openai.APIError
    assert "before its answer was whole" in caught.value.message
    assert caught.value.code == "upstream_error"
    assert len(received) == 4
    assert plain.sent == 1


def test_an_error_of_the_upstreams_inside_a_stream(plain: Counted) -> None:
    event = 'data: {"error": {"message": "The engine is on fire.", "type": "server_error", "code": null}}\n\n'
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with pytest.raises(openai.APIError, match="on fire"):
        list(plain.chat(script(raw=head + event), stream=True))
    assert plain.sent == 1


def test_a_request_that_no_provider_could_take(plain: Counted) -> None:
    error = plain.refused(openai.BadRequestError, max_tokens="many")
    assert (error.code, error.param) == ("invalid_request", "max_tokens")
    assert plain.sent == 2


def test_what_is_not_built_says_so(plain: Counted) -> None:
    with pytest.raises(openai.BadRequestError, match="not supported yet"):
        plain.client.responses.create(model="sim/sim-small", input="x")
