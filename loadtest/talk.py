"""What clients of both APIs send, and what they read of the answers.

Of the standard library alone: it runs where a load tool has an environment of its own.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

Message = dict[str, Any]

TOOL: Final = "read_file"
_DESCRIPTION: Final = "Reads a file of the project."
_PARAMETERS: Final = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


class Wrong(Exception):
    """An answer is not what it must be; the message says why."""


@dataclass
class Call:
    """A tool that a model calls; ``arguments`` is JSON as text, which streams bring in pieces."""

    id: str
    name: str
    arguments: str = ""


@dataclass
class Answer:
    """What a model said. Tokens are those that it reports, 0 where it reports none."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    prompt_tokens: int = 0
    output_tokens: int = 0


class Dialect(Protocol):
    """One API. What reads raises KeyError, IndexError, TypeError or ValueError where a document has another shape."""

    name: str
    path: str
    session_header: str
    """In which a coding agent of this API names its session."""

    def headers(self, key: str) -> dict[str, str]:
        """Of every request."""

    def body(self, model: str, messages: list[Message], cap: int, *, stream: bool, tools: bool) -> Message:
        """A request; ``cap``: the most tokens of its answer."""

    def whole(self, document: Message) -> Answer:
        """An answer that is not streamed."""

    def event(self, document: Message, answer: Answer) -> bool:
        """Adds an event of a stream to its answer; whether it brought output."""

    def ends(self, data: bytes) -> bool:
        """Whether an event is the last one of a stream that is complete."""

    def next(self, answer: Answer, said: str) -> Iterator[Message]:
        """The messages that follow an answer: itself, and what its tools gave, or else the user said."""

    def refusal(self, document: Message) -> str:
        """The message of an answer that says that a budget is spent."""


class OpenAI:
    """Chat completions."""

    name = "openai"
    path = "/v1/chat/completions"
    session_header = "x-session-id"  # as opencode

    def headers(self, key: str) -> dict[str, str]:
        return {"content-type": "application/json", "authorization": f"Bearer {key}"}

    def body(self, model: str, messages: list[Message], cap: int, *, stream: bool, tools: bool) -> Message:
        body: Message = {"model": model, "messages": messages, "max_tokens": cap, "stream": stream}
        if tools:
            function = {"name": TOOL, "description": _DESCRIPTION, "parameters": _PARAMETERS}
            body |= {"tools": [{"type": "function", "function": function}], "stream_options": {"include_usage": True}}
        return body

    def whole(self, document: Message) -> Answer:
        message = document["choices"][0]["message"]
        answer = Answer(message["content"] or "")
        self._count(document["usage"], answer)
        return answer

    def event(self, document: Message, answer: Answer) -> bool:
        if document.get("usage"):
            self._count(document["usage"], answer)
        if not document["choices"]:
            return False
        delta = document["choices"][0]["delta"]
        text, calls = delta.get("content") or "", delta.get("tool_calls") or []
        answer.text += text
        for piece in calls:
            if "id" in piece:
                answer.calls.append(Call(piece["id"], piece["function"]["name"]))
            answer.calls[piece["index"]].arguments += piece["function"].get("arguments", "")
        return bool(text or calls)

    def _count(self, usage: Message, answer: Answer) -> None:
        answer.prompt_tokens, answer.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]

    def ends(self, data: bytes) -> bool:
        return data == b"[DONE]"

    def next(self, answer: Answer, said: str) -> Iterator[Message]:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.calls
        ]
        yield {"role": "assistant", "content": answer.text, **({"tool_calls": calls} if calls else {})}
        for call in answer.calls:
            yield {"role": "tool", "tool_call_id": call.id, "content": said}
        if not calls:
            yield {"role": "user", "content": said}

    def refusal(self, document: Message) -> str:
        error = document["error"]
        if (error["type"], error["code"]) != ("insufficient_quota", "insufficient_quota"):
            raise ValueError(error)
        return str(error["message"])


