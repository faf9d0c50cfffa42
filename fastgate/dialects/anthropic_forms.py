"""An Anthropic message in its other form: the events of a stream to one body, one body to events.

Blocks that are not named here, and deltas of kinds that their block does not have, are not converted. Usage is in both
forms: what begins a stream states the input, what ends it the totals, each of which replaces the earlier one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fastgate.dialects import sse
from fastgate.dialects.forms import (
    Grown,
    Object,
    Unfit,
    cut,
    decode,
    encode,
    index,
    listed,
    mapping,
    once,
    only,
    or_none,
    picked,
    says,
    text,
    within_bounds,
)

_FALLBACK: Final = "fallback"
_CALLS: Final = ("tool_use", "server_tool_use", "mcp_tool_use")
_COMPLETE: Final = (
    "redacted_thinking",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "mcp_tool_result",
    "mcp_tool_listing",
    "advisor_tool_result",
    "container_upload",
    _FALLBACK,
)
"""Blocks that a stream starts as they are, and sends no deltas of."""
_DELTAS: Final[Mapping[str, Mapping[str, str]]] = {
    "text": {"text_delta": "text", "citations_delta": "citation"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "compaction": {"compaction_delta": "content"},
    **{kind: {"input_json_delta": "partial_json"} for kind in _CALLS},
    **{kind: {} for kind in _COMPLETE},
}
"""Blocks by type: the types of their deltas, and what each of these brings."""
_BESIDE: Final = {"thinking_delta": "estimated_tokens", "compaction_delta": "encrypted_content"}
"""What else deltas may have. The estimate is shown while nothing else is, and is no part of the message."""

_AT_THE_END: Final = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Members of a message that its end brings; they are null until then."""
_REPLACED: Final = ("context_management", "input_transformations")
"""Members of a message that may come beside ``delta`` at its end."""
_AT_THE_START: Final = ("cache_creation", "service_tier", "inference_geo", "speed")
"""Members of usage that only the start of a stream states."""


@or_none
def answer_of(events: bytes) -> bytes:
    """The body that a stream's message would have had; ``None`` for what is unfit."""
    message: _Message | None = None
    for name, data in sse.split(events):
        event = decode(data)
        kind = event.pop("type", None)
        if name.decode() != kind or (message is not None and message.over):
            raise Unfit("an event that is not named, or after the end")
        if kind == "message_start":
            if message is not None:
                raise Unfit("a second message")
            message = _Message(event)
        elif kind != "ping":
            if message is None or kind not in _EVENTS:
                raise Unfit("unknown, or before the start")
            _EVENTS[kind](message, event)
    if message is None:
        raise Unfit("no message")
    return encode(message.whole())


class _Message:
    """A message, put together from its events."""

    def __init__(self, event: Object) -> None:
        only(event, "message")
        self._body = mapping(event.get("message"))
        self._usage = dict(mapping(self._body.get("usage")))
        self._blocks: list[_Block] = []
        self._total = False
        self.over = False
        if self._body.get("type") != "message" or says(self._body.get("content")):
            raise Unfit("no message at its start")

    def start_block(self, event: Object) -> None:
        """A further block begins."""
        only(event, "index", "content_block")
        if index(event.get("index")) != len(self._blocks):
            raise Unfit("a block is missing")
        block = mapping(event.get("content_block"))
        if block.get("type") == _FALLBACK:  # a body names the model that served
            self._body["model"] = _served(block)
        self._blocks.append(_Block(block))

    def add(self, event: Object) -> None:
        """A piece of a block."""
        only(event, "index", "delta")
        self._block(event).add(mapping(event.get("delta")))

    def stop_block(self, event: Object) -> None:
        """A block ends."""
        only(event, "index")
        self._block(event).stop()

    def _block(self, event: Object) -> "_Block":
        at = index(event.get("index"))
        if at >= len(self._blocks):
            raise Unfit("no such block")
        return self._blocks[at]

    def end(self, event: Object) -> None:
        """What is known in the end, in one event or in several."""
        only(event, "delta", "usage", *_REPLACED)
        delta = mapping(event.get("delta"))
        only(delta, *_AT_THE_END)
        _replace(self._body, {**delta, **picked(event, _REPLACED)})
        _replace(self._usage, mapping(event.get("usage")))
        self._total = self._total or mapping(event.get("usage")).get("output_tokens") is not None

    def stop(self, event: Object) -> None:
        """The stream is over."""
        only(event)
        self.over = True

    def whole(self) -> Object:
        """The message as a body has it."""
        if not self.over or not self._total or not says(self._body.get("stop_reason")):
            raise Unfit("no end")
        return {**self._body, "content": [block.whole() for block in self._blocks], "usage": self._usage}


_EVENTS: Final[Mapping[str, Callable[[_Message, Object], None]]] = {
    "content_block_start": _Message.start_block,
    "content_block_delta": _Message.add,
    "content_block_stop": _Message.stop_block,
    "message_delta": _Message.end,
    "message_stop": _Message.stop,
}


def _served(block: Object) -> str:
    """The model that took over."""
    return text(mapping(block.get("to")).get("model"))


