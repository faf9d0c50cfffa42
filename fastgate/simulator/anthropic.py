"""The Anthropic messages API: ``/v1/messages``, ``/v1/messages/count_tokens`` and ``/v1/models``."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fastgate.simulator import anthropic_ask, anthropic_usage
from fastgate.simulator.answer import Answer
from fastgate.simulator.bill import Charge
from fastgate.simulator.dialect import Stream
from fastgate.simulator.prices import Price

name = "anthropic"
request_id_header = b"request-id"

FINISH: Final = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}
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

# Stands for a piece's text in an event that is encoded once for all pieces.
_MARK: Final = "\N{OBJECT REPLACEMENT CHARACTER}the text of a piece"

_encode = msgspec.json.Encoder().encode

read = anthropic_ask.read
count_tokens = anthropic_ask.count_tokens


def counted(tokens: int) -> bytes:
    """The answer to a request to count tokens."""
    return _encode({"input_tokens": tokens})


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
        pieces += _text_block(index, texts)
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


def _text_block(index: int, texts: list[str]) -> list[bytes]:
    """A block of text, whose deltas differ in their text alone."""
    around = _delta(index, {"type": "text_delta", "text": _MARK}).split(_encode(_MARK))
    return _framed(index, {"type": "text", "text": ""}, [_encode(text).join(around) for text in texts])


def _block(index: int, skeleton: dict[str, Any], deltas: list[dict[str, Any]]) -> list[bytes]:
    """A block of any kind."""
    return _framed(index, skeleton, [_delta(index, delta) for delta in deltas])


def _framed(index: int, skeleton: dict[str, Any], deltas: list[bytes]) -> list[bytes]:
    """The events of a block, one piece for each delta: its start goes with the first, its stop with the last."""
    start = {"type": "content_block_start", "index": index, "content_block": skeleton}
    deltas[0] = _event("content_block_start", start) + deltas[0]
    deltas[-1] += _event("content_block_stop", {"type": "content_block_stop", "index": index})
    return deltas


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})


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
