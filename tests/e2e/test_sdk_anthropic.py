"""The official `anthropic` package, unmodified, through the gateway."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import anthropic
import pytest
from anthropic import _exceptions as errors

from tests.support.house import House, secret

QUESTION: Any = [{"role": "user", "content": "x" * 40}]
WEATHER: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
OSLO = {"tools": [{"name": "weather", "arguments": {"city": "Oslo"}}]}


def script(**fields: Any) -> Any:
    """Messages that tell the simulator what to answer."""
    return [{"role": "user", "content": f"sim: {json.dumps(fields)}"}]


class Counted:
    """An SDK's client as its users make it, but that its HTTP requests are counted; ``retries``: the SDK's default."""

    def __init__(self, house: House, name: str) -> None:
        self.sent = 0
        http = anthropic.DefaultHttpxClient(event_hooks={"request": [self._count]})
        self.client = anthropic.Anthropic(base_url=house.url, api_key=secret(name), http_client=http)

    def _count(self, _: Any) -> None:
        self.sent += 1

    def ask(self, messages: Any = QUESTION, model: str = "sim/sim-small", **more: Any) -> Any:
        """One message."""
        return self.client.messages.create(**{"model": model, "messages": messages, "max_tokens": 64, **more})

    def refused(
        self, kind: type[anthropic.APIStatusError], messages: Any = QUESTION, **more: Any
    ) -> anthropic.APIStatusError:
        """The error that a message ends in: of exactly this class, streamed or not."""
        found = []
        for stream in (False, True):
            with pytest.raises(kind) as caught:
                self.ask(messages, stream=stream, **more)
            assert type(caught.value) is kind
            found.append(caught.value)
        assert found[0].status_code == found[1].status_code
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


def kind_of(error: anthropic.APIStatusError) -> tuple[int, str, str | None]:
    """Status, the dialect's own type, our own code."""
    body: Any = error.body
    assert body["type"] == "error"
    return error.status_code, body["error"]["type"], error.response.headers.get("x-fastgate-error")


def test_messages(plain: Counted) -> None:
    raw = plain.client.messages.with_raw_response.create(model="smart", messages=QUESTION, max_tokens=64)
    answer = raw.parse()
    assert answer.content[0].type == "text"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (10, 16)
    assert Decimal(raw.headers["x-fastgate-cost-usd"]) == Decimal("0.000185")
    assert answer._request_id == raw.headers["request-id"]
    assert plain.sent == 1


def test_messages_streamed(plain: Counted) -> None:
    with plain.client.messages.stream(
        model="sim/sim-small", messages=script(text="one two three"), max_tokens=64
    ) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_message()
    assert events[0] == "message_start"
    assert events[-1] == "message_stop"
    assert [block.text for block in final.content if block.type == "text"] == ["one two three"]
    assert final.usage.output_tokens == 4


def test_thinking_is_kept(plain: Counted) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = plain.ask(model="sim/sim-reasoning", max_tokens=2048, thinking=thinking)
    assert [block.type for block in answer.content] == ["thinking", "text"]