def _replace(target: Object, later: Object) -> None:
    """Sets what came later; null leaves what is there."""
    target.update({name: value for name, value in later.items() if value is not None or name not in target})


class _Block:
    """A block of a message, put together from its start and its deltas."""

    def __init__(self, start: Object) -> None:
        kind = text(start.get("type"))
        if kind not in _DELTAS:
            raise Unfit(f"unknown: {kind}")
        self._kinds = _DELTAS[kind]
        self._grown = Grown(frozenset({"text", "thinking"} & {kind}), start)
        self._input: list[str] = []
        self._open = True

    def add(self, delta: Object) -> None:
        """Takes the next delta."""
        kind = text(delta.pop("type", None))
        if not self._open or kind not in self._kinds:
            raise Unfit("a delta of no open block")
        name = self._kinds[kind]
        if name not in delta:
            raise Unfit("a delta without what it brings")
        only(delta, name, _BESIDE.get(kind, name))
        if kind == "input_json_delta":
            self._input.append(text(delta[name]))
        elif kind == "citations_delta":
            members = self._grown.members
            members["citations"] = [*listed(members.get("citations")), delta[name]]
        else:
            delta.pop("estimated_tokens", None)
            self._grown.add(delta)

    def stop(self) -> None:
        """Nothing follows."""
        if not self._open:
            raise Unfit("ended twice")
        self._open = False

    def whole(self) -> Object:
        """The block as a body has it."""
        if self._open:
            raise Unfit("a block without end")
        written = "".join(self._input)
        if written:
            once(self._grown.members, "input", decode(written.encode()))
        block = self._grown.whole()
        _cut(block)  # or it lacks what every block of its kind has
        return block


@or_none
def events_of(answer: bytes) -> list[bytes]:
    """The events that would have streamed a body, whole each; ``None`` for what is unfit."""
    body = decode(answer)
    usage, blocks = mapping(body.get("usage")), [mapping(block) for block in listed(body.get("content"))]
    if body.get("type") != "message" or body.get("content") is None or not says(body.get("stop_reason")):
        raise Unfit("no whole message")
    if usage.get("output_tokens") is None:
        raise Unfit("no usage")
    handed_over = [block for block in blocks if block.get("type") == _FALLBACK]
    if handed_over and _served(handed_over[-1]) != body.get("model"):
        raise Unfit("another model than that which took over")
    return [
        _event("message_start", message=_start(body, usage)),
        *within_bounds(event for at, block in enumerate(blocks) for event in _block_events(block, at)),
        _event("message_delta", **_end(body, usage)),
        _event("message_stop"),
    ]


def _event(kind: str, **members: Any) -> bytes:
    return sse.event(encode({"type": kind, **members}), kind)


def _start(body: Object, usage: Object) -> Object:
    """The message as it begins: without content and end, its output not yet counted."""
    later: Object = dict.fromkeys(picked(body, _AT_THE_END))
    begun = {name: value for name, value in usage.items() if name != "output_tokens_details"}
    return {**body, **later, "content": [], "usage": {**begun, "output_tokens": 0}}


def _end(body: Object, usage: Object) -> Object:
    """What ``message_delta`` brings; what the start has for good is in there, too, for clients of either kind."""
    delta = picked(body, _AT_THE_END)
    totals = {name: value for name, value in usage.items() if name not in _AT_THE_START}
    managed = body.get("context_management")
    return {"delta": delta, **({"context_management": managed} if says(managed) else {}), "usage": totals}


def _block_events(block: Object, at: int) -> Iterator[bytes]:
    """The events of one block."""
    start, deltas = _cut(block)
    yield _event("content_block_start", index=at, content_block=start)
    for delta in deltas:
        yield _event("content_block_delta", index=at, delta=delta)
    yield _event("content_block_stop", index=at)


def _cut(block: Object) -> tuple[Object, list[Object]]:
    """A block as it begins, and its deltas."""
    kind = text(block.get("type"))
    if kind in _CALLS:
        if block.get("input") is None:
            raise Unfit("a call without input")
        written = encode(mapping(block["input"])).decode()
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *cut(written))]
        return {**block, "input": {}}, deltas
    if kind == "text":
        return _cut_text(block)
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in cut(text(block.get("thinking")))]
        start = {**block, "thinking": ""}
        if "signature" in block:
            start["signature"] = ""
            deltas.append({"type": "signature_delta", "signature": text(block["signature"])})
        return start, deltas
    if kind == "compaction" and "content" in block:
        brought = picked(block, ("content", "encrypted_content"))
        return {**block, **dict.fromkeys(brought)}, [{"type": "compaction_delta", **brought}]
    if kind not in _COMPLETE:
        raise Unfit(f"unknown: {kind}")
    return block, []


def _cut_text(block: Object) -> tuple[Object, list[Object]]:
    start = {**block, "text": ""}
    deltas: list[Object] = [{"type": "text_delta", "text": piece} for piece in cut(text(block.get("text")))]
    citations = listed(block.get("citations"))
    if citations:
        start["citations"] = []
        deltas += [{"type": "citations_delta", "citation": citation} for citation in citations]
    return start, deltas
