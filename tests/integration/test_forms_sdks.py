"""The official SDKs: what they put together from a stream is what they parse from the body, whichever was converted."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given, settings

from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.openai_chat import OPENAI_CHAT
from tests.support.both_forms import CHAT, MESSAGES, Pair, completion, message
from tests.support.form_draws import MESSAGES as DRAWN
from tests.support.form_draws import completions

QUESTION: Any = [{"role": "user", "content": "?"}]
LONG = "It is a long answer, 😀é. " * 20


class Handler(BaseHTTPRequestHandler):
    """Answers with the form that is asked for."""

    server: "Server"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind, body = (
            ("text/event-stream", self.server.stream) if asked.get("stream") else ("application/json", self.server.body)
        )
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """One answer, in both forms."""

    stream = b""
    body = b""

    def give(self, stream: bytes, body: bytes | None) -> None:
        assert body is not None
        self.stream, self.body = stream, body


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def gpt(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(server: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{server.server_port}", api_key="k", max_retries=0) as client:
        yield client


def dumped(answer: Any) -> Any:
    """What an SDK made of an answer, but for what says nothing, and for the place of calls in streams."""
    found = answer.model_dump(exclude_none=True, warnings=False, by_alias=True)
    for choice in found.get("choices", []):
        for call in choice["message"].get("tool_calls") or []:
            call.pop("index", None)
        if choice.get("logprobs") == {}:
            del choice["logprobs"]
    return found


def give_chat(server: Server, pair: Pair, converted: str) -> None:
    whole = json.dumps(pair.body).encode()
    if converted == "body":
        server.give(pair.stream, OPENAI_CHAT.answer_of(pair.stream))
    else:
        server.give(b"".join(OPENAI_CHAT.events_of(whole, include_usage=True) or []), whole)


TWO = completion({"content": LONG, "reasoning_content": LONG, "annotations": [], "refusal": None})
TWO["choices"].append({**TWO["choices"][0], "index": 1, "message": {"role": "assistant", "content": "b"}})


@pytest.mark.parametrize("converted", ["body", "stream"])
@pytest.mark.parametrize("pair", CHAT.values(), ids=CHAT)
def test_chats(server: Server, gpt: openai.OpenAI, pair: Pair, converted: str) -> None:
    give_chat(server, pair, converted)
    parsed = dumped(gpt.chat.completions.parse(model="m", messages=QUESTION))
    with gpt.chat.completions.stream(model="m", messages=QUESTION) as stream:
        assert dumped(stream.get_final_completion()) == parsed
    assert parsed["choices"][0]["finish_reason"] == pair.body["choices"][0]["finish_reason"]


def test_a_long_chat_of_two_choices(server: Server, gpt: openai.OpenAI) -> None:
    give_chat(server, Pair(b"", TWO), "stream")
    with gpt.chat.completions.stream(model="m", messages=QUESTION) as stream:
        assert dumped(stream.get_final_completion()) == dumped(gpt.chat.completions.parse(model="m", messages=QUESTION))


def test_a_call_is_parsed_as_it_comes(server: Server, gpt: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {}}}
    give_chat(server, CHAT["calls"], "stream")
    with gpt.chat.completions.stream(model="m", messages=QUESTION, tools=[tool]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [(event.name, event.arguments) for event in done] == [("f", '{"x":1}'), ("g", "{}")]
    assert done[0].parsed_arguments == {"x": 1}


def give_message(server: Server, pair: Pair, converted: str) -> None:
    whole = json.dumps(pair.body).encode()
    if converted == "body":
        server.give(pair.stream, ANTHROPIC.answer_of(pair.stream))
    else:
        server.give(b"".join(ANTHROPIC.events_of(whole, include_usage=False) or []), whole)


@pytest.mark.parametrize("converted", ["body", "stream"])
@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in ("another model", "a compaction")])
def test_messages(server: Server, claude: anthropic.Anthropic, name: str, converted: str) -> None:
    give_message(server, MESSAGES[name], converted)
    parsed = dumped(claude.messages.create(model="m", max_tokens=9, messages=QUESTION))
    with claude.messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream:
        assert dumped(stream.get_final_message()) == parsed
    assert parsed["stop_reason"] == MESSAGES[name].body["stop_reason"]


@pytest.mark.parametrize("converted", ["body", "stream"])
@pytest.mark.parametrize("pair", MESSAGES.values(), ids=MESSAGES)
def test_messages_of_the_beta(server: Server, claude: anthropic.Anthropic, pair: Pair, converted: str) -> None:
    give_message(server, pair, converted)
    parsed = dumped(claude.beta.messages.create(model="m", max_tokens=9, messages=QUESTION))
    with claude.beta.messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream:
        assert dumped(stream.get_final_message()) == parsed


def test_a_long_message(server: Server, claude: anthropic.Anthropic) -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"text": LONG, "numbers": [1.5, 2, 1e-9]}}
    body = message(
        {"type": "text", "text": LONG}, use, {"type": "text", "text": ""}, context_management={"applied_edits": []}
    )
    give_message(server, Pair(b"", body), "stream")
    parsed = dumped(claude.messages.create(model="m", max_tokens=9, messages=QUESTION))
    with claude.messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream:
        assert "".join(stream.text_stream) == LONG
        assert dumped(stream.get_final_message()) == parsed


@settings(max_examples=50, deadline=None)
@given(completions())
def test_any_chat(server: Server, gpt: openai.OpenAI, body: Any) -> None:
    for choice in body["choices"]:
        choice["finish_reason"] = "stop"
        calls = choice["message"].get("tool_calls") or []
        calls[:] = [call for call in calls if call["type"] == "function"]  # the helper fails on streams of others
    give_chat(server, Pair(b"", body), "stream")
    parsed = dumped(gpt.chat.completions.parse(model="m", messages=QUESTION))
    with gpt.chat.completions.stream(model="m", messages=QUESTION) as stream:
        assert dumped(stream.get_final_completion()) == parsed


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of types that no provider would send
@settings(max_examples=50, deadline=None)
@given(DRAWN)
def test_any_message(server: Server, claude: anthropic.Anthropic, body: Any) -> None:
    give_message(server, Pair(b"", body), "stream")
    parsed = dumped(claude.beta.messages.create(model="m", max_tokens=9, messages=QUESTION))
    with claude.beta.messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream:
        assert dumped(stream.get_final_message()) == parsed
