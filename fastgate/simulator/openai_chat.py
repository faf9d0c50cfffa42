"""The OpenAI chat API: ``/v1/chat/completions`` and ``/v1/models``."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from fastgate.simulator.answer import Answer
from fastgate.simulator.ask import Ask, Refusal, decode_body, raw_text
from fastgate.simulator.bill import Charge
from fastgate.simulator.dialect import Stream, billed_model, count
from fastgate.simulator.prices import Counts, Price
from fastgate.simulator.script import find_script
from fastgate.simulator.tokens import Prompt

name = "openai-chat"
request_id_header = b"x-request-id"

FINISH: Final = {"stop": "stop", "length": "length", "tools": "tool_calls"}
TIERS: Final = {"flex": "flex", "priority": "priority", "fast": "priority", "batch": "batch", "ultrafast": "ultrafast"}
DONE: Final = b"data: [DONE]\n\n"
ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}
ERROR_CODES: Final = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
FINGERPRINT: Final = "fp_simulator"


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    name: str = ""
    tool_call_id: str = ""
    tool_calls: msgspec.Raw = msgspec.Raw(b"")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    tools: msgspec.Raw = msgspec.Raw(b"")
    service_tier: str | None = None
    reasoning_effort: str | None = None


# Stands for a piece's text in an event that is encoded once for all pieces.
_MARK: Final = "\N{OBJECT REPLACEMENT CHARACTER}the text of a piece"

_DECODER = msgspec.json.Decoder(_Body)
_encode = msgspec.json.Encoder().encode


def read(body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
    """The request in neutral form."""
    asked = decode_body(_DECODER, body)
    if not asked.messages:
        raise Refusal(400, "Invalid 'messages': empty array. Expected an array with minimum length 1.")
    cap = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    choices = 1 if asked.n is None else asked.n
    if (cap is not None and cap < 1) or not 1 <= choices <= 128:
        raise Refusal(400, "Invalid value: the output cap should be at least 1, and n should lie between 1 and 128.")
    tools = raw_text(asked.tools)
    prompt = Prompt([tools] if tools else [], [], messages=len(asked.messages), has_tools=tools not in {"", "null"})
    for message in asked.messages:
        _add(prompt, message)
    script, turn = find_script((message.role, _texts(message.content)) for message in reversed(asked.messages))
    latest = next((message for message in reversed(asked.messages) if message.role == "user"), None)
    return Ask(
        model=asked.model,
        prompt=prompt,
        script=script,
        latest="" if latest is None else next(_texts(latest.content), ""),
        turn=turn,
        stream=bool(asked.stream),
        include_usage=asked.stream_options is not None and bool(asked.stream_options.include_usage),
        cap=cap,
        choices=choices,
        offers_tools=tools not in {"", "null", "[]"},
        thinking=0 if asked.reasoning_effort == "none" else None,
        tier=asked.service_tier,
    )


def _add(prompt: Prompt, message: _Message) -> None:
    prompt.names.append(message.role)
    content = message.content
    if isinstance(content, str):
        prompt.texts.append(content)
    elif content is not None:
        for part in content:
            prompt.texts.append(part.text)
            prompt.images += part.type == "image_url"
    if message.name or message.tool_call_id:
        prompt.names += (message.name, message.tool_call_id)
    calls = raw_text(message.tool_calls)
    if calls:
        prompt.texts.append(calls)


def _texts(content: str | list[_Part] | None) -> Iterator[str]:
    """The texts of a message, the last one first."""
    if isinstance(content, str):
        yield content
    elif content is not None:
        yield from (part.text for part in reversed(content) if part.type == "text")


def whole(answer: Answer) -> bytes:
    """The body of a ``chat.completion``."""
    body: dict[str, Any] = {
        "id": f"chatcmpl-{answer.number:016x}",
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [_choice(answer, index, text) for index, text in enumerate(answer.texts)],
        "usage": _usage(answer),
        "service_tier": tier(answer),
        "system_fingerprint": FINGERPRINT,
    }
    if body["usage"] is None:
        del body["usage"]
    return _encode(body)


def _choice(answer: Answer, index: int, text: str) -> dict[str, Any]:
    calls = answer.script.tools
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["content"] = text or None
        message["tool_calls"] = [_call(answer, index, at) for at in range(len(calls))]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(answer)}


def _call(answer: Answer, choice: int, at: int) -> dict[str, Any]:
    call = answer.script.tools[at]
    identity = call.id or f"call_{answer.number:016x}{choice:02d}{at:02d}"
    return {"id": identity, "type": "function", "function": {"name": call.name, "arguments": call.text()}}


def _finish(answer: Answer) -> str:
    return answer.script.finish or FINISH[answer.finish]


def tier(answer: Answer) -> str:
    """The service tier that the answer states: the one asked for, by its canonical name, unless scripted."""
    asked = answer.script.tier or answer.ask.tier
    if asked is None or asked == "auto":
        return "default"
    return "priority" if asked == "fast" else asked


def _usage(answer: Answer) -> dict[str, Any] | None:
    """The usage as it is reported; None for none."""
    if answer.script.usage is not msgspec.UNSET:
        return answer.script.usage
    return usage_of(answer.counts)


def usage_of(counts: Counts) -> dict[str, Any]:
    """A usage object that states these counts."""
    fresh, read, write, write_1h, output, reasoning, audio_input, audio_output, _ = counts
    prompt = fresh + read + write + write_1h + audio_input
    completion = output + reasoning + audio_output
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_write_tokens": write + write_1h,
            "audio_tokens": audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def charges(answer: Answer, prices: Mapping[str, Price]) -> list[Charge]:
    """What the complete answer is billed: the usage it states, else what was produced."""
    model = billed_model(answer.model, answer.ask.model, prices)
    usage = answer.script.usage
    counts = counts_of(usage) if isinstance(usage, dict) else answer.counts
    return [Charge(model, counts, TIERS.get(tier(answer), "standard"))]


def counts_of(usage: Mapping[str, Any]) -> Counts:
    """Disjoint buckets of a usage object, in which sub-counts lie inside their totals."""
    read = count(usage, "prompt_tokens_details", "cached_tokens")
    write = count(usage, "prompt_tokens_details", "cache_write_tokens")
    audio_input = count(usage, "prompt_tokens_details", "audio_tokens")
    reasoning = count(usage, "completion_tokens_details", "reasoning_tokens")
    audio_output = count(usage, "completion_tokens_details", "audio_tokens")
    fresh = max(count(usage, "prompt_tokens") - read - write - audio_input, 0)
    output = max(count(usage, "completion_tokens") - reasoning - audio_output, 0)
    return (fresh, read, write, 0, output, reasoning, audio_input, audio_output, 0)


def stream(answer: Answer) -> Stream:
    """``chat.completion.chunk`` events: the role, the pieces, the tool calls, the finish, the usage if asked for."""
    return _Chunks(answer).stream()


class _Chunks:
    """Builds the events of one stream."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.usage = _usage(answer) if answer.ask.include_usage else None
        self.frame: dict[str, Any] = {
            "id": f"chatcmpl-{answer.number:016x}",
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.model,
            "service_tier": tier(answer),
            "system_fingerprint": FINGERPRINT,
        }

    def stream(self) -> Stream:
        answer = self.answer
        choices = range(len(answer.texts))
        prologue = b"".join(self._event(at, {"role": "assistant", "content": ""}) for at in choices)
        texts = answer.pieces()
        longest = max((len(pieces) for pieces in texts), default=0)
        around = [self._event(at, {"content": _MARK}).split(_encode(_MARK)) for at in choices]
        pieces = [
            _encode(texts[at][number]).join(around[at])
            for number in range(longest)
            for at in choices
            if number < len(texts[at])
        ]
        for at in choices:
            pieces += self._calls(at)
        last = choices[-1]
        with_usage = answer.script.usage_on != "end"
        ends = [self._event(at, {}, _finish(answer), with_usage and at == last) for at in choices]
        if self.usage is not None and not with_usage:
            ends.append(b"data: " + _encode({**self.frame, "choices": [], "usage": self.usage}) + b"\n\n")
        return Stream(prologue, pieces, b"".join(ends) + DONE)

    def _calls(self, choice: int) -> list[bytes]:
        """Each call: its name, then its arguments in two fragments."""
        pieces = []
        for at in range(len(self.answer.script.tools)):
            call = _call(self.answer, choice, at)
            arguments = call["function"]["arguments"]
            half = len(arguments) // 2
            opened = {"index": at, **call, "function": {"name": call["function"]["name"], "arguments": ""}}
            pieces.append(self._event(choice, {"tool_calls": [opened]}))
            for part in (arguments[:half], arguments[half:]):
                pieces.append(self._event(choice, {"tool_calls": [{"index": at, "function": {"arguments": part}}]}))
        return pieces

    def _event(self, choice: int, delta: dict[str, Any], finish: str | None = None, last: bool = False) -> bytes:
        body = {**self.frame, "choices": [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        if self.answer.ask.include_usage:
            body["usage"] = self.usage if last or self.answer.script.usage_on == "every" else None
        return b"data: " + _encode(body) + b"\n\n"


def error(status: int, message: str, code: str | None, request_id: str) -> bytes:
    """The body of an error."""
    kind = ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = code or ERROR_CODES.get(status)
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def models(names: list[str]) -> bytes:
    """The list of models."""
    return _encode({"object": "list", "data": [_model(each) for each in names]})


def model(name: str) -> bytes:
    """One model."""
    return _encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"}