@pytest.mark.parametrize("stream", [False, True])
def test_tools(plain: Counted, stream: bool) -> None:
    messages = script(**OSLO)
    if stream:
        with plain.client.messages.stream(
            model="sim/sim-small", messages=messages, max_tokens=64, tools=[WEATHER]
        ) as events:
            answer = events.get_final_message()
    else:
        answer = plain.ask(messages, tools=[WEATHER])
    assert answer.stop_reason == "tool_use"
    [call] = [block for block in answer.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("weather", {"city": "Oslo"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "4 C"}
    turn = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    assert plain.ask(turn, tools=[WEATHER]).stop_reason == "end_turn"


def test_counting_tokens_is_free(house: House, clients: Clients) -> None:
    before = house.bill()["total"]
    for name in ("plain", "spent"):
        counted = clients(name).client.messages.count_tokens(model="smart", messages=QUESTION)
        assert counted.input_tokens == 10
    assert house.bill()["total"] == before


def test_models(plain: Counted) -> None:
    names = [model.id for model in plain.client.models.list()]
    assert names[0] == "smart"
    assert plain.client.models.retrieve("sim/sim-small").id == "sim/sim-small"


async def test_async_client(house: House) -> None:
    async with anthropic.AsyncAnthropic(base_url=house.url, auth_token=secret("plain")) as client:

        async def streamed(number: int) -> str:
            async with client.messages.stream(
                model="smart", messages=script(text=f"number {number}"), max_tokens=64
            ) as stream:
                return "".join([text async for text in stream.text_stream])

        assert await asyncio.gather(*map(streamed, range(32))) == [f"number {n}" for n in range(32)]
        answer = await client.messages.create(model="smart", messages=script(text="whole"), max_tokens=64)
        assert answer.content[0].text == "whole"
        assert (await client.messages.count_tokens(model="smart", messages=QUESTION)).input_tokens == 10


@pytest.mark.parametrize(("name", "why"), [("nobody", "unknown"), ("expired", "expired on 2020-01-01")])
def test_an_invalid_key(clients: Clients, name: str, why: str) -> None:
    counted = clients(name)
    error = counted.refused(anthropic.AuthenticationError)
    assert kind_of(error) == (401, "authentication_error", "invalid_api_key")
    assert error.response.headers["x-should-retry"] == "false"
    assert why in error.message
    assert counted.sent == 2


def test_a_spent_budget(house: House, clients: Clients) -> None:
    counted = clients("spent")
    # Free: it does not begin the budget's window.
    clients("spent").client.messages.count_tokens(model="smart", messages=QUESTION)
    before = house.bill()["total"]
    error = counted.refused(errors.PaymentRequiredError)
    assert kind_of(error) == (402, "billing_error", "budget_exceeded")
    assert error.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.response.headers
    for part in (
        "key budget 'key:spent/day/default'",
        "limit $0.000001, spent $0.00",
        "Its window begins with the first request",
        "(request id ",
    ):
        assert part in error.message
    assert counted.sent == 2
    assert house.bill()["total"] == before


def ask_in_a_row(client: anthropic.Anthropic) -> None:
    for _ in range(20):
        client.messages.create(model="sim/sim-small", messages=QUESTION, max_tokens=64)


def test_a_limit_is_waited_for(clients: Clients) -> None:
    """The SDK raises its own error where it must not retry, and else comes again when the window has turned."""
    counted = clients("paced-too")
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask_in_a_row(counted.client.with_options(max_retries=0))
    headers = caught.value.response.headers
    assert (caught.value.status_code, headers["x-fastgate-error"]) == (429, "rate_limited")
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert 1 <= int(headers["retry-after-ms"]) <= 1000
    counted.sent = 0
    assert [counted.ask().stop_reason for _ in range(3)] == ["end_turn"] * 3
    assert counted.sent > 3, "some were refused at first"


def test_a_model_that_the_key_may_not_use(clients: Clients) -> None:
    counted = clients("narrow")
    error = counted.refused(anthropic.PermissionDeniedError, model="smart")
    assert kind_of(error) == (403, "permission_error", "model_not_allowed")
    assert counted.sent == 2


def test_an_unknown_model(plain: Counted) -> None:
    error = plain.refused(anthropic.NotFoundError, model="claude-none")
    assert kind_of(error) == (404, "not_found_error", "model_not_found")
    assert plain.sent == 2


def test_a_body_too_large(plain: Counted) -> None:
    error = plain.refused(errors.RequestTooLargeError, [{"role": "user", "content": "x" * 1_100_000}])
    assert kind_of(error) == (413, "request_too_large", "request_too_large")
    assert plain.sent == 2


def test_an_upstream_that_takes_too_long(plain: Counted) -> None:
    error = plain.refused(errors.DeadlineExceededError, script(fail="hang"), model="impatient/sim-small")
    assert kind_of(error) == (504, "timeout_error", "upstream_timeout")
    assert plain.sent == 2 * (1 + anthropic.DEFAULT_MAX_RETRIES)  # nothing else was tried, so another try may help


def test_an_upstream_that_is_not_there(plain: Counted) -> None:
    client = plain.client.with_options(max_retries=1)
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(model="absent/sim-small", messages=QUESTION, max_tokens=64)
    assert kind_of(caught.value) == (502, "api_error", "upstream_error")
    assert plain.sent == 2  # nothing was sent upstream: another try cannot be billed twice


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, anthropic.BadRequestError), (429, anthropic.RateLimitError), (500, anthropic.InternalServerError),
     (503, errors.ServiceUnavailableError), (529, errors.OverloadedError)],
)  # fmt: skip
def test_an_upstreams_error_passes_through_as_it_came(
    house: House, plain: Counted, status: int, kind: type[anthropic.APIStatusError]
) -> None:
    messages = script(
        fail=str(status), message="prompt is too long: 9 tokens > 8 maximum", headers={"retry-after-ms": "1"}
    )
    before = house.bill()["total"]
    direct = anthropic.Anthropic(base_url=house.simulator.url, api_key="upstream-key", max_retries=0)
    with direct, pytest.raises(kind) as expected:
        direct.messages.create(model="sim-small", messages=messages, max_tokens=64)
    with pytest.raises(kind) as caught:
        plain.ask(messages)
    received, sent = caught.value.response, expected.value.response
    assert received.json()["error"] == sent.json()["error"]
    for name in ("retry-after", "retry-after-ms"):
        assert received.headers.get(name) == sent.headers.get(name)
    assert plain.sent == (1 if status == 400 else 3)
    assert house.bill()["total"] == before


def test_a_stream_that_breaks_off(plain: Counted) -> None:
    received = []
    with pytest.raises(anthropic.APIStatusError, match="before its answer was whole"):  # noqa: PT012
        for event in plain.ask(script(chunks=8, fail="cut", after=3), stream=True):
            received.append(event.type)
    assert received.count("content_block_delta") == 3
    assert plain.sent == 1


def test_an_error_of_the_upstreams_inside_a_stream(plain: Counted) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(plain.ask(script(raw=f"{head}event: error\ndata: {json.dumps(error)}\n\n"), stream=True))
    assert plain.sent == 1


def test_a_request_that_no_provider_could_take(plain: Counted) -> None:
    error = plain.refused(anthropic.BadRequestError, max_tokens=-1)
    assert kind_of(error) == (400, "invalid_request_error", "invalid_request")
    assert plain.sent == 2


def test_the_probes_of_coding_agents(house: House, plain: Counted) -> None:
    for path in ("/", "/api/hello"):
        answer = plain.client._client.head(house.url + path)
        assert (answer.status_code, answer.content) == (200, b"")
