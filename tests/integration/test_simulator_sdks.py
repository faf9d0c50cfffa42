"""The official SDKs against the simulator alone: that it speaks what they speak."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from fastgate.simulator.process import Simulator, SimulatorFailed

pytestmark = pytest.mark.timeout(60)

QUESTION: Any = [{"role": "user", "content": "x" * 40}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
CLAUDE_TOOLS: Any = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(seed=7) as simulator:
        yield simulator
        assert simulator.stop() == ""


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def gpt(simulator: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-gpt", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(simulator: Simulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=simulator.url, api_key="sk-claude", max_retries=0) as client:
        yield client


def script(text: str) -> Any:
    return [{"role": "user", "content": f"sim: {text}"}]


def usd(simulator: Simulator, key: str) -> Decimal:
    return sum((Decimal(row["usd"]) for row in simulator.bill()["by_key"] if row["key"] == key), Decimal(0))


def test_chat(simulator: Simulator, gpt: openai.OpenAI) -> None:
    answer = gpt.chat.completions.create(model="sim-large", messages=QUESTION)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 16)
    assert answer._request_id == "req_" + answer.id.removeprefix("chatcmpl-")
    assert usd(simulator, "sk-gpt") == Decimal("0.000185")


def test_chat_streamed(simulator: Simulator, gpt: openai.OpenAI) -> None:
    whole = gpt.chat.completions.create(model="sim-small", messages=script('{"text": "one two three"}'))
    with gpt.chat.completions.create(
        model="sim-small",
        messages=script('{"text": "one two three"}'),
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content == "one two three"
    assert len(chunks) == 1 + 4 + 1 + 1
    assert chunks[-1].usage == whole.usage
    assert simulator.bill()["total"]["requests"] == 2


def test_chat_tools(simulator: Simulator, gpt: openai.OpenAI) -> None:
    messages = script('{"tools": [{"name": "weather", "arguments": {"city": "Oslo"}}]}')
    answer = gpt.chat.completions.create(model="sim-small", messages=messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    call: Any = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Oslo"}')
    with gpt.chat.completions.stream(model="sim-small", messages=messages, tools=TOOLS) as stream:
        final: Any = stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls[0]
    assert (streamed.function.name, streamed.function.arguments) == ("weather", '{"city":"Oslo"}')
    assert simulator.bill()["total"]["requests"] == 2


CONVERSATION = '{"turns": [{"tools": [{"name": "weather"}]}, {"text": "4 C in Oslo"}]}'


def test_a_scripted_conversation_by_chat(simulator: Simulator, gpt: openai.OpenAI) -> None:
    def ask(messages: Any, **more: Any) -> Any:
        return gpt.chat.completions.create(model="sim-small", messages=messages, **more).choices[0].message

    messages = [*script(CONVERSATION), {"role": "system", "content": "It is a Thursday."}]
    call = ask(messages, tools=TOOLS)
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "4"}
    answered = [*messages, call, result]
    assert ask(answered, tools=TOOLS).content == "4 C in Oslo"
    title = ask(messages)
    assert title.tool_calls is None
    further = ask([*answered, {"role": "assistant", "content": "4 C"}, {"role": "user", "content": "And now?"}])
    assert len({title.content, further.content, "4 C in Oslo"}) == 3
    assert simulator.bill()["total"]["requests"] == 4


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ("400", openai.BadRequestError),
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("503", openai.InternalServerError),
        ("noheaders", openai.APIConnectionError),
        ("cut", openai.APIConnectionError),
        ("garbage", openai.APIConnectionError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_chat_errors(gpt: openai.OpenAI, failure: str, error: type[openai.APIError], stream: bool) -> None:
    def ask() -> None:
        answer: Any = gpt.chat.completions.create(
            model="sim-small", messages=script('{"fail": "' + failure + '"}'), stream=stream
        )
        list(answer)

    with pytest.raises(error):
        ask()


def test_chat_models(gpt: openai.OpenAI) -> None:
    assert "sim-cached" in [model.id for model in gpt.models.list()]
    assert gpt.models.retrieve("sim-small").id == "sim-small"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("gpt")


def test_chat_is_retried_by_the_sdk_and_billed_once(simulator: Simulator) -> None:
    with (
        Simulator(fail="503=0.5", seed=1) as failing,
        openai.OpenAI(base_url=failing.openai_url, api_key="k", max_retries=20) as client,
    ):
        patient = client.with_options(default_headers={})
        patient._calculate_retry_timeout = lambda *arguments: 0.0  # type: ignore[method-assign]
        for number in range(10):
            patient.chat.completions.create(model="sim-small", messages=QUESTION, user=str(number))
        bill = failing.bill()
    assert bill["total"]["requests"] == 10
    assert bill["unbilled"]["503"] > 0


def test_messages(simulator: Simulator, claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(
        model="sim-cached", max_tokens=100, messages=[{"role": "user", "content": "x" * 160}]
    )
    assert answer.content[0].type == "text"
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    assert usage.cache_creation is not None
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (10, 20, 16)
    assert usage.cache_creation.ephemeral_1h_input_tokens == 5
    assert usd(simulator, "sk-claude") == Decimal("0.00010825")  # (10·1 + 20·0.1 + 5·1.25 + 5·2 + 16·5) / 10^6


def test_messages_streamed(simulator: Simulator, claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(
        model="sim-reasoning", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024}, messages=QUESTION
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert len(text) == 64
    assert final.usage.output_tokens == 48
    (row,) = simulator.bill()["by_key"]
    assert (row["output_tokens"], row["reasoning_tokens"]) == (16, 32)


def test_messages_tools(claude: anthropic.Anthropic) -> None:
    messages = script('{"text": "Let me look.", "tools": [{"name": "weather", "arguments": {"city": "Oslo"}}]}')
    answer = claude.messages.create(model="sim-small", max_tokens=100, messages=messages, tools=CLAUDE_TOOLS)
    with claude.messages.stream(model="sim-small", max_tokens=100, messages=messages, tools=CLAUDE_TOOLS) as stream:
        streamed = stream.get_final_message()
    for message in (answer, streamed):
        text, call = message.content
        assert message.stop_reason == "tool_use"
        assert text.type == "text"
        assert call.type == "tool_use"
        assert (text.text, call.name, call.input) == ("Let me look.", "weather", {"city": "Oslo"})


def test_a_scripted_conversation_by_messages(claude: anthropic.Anthropic) -> None:
    def ask(messages: Any) -> Any:
        return claude.messages.create(model="sim-small", max_tokens=100, messages=messages, tools=CLAUDE_TOOLS).content

    reminder = {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"}
    messages = [{"role": "user", "content": [reminder, {"type": "text", "text": f"sim: {CONVERSATION}"}, reminder]}]
    [call] = ask(messages)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "4"}
    answered = [*messages, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result, reminder]}]
    assert [block.text for block in ask(answered)] == ["4 C in Oslo"]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ("400", anthropic.BadRequestError),
        ("401", anthropic.AuthenticationError),
        ("403", anthropic.PermissionDeniedError),
        ("404", anthropic.NotFoundError),
        ("429", anthropic.RateLimitError),
        ("500", anthropic.InternalServerError),
        ("529", anthropic.InternalServerError),
        ("noheaders", anthropic.APIConnectionError),
        ("cut", anthropic.APIConnectionError),
        ("garbage", anthropic.APIConnectionError),
    ],
)
def test_messages_errors(claude: anthropic.Anthropic, failure: str, error: type[anthropic.APIError]) -> None:
    with pytest.raises(error):
        claude.messages.create(model="sim-small", max_tokens=9, messages=script('{"fail": "' + failure + '"}'))


def test_messages_count_tokens_and_models(simulator: Simulator, claude: anthropic.Anthropic) -> None:
    assert claude.messages.count_tokens(model="sim-small", messages=QUESTION).input_tokens == 10
    assert "sim-large" in [model.id for model in claude.models.list()]
    assert simulator.bill()["total"]["requests"] == 0


def test_the_charges_add_up_to_the_bill(simulator: Simulator, gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    for model in ("sim-small", "sim-large", "sim-reasoning", "sim-cached"):
        gpt.chat.completions.create(model=model, messages=QUESTION, n=2)
        claude.messages.create(model=model, max_tokens=99, messages=QUESTION)
    charges = list(simulator.charges())
    assert len(charges) == 8
    assert sum(Decimal(charge["usd"]) for charge in charges) == Decimal(simulator.bill()["total"]["usd"])
    assert {charge["key"] for charge in charges} == {"sk-gpt", "sk-claude"}


def test_options_that_cannot_be_used_are_said() -> None:
    with pytest.raises(SimulatorFailed, match="unknown failure"):
        Simulator(fail="sometimes=1").start()
    with pytest.raises(SimulatorFailed, match="no-such-file"):
        Simulator(prices="/no-such-file").start()
    with pytest.raises(SimulatorFailed, match="8-x"):
        Simulator(tokens="8-x").start()
    with pytest.raises(SimulatorFailed, match="no-such-file"):
        Simulator(answers="/no-such-file").start()


def test_it_ends_with_the_process_that_started_it() -> None:
    simulator = Simulator().start()
    process = simulator._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 0
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