class Anthropic:
    """Messages."""

    name = "anthropic"
    path = "/v1/messages"
    session_header = "x-claude-code-session-id"

    def headers(self, key: str) -> dict[str, str]:
        return {"content-type": "application/json", "x-api-key": key, "anthropic-version": "2023-06-01"}

    def body(self, model: str, messages: list[Message], cap: int, *, stream: bool, tools: bool) -> Message:
        body: Message = {"model": model, "messages": messages, "max_tokens": cap, "stream": stream}
        if tools:
            body["tools"] = [{"name": TOOL, "description": _DESCRIPTION, "input_schema": _PARAMETERS}]
        return body

    def whole(self, document: Message) -> Answer:
        answer = Answer("".join(block["text"] for block in document["content"] if block["type"] == "text"))
        self._count(document["usage"], answer)
        return answer

    def event(self, document: Message, answer: Answer) -> bool:
        kind = document["type"]
        if kind == "message_start":
            self._count(document["message"]["usage"], answer)
        elif kind == "message_delta":
            answer.output_tokens = document["usage"]["output_tokens"]
        elif kind == "content_block_start" and document["content_block"]["type"] == "tool_use":
            answer.calls.append(Call(document["content_block"]["id"], document["content_block"]["name"]))
        elif kind == "content_block_delta":
            delta = document["delta"]
            answer.text += delta.get("text", "")
            if "partial_json" in delta:
                answer.calls[-1].arguments += delta["partial_json"]
            return True
        return False

    def _count(self, usage: Message, answer: Answer) -> None:
        cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
        answer.prompt_tokens, answer.output_tokens = usage["input_tokens"] + cached, usage["output_tokens"]

    def ends(self, data: bytes) -> bool:
        return b'"message_stop"' in data and json.loads(data)["type"] == "message_stop"

    def next(self, answer: Answer, said: str) -> Iterator[Message]:
        blocks: list[Message] = [{"type": "text", "text": answer.text}] if answer.text else []
        for call in answer.calls:
            called = json.loads(call.arguments or "{}")
            blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": called})
        yield {"role": "assistant", "content": blocks}
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": said} for call in answer.calls]
        yield {"role": "user", "content": results or said}

    def refusal(self, document: Message) -> str:
        if (document["type"], document["error"]["type"]) != ("error", "billing_error"):
            raise ValueError(document)
        return str(document["error"]["message"])


DIALECTS: Final[dict[str, Dialect]] = {dialect.name: dialect for dialect in (OpenAI(), Anthropic())}


T = TypeVar("T")


def _read(read: Callable[[Message], T], body: bytes, what: str) -> T:
    try:
        return read(json.loads(body))
    except (KeyError, IndexError, TypeError, ValueError):
        raise Wrong(f"it is no {what}: {body[:300]!r}") from None


def read_whole(dialect: Dialect, body: bytes) -> Answer:
    """Raises Wrong where it is no answer of this API, or says nothing."""
    answer = _read(dialect.whole, body, "answer")
    if not answer.text or not answer.output_tokens:
        raise Wrong(f"it says nothing: {body[:300]!r}")
    return answer


def read_refusal(dialect: Dialect, body: bytes) -> str:
    """The message of a 402. Raises Wrong where it is not how this API says that money is spent."""
    return _read(dialect.refusal, body, "refusal")


class Stream:
    """A streamed answer as its lines come; times in seconds of the caller's clock."""

    def __init__(self, dialect: Dialect, began: float) -> None:
        self._dialect = dialect
        self._began = self._last = began
        self.answer = Answer()
        self.is_complete = False
        self.first_token: float | None = None
        """From the request to the first output."""
        self.longest_gap = 0.0
        """Between two pieces of output."""

    def line(self, line: bytes, now: float) -> None:
        """Takes a line. Raises Wrong where it is an error, or no event of this API."""
        if not line.startswith(b"data:"):
            return
        data = line[len(b"data:") :].strip()
        if self._dialect.ends(data):
            self.is_complete = True
            return
        if _read(self._event, data, "event"):
            self._note(now)

    def _event(self, document: Message) -> bool:
        if "error" in document:
            raise Wrong(f"the stream ends with an error: {document['error']}")
        return self._dialect.event(document, self.answer)

    def _note(self, now: float) -> None:
        if self.first_token is None:
            self.first_token = now - self._began
        else:
            self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now

    def end(self) -> Answer:
        """The answer. Raises Wrong where the stream broke off, or said nothing."""
        if not self.is_complete:
            raise Wrong(f"the stream breaks off after {len(self.answer.text)} characters")
        if self.first_token is None:
            raise Wrong("the stream says nothing")
        return self.answer
