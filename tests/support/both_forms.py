"""Answers in both forms as providers give them: a stream, and the body that says the same."""

import json
from typing import Any, NamedTuple

Object = dict[str, Any]

FRAME: Object = {
    "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "m-1", "service_tier": "default",
    "system_fingerprint": "fp_1",
}  # fmt: skip
USAGE: Object = {
    "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "prompt_tokens_details": {"cached_tokens": 4}
}  # fmt: skip
DONE = b"data: [DONE]\n\n"


class Pair(NamedTuple):
    """One answer."""

    stream: bytes
    body: Object


def chunks(*parts: Object, frame: Object = FRAME, usage: Object | None = USAGE) -> bytes:
    """A stream of one chunk for each part of a choice, then its usage and its end."""
    told = [{**frame, "choices": [{"index": 0, **part}]} for part in parts]
    if usage is not None:
        told.append({**frame, "choices": [], "usage": usage})
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in told) + DONE


def said(delta: Object, finish: str | None = None, **more: Any) -> Object:
    """A part of a choice."""
    return {"delta": delta, "logprobs": None, "finish_reason": finish, **more}


def fragment(index: int, arguments: str, **more: Any) -> Object:
    """A delta with a piece of a call's arguments; ``more``: what opens the call."""
    name = {"name": more.pop("name")} if "name" in more else {}
    return {"tool_calls": [{"index": index, **more, "function": {**name, "arguments": arguments}}]}


def call(identity: str, name: str, arguments: str) -> Object:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def completion(message: Object, finish: str = "stop", **more: Any) -> Object:
    """A body of one choice."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": finish}
    return {**FRAME, "object": "chat.completion", "choices": [{**choice, **more}], "usage": USAGE}


def token(text: str, logprob: float = -0.25) -> Object:
    """A token's logprobs."""
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}


_FILTERED: Object = {"hate": {"filtered": False, "severity": "safe"}}
_CITED: Object = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "u"}}
_TOKENS = [token("Hé"), token("llo", -1.5), token(" 😀", -0.001)]

CHAT: dict[str, Pair] = {
    "text": Pair(
        chunks(
            said({"role": "assistant", "content": "", "refusal": None}, content_filter_results=_FILTERED),
            said({"content": "Hé"}),
            said({"content": "llo 😀"}),
            said({}, "stop"),
        ),
        completion({"content": "Héllo 😀", "refusal": None}, content_filter_results=_FILTERED),
    ),
    "refusal": Pair(
        chunks(
            said({"role": "assistant", "content": None, "refusal": ""}),
            said({"refusal": "I can"}),
            said({"refusal": "not."}),
            said({}, "stop"),
        ),
        completion({"content": None, "refusal": "I cannot."}),
    ),
    "calls": Pair(
        chunks(
            said({"role": "assistant", "content": None}),
            said(fragment(0, "", id="call_a", type="function", name="f")),
            said(fragment(0, '{"x"')),
            said(fragment(1, "", id="call_b", type="function", name="g")),
            said(fragment(1, "{}")),
            said(fragment(0, ":1}")),
            said({}, "tool_calls"),
        ),
        completion(
            {"content": None, "tool_calls": [call("call_a", "f", '{"x":1}'), call("call_b", "g", "{}")]}, "tool_calls"
        ),
    ),
    "the older call": Pair(
        chunks(
            said({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}),
            said({"function_call": {"arguments": '{"x":'}}),
            said({"function_call": {"arguments": "1}"}}),
            said({}, "function_call"),
        ),
        completion({"content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}}, "function_call"),
    ),
    "reasoning": Pair(
        chunks(
            said({"role": "assistant", "content": None, "reasoning_content": ""}),
            said({"content": None, "reasoning_content": "2 and "}),
            said({"content": None, "reasoning_content": "2"}),
            said({"content": "4", "reasoning_content": None}),
            said({"content": "", "reasoning_content": None}, "stop"),
        ),
        completion({"content": "4", "reasoning_content": "2 and 2"}),
    ),
    "logprobs": Pair(
        chunks(
            said({"role": "assistant", "content": ""}, logprobs={"content": [], "refusal": None}),
            *(said({"content": each["token"]}, logprobs={"content": [each], "refusal": None}) for each in _TOKENS),
            said({}, "stop"),
        ),
        completion({"content": "Héllo 😀"}, logprobs={"content": _TOKENS, "refusal": None}),
    ),
    "a search": Pair(
        chunks(said({"role": "assistant", "content": "He"}), said({"annotations": [_CITED]}), said({}, "stop")),
        completion({"content": "He", "annotations": [_CITED]}),
    ),
}
"""Chat completions; each stream states its usage."""

ANSWER: Object = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": None,
    "stop_sequence": None,
}  # fmt: skip
START: Object = {
    "input_tokens": 9, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0}, "service_tier": "standard",
}  # fmt: skip
TOTAL: Object = {"output_tokens": 12}


