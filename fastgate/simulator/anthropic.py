"""The Anthropic messages API: ``/v1/messages``, ``/v1/messages/count_tokens`` and ``/v1/models``."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fastgate.simulator import anthropic_usage
from fastgate.simulator.answer import Answer
from fastgate.simulator.ask import Ask, Refusal, decode_body, raw_text
from fastgate.simulator.bill import Charge
from fastgate.simulator.dialect import Stream
from fastgate.simulator.prices import Price
from fastgate.simulator.tokens import Prompt

name = "anthropic"
request_id_header = b"request-id"

FINISH: Final = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}
NO_SAMPLING_SINCE: Final = b"2026-10-21"
ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    tool_use_id: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")
    content: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block]


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    system: str | list[_Block] | None = None
    tools: msgspec.Raw = msgspec.Raw(b"")
    stream: bool | None = None
    thinking: _Thinking | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    temperature: msgspec.Raw = msgspec.Raw(b"")
    top_p: msgspec.Raw = msgspec.Raw(b"")
    top_k: msgspec.Raw = msgspec.Raw(b"")


_DECODER = msgspec.json.Decoder(_Body)
_CONTENT = msgspec.json.Decoder(str | list[_Block] | None)
_encode = msgspec.json.Encoder().encode


def read(body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
    """The request in neutral form."""
    asked = decode_body(_DECODER, body)
    _check_version(asked, headers.get(b"anthropic-version"))
    if asked.max_tokens is None or asked.max_tokens < 0:
        raise Refusal(400, "max_tokens: Field required")
    ask = _read(asked)
    thinking = asked.thinking
    if thinking is not None and thinking.type != "disabled":
        ask.thinking = thinking.budget_tokens
        ask.shows_thinking = True
    return ask


def count_tokens(body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
    """A request to count tokens, in neutral form: as a request, but that nothing caps it."""
    asked = decode_body(_DECODER, body)
    _check_version(asked, headers.get(b"anthropic-version"))
    return _read(asked)


def counted(tokens: int) -> bytes:
    """The answer to a request to count tokens."""
    return _encode({"input_tokens": tokens})


def _check_version(asked: _Body, version: bytes | None) -> None:
    if version is None:
        raise Refusal(400, "anthropic-version: header is required")
    if version >= NO_SAMPLING_SINCE and (asked.temperature or asked.top_p or asked.top_k):
        raise Refusal(400, f"temperature, top_p and top_k are not supported in version {version.decode('latin-1')}")


def _read(asked: _Body) -> Ask:
    if not asked.messages:
        raise Refusal(400, "messages: at least one message is required")
    tools = raw_text(asked.tools)
    prompt = Prompt([tools] if tools else [], [], messages=len(asked.messages), has_tools=bool(tools))
    if asked.system is not None:
        prompt.messages += 1
        _add(prompt, asked.system)
    for message in asked.messages:
        prompt.names.append(message.role)
        _add(prompt, message.content)
    last = asked.messages[-1]
    return Ask(
        model=asked.model,
        prompt=prompt,
        last_user=_last_text(last.content) if last.role == "user" else "",
        stream=bool(asked.stream),
        include_usage=True,
        cap=asked.max_tokens,
        offers_tools=tools not in {"", "null", "[]"},
        thinking=0,
        long_writes=True,
        tier=asked.service_tier,
        speed=asked.speed,
        geo=asked.inference_geo,
    )


def _add(prompt: Prompt, content: str | list[_Block] | None) -> None:
    if content is None or isinstance(content, str):
        prompt.texts.append(content or "")
        return
    for block in content:
        prompt.texts.append(block.text or block.thinking or raw_text(block.input))
        prompt.names += (block.name, block.id, block.tool_use_id)
        prompt.images += block.type == "image"
        if block.type == "tool_result" and block.content:
            _add(prompt, decode_body(_CONTENT, bytes(block.content)))


def _last_text(content: str | list[_Block]) -> str:
    if isinstance(content, str):
        return content
    return next((block.text for block in reversed(content) if block.type == "text"), "")


def whole(answer: Answer) -> bytes:
    """The body of a ``message``."""
    body = _message(answer, _blocks(answer), _finish(answer), anthropic_usage.stated(answer))
    return _encode(body)


def _message(
    answer: Answer, content: list[dict[str, Any]], finish: str | None, usage: dict[str, Any] | None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": f"msg_{answer.number:016x}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": finish,
        "stop_sequence": None,
    }
    if answer.script.stop_details is not None and finish is not None:
        body["stop_details"] = answer.script.stop_details
    if usage is not None:
        body["usage"] = usage
    return body


def _finish(answer: Answer) -> str:
    return answer.script.finish or FINISH[answer.finish]


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": _signature(answer)})
    text = "".join(answer.script.chunks) if isinstance(answer.script.chunks, list) else answer.texts[0]
    if text:
        blocks.append({"type": "text", "text": text})
    for at in range(len(answer.script.tools)):
        arguments = answer.script.tools[at].arguments
        shown = arguments if isinstance(arguments, dict) else {"text": arguments}
        blocks.append({**_tool_use(answer, at), "input": shown})
    return blocks


def _tool_use(answer: Answer, at: int) -> dict[str, Any]:
    call = answer.script.tools[at]
    identity = call.id or f"toolu_{answer.number:016x}{at:02d}"
    return {"type": "tool_use", "id": identity, "name": call.name, "input": {}}


def _signature(answer: Answer) -> str:
    return f"sim{answer.number:016x}"


def stream(answer: Answer) -> Stream:
    """The events of a message, from ``message_start`` to ``message_stop``."""
    start = _message(answer, [], None, anthropic_usage.at_start(answer))
    pieces: list[bytes] = []
    index = 0
    if answer.thinking:
        deltas = [
            {"type": "thinking_delta", "thinking": answer.thinking},
            {"type": "signature_delta", "signature": _signature(answer)},
        ]
        pieces.append(b"".join(_block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas)))
        index += 1
    silent = len(pieces)
    texts = answer.pieces()[0]
    if texts:
        pieces += _block(index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in texts])
        index += 1
    for at, call in enumerate(answer.script.tools):
        arguments = call.text()
        half = len(arguments) // 2
        parts = ("", arguments[:half], arguments[half:])
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        pieces += _block(index, _tool_use(answer, at), deltas)
        index += 1
    prologue = _event("message_start", {"type": "message_start", "message": start}) + PING
    return Stream(prologue, pieces, _end(answer), silent)


def _block(index: int, skeleton: dict[str, Any], deltas: list[dict[str, Any]]) -> list[bytes]:
    """One content block: an event for each delta, the start with the first of them, the stop with the last."""
    events = [
        _event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
        for delta in deltas
    ]
    start = {"type": "content_block_start", "index": index, "content_block": skeleton}
    events[0] = _event("content_block_start", start) + events[0]
    events[-1] += _event("content_block_stop", {"type": "content_block_stop", "index": index})
    return events


def _end(answer: Answer) -> bytes:
    """``message_delta`` (two of them where usage is scripted to come on every one) and ``message_stop``."""
    delta: dict[str, Any] = {"stop_reason": _finish(answer), "stop_sequence": None}
    if answer.script.stop_details is not None:
        delta["stop_details"] = answer.script.stop_details
    events = [{"type": "message_delta", "delta": delta}]
    usage = anthropic_usage.at_end(answer)
    if usage is not None:
        events[0]["usage"] = usage
    if answer.script.usage_on == "every":
        events *= 2
    body = b"".join(_event("message_delta", event) for event in events)
    return body + _event("message_stop", {"type": "message_stop"})


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode(data) + b"\n\n"


def charges(answer: Answer, prices: Mapping[str, Price]) -> list[Charge]:
    """What the complete answer is billed."""
    return anthropic_usage.charges(answer, prices)


def error(status: int, message: str, code: str | None, request_id: str) -> bytes:
    """The body of an error."""
    kind = ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return _encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})


def models(names: list[str]) -> bytes:
    """The list of models."""
    return _encode(
        {
            "data": [_model(each) for each in names],
            "has_more": False,
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }
    )


def model(name: str) -> bytes:
    """One model."""
    return _encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2023-11-14T22:13:20Z"}