def events(*told: Object) -> bytes:
    """Events of messages, whole."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in told)


def streamed(*blocks: tuple[Object, list[Object]], stop: str = "end_turn", total: Object = TOTAL, **more: Any) -> bytes:
    """The stream of a message with blocks, each given as it starts and by its deltas."""
    told: list[Object] = [{"type": "message_start", "message": {**ANSWER, "usage": START}}, {"type": "ping"}]
    for at, (start, deltas) in enumerate(blocks):
        told.append({"type": "content_block_start", "index": at, "content_block": start})
        told += [{"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas]
        told.append({"type": "content_block_stop", "index": at})
    ended = {"stop_reason": stop, "stop_sequence": None, **more}
    return events(*told, {"type": "message_delta", "delta": ended, "usage": total}, {"type": "message_stop"})


def message(*content: Object, stop: str = "end_turn", usage: Object = TOTAL, **more: Any) -> Object:
    """A body."""
    return {**ANSWER, "content": list(content), "stop_reason": stop, "usage": {**START, **usage}, **more}


def written(*pieces: str) -> list[Object]:
    """Deltas of a tool's input."""
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


_QUOTE: Object = {
    "type": "char_location", "cited_text": "sky", "document_index": 0, "document_title": None, "start_char_index": 0,
    "end_char_index": 3, "file_id": None,
}  # fmt: skip
_SEARCH: Object = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "sky"}}
_FOUND: Object = {
    "type": "web_search_tool_result", "tool_use_id": "srv_1",
    "content": [{"type": "web_search_result", "title": "t", "url": "u", "encrypted_content": "e", "page_age": None}],
}  # fmt: skip
_USE: Object = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
_FALLBACK: Object = {
    "type": "fallback", "from": {"model": "claude"}, "to": {"model": "other"},
    "trigger": {"type": "refusal", "category": "cyber"},
}  # fmt: skip
_STEPS = [{"type": "message", "input_tokens": 9, "output_tokens": 12}]

MESSAGES: dict[str, Pair] = {
    "text": Pair(
        streamed(
            ({"type": "text", "text": ""},
             [{"type": "text_delta", "text": "Hé"}, {"type": "text_delta", "text": "llo 😀"}]),
        ),
        message({"type": "text", "text": "Héllo 😀"}),
    ),
    "thinking and a tool": Pair(
        streamed(
            ({"type": "thinking", "thinking": "", "signature": ""},
             [{"type": "thinking_delta", "thinking": "Let"}, {"type": "thinking_delta", "thinking": " me"},
              {"type": "signature_delta", "signature": "c2ln"}]),
            ({"type": "redacted_thinking", "data": "eA=="}, []),
            (_USE, written("", '{"a": [1.50', ', {"b": "\\u00e9"}]}')),
            ({**_USE, "id": "toolu_2"}, written("")),
            stop="tool_use",
        ),
        message(
            {"type": "thinking", "thinking": "Let me", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "eA=="},
            {**_USE, "input": {"a": [1.50, {"b": "é"}]}},
            {**_USE, "id": "toolu_2"},
            stop="tool_use",
        ),
    ),
    "a search": Pair(
        streamed(
            ({**_SEARCH, "input": {}}, written("", '{"query"', ':"sky"}')),
            (_FOUND, []),
            ({"type": "text", "text": "", "citations": []},
             [{"type": "text_delta", "text": "The sky"}, {"type": "citations_delta", "citation": _QUOTE}]),
            total={**TOTAL, "server_tool_use": {"web_search_requests": 1}, "input_tokens": 99},
            container=None,
        ),
        message(
            _SEARCH, _FOUND, {"type": "text", "text": "The sky", "citations": [_QUOTE]},
            usage={**TOTAL, "server_tool_use": {"web_search_requests": 1}, "input_tokens": 99}, container=None,
        ),
    ),
    "a stop sequence": Pair(
        streamed(stop="stop_sequence", stop_sequence="END"), message(stop="stop_sequence", stop_sequence="END")
    ),
    "a refusal": Pair(
        streamed(stop="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": None}),
        message(stop="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": None}),
    ),
    "another model": Pair(
        streamed((_FALLBACK, []), total={**TOTAL, "iterations": _STEPS}),
        message(_FALLBACK, usage={**TOTAL, "iterations": _STEPS}, model="other"),
    ),
    "a compaction": Pair(
        streamed(
            ({"type": "compaction", "content": None, "encrypted_content": None},
             [{"type": "compaction_delta", "content": "so far", "encrypted_content": "e"}]),
            stop="compaction",
        ),
        message({"type": "compaction", "content": "so far", "encrypted_content": "e"}, stop="compaction"),
    ),
}  # fmt: skip
"""Anthropic's messages."""
