"""A chat completion in its other form: chunks to one body, one body to chunks.

Texts, reasoning, refusals, tool calls, annotations, logprobs and usage are converted. Audio is not, nor is anything of
a message that is not named here: pieces of it need not be joined by writing one after the other. What stands beside
the choices, and beside a choice's message, is kept in the first chunk, from which SDKs take it.
"""

from collections.abc import Iterator
from typing import Any, Final

from fastgate.dialects import sse
from fastgate.dialects.forms import (
    PIECE,
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
    or_none,
    picked,
    same,
    says,
    text,
    within_bounds,
)

_WHOLE: Final = "chat.completion"
_CHUNK: Final = "chat.completion.chunk"
_DONE: Final = b"[DONE]"

_FRAME: Final = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
"""What every chunk has."""
_LATEST: Final = ("service_tier", "system_fingerprint")
"""What is not known from the first chunk on."""
_TEXTS: Final = ("reasoning", "reasoning_content", "content", "refusal")
_CALLS: Final = {"function": "arguments", "custom": "input"}
"""Kinds of tool calls, and the text of each that comes in pieces."""
_MESSAGE: Final = (*_TEXTS, "role", "tool_calls", "function_call", "annotations")


@or_none
def answer_of(events: bytes, usage: bytes | None = None) -> bytes:
    """The body that a stream's answer would have had; ``None`` for what is unfit.

    ``usage``: JSON text of what the answer used, for a stream that does not say so; a body always would.
    """
    body: Object = {}
    choices: dict[int, _Choice] = {}
    used: Object = {} if usage is None else decode(usage)
    for chunk in _chunks(events):
        for name, value in chunk.items():
            if name == "choices":
                for part in listed(value):
                    choices.setdefault(index(mapping(part).get("index")), _Choice()).add(part)
            elif name == "usage":
                used = mapping(value) if says(value) else used
            elif name == "x_groq" and isinstance(value, dict):  # Groq's own id, and on the last chunk the usage
                used = mapping(value.pop("usage", None) or used)
                _add(body, name, value)
            else:
                _add(body, name, value)
    if not choices or sorted(choices) != list(range(len(choices))) or not used:
        raise Unfit("a choice is missing, or the usage")
    wholes = [choices[at].whole() for at in range(len(choices))]
    return encode({**body, "object": _WHOLE, "choices": wholes, "usage": used})


def _chunks(events: bytes) -> Iterator[Object]:
    """The chunks of a stream that came to its end."""
    done = False
    for name, data in sse.split(events):
        if done or name not in (b"", b"message"):
            raise Unfit("an event that is no chunk")
        done = data == _DONE
        if not done:
            yield decode(data)
    if not done:
        raise Unfit("no end")


def _add(body: Object, name: str, value: Any) -> None:
    """Takes what a chunk has beside choices and usage; Azure's first chunk has most of it empty."""
    if name == "object":
        if value not in (_CHUNK, "", None):
            raise Unfit("no chunk")
        body[name] = _WHOLE
    elif name == "created":
        body[name] = body.get(name) or value
    elif name in _LATEST:
        if says(value) or body.get(name) is None:
            body[name] = value
    elif name == "error" and says(value):
        raise Unfit("an error")
    elif name != "obfuscation":  # which only hides how long pieces are
        same(body, name, value)


class _Choice:
    """One choice, put together from its parts of the chunks."""

    def __init__(self) -> None:
        self._beside: Object = {}
        self._message = Grown(frozenset(_TEXTS))
        self._calls: list[_Call] = []
        self._function_call = Grown(frozenset({"arguments"}))

    def add(self, part: Object) -> None:
        """Takes the next part."""
        for name, value in part.items():
            if name == "delta":
                self._add_delta(mapping(value))
            elif name == "logprobs":
                self._add_logprobs(value)
            elif name == "message":
                raise Unfit("a message beside its pieces")
            elif isinstance(value, str | list) and name != "finish_reason":
                once(self._beside, name, value)
            else:
                same(self._beside, name, value)

    def _add_delta(self, delta: Object) -> None:
        for name, value in delta.items():
            if name not in _MESSAGE and says(value):
                raise Unfit(f"unknown: {name}")
            if name == "tool_calls" and value:
                for fragment in listed(value):
                    self._add_fragment(mapping(fragment))
            elif name == "function_call" and value:
                self._function_call.add(mapping(value))
            elif name == "role":
                same(self._message.members, name, value)
            else:
                self._message.add({name: value})

    def _add_fragment(self, fragment: Object) -> None:
        at = index(fragment.get("index"))
        if at > len(self._calls):
            raise Unfit("a call is missing")
        if at == len(self._calls):
            self._calls.append(_Call())
        self._calls[at].add(fragment)

    def _add_logprobs(self, value: Any) -> None:
        if value is None:
            self._beside.setdefault("logprobs")
            return
        tokens: Object = self._beside.get("logprobs") or {}
        self._beside["logprobs"] = tokens
        for name, more in mapping(value).items():
            if name not in ("content", "refusal"):
                raise Unfit(f"unknown: {name}")
            tokens.setdefault(name)
            if more is not None:
                _words(listed(more))  # or it is no list of tokens
                tokens[name] = tokens[name] or []
                tokens[name] += more

    def whole(self) -> Object:
        """The choice as a body has it."""
        if not text(self._beside.get("finish_reason")):
            raise Unfit("a choice without end")
        message = {"role": "assistant", "content": None, **self._message.whole()}
        if self._calls:
            message["tool_calls"] = [call.whole() for call in self._calls]
        if self._function_call.members:
            message["function_call"] = _called(self._function_call.whole(), "arguments")
        return {"index": self._beside["index"], "message": message, **self._beside}


class _Call:
    """One tool call, put together from its fragments."""

    def __init__(self) -> None:
        self._members: Object = {}
        self._kinds: dict[str, Grown] = {}

    def add(self, fragment: Object) -> None:
        """Takes the next fragment."""
        for name, value in fragment.items():
            if name in _CALLS:
                grown = self._kinds.setdefault(name, Grown(frozenset({_CALLS[name]})))
                grown.add(mapping(value))
            elif name != "index":
                same(self._members, name, value)

    def whole(self) -> Object:
        """The call as a body has it."""
        kind = _kind({**self._members, **self._kinds})
        return {**self._members, kind: _called(self._kinds[kind].whole(), _CALLS[kind])}


def _kind(call: Object) -> str:
    """Of which kind a tool call is, by its type and by its members."""
    [kind] = [name for name in _CALLS if name in call]
    if call.get("type", kind) != kind:
        raise Unfit("a call of another kind")
    return kind


def _called(called: Object, grows: str) -> Object:
    """A function or custom tool with its arguments, checked for both."""
    name, _ = text(called.get("name")), text(called.get(grows))
    if not name:
        raise Unfit("a call of nothing")
    return called


@or_none
def events_of(answer: bytes, *, include_usage: bool) -> list[bytes]:
    """The events that would have streamed a body, whole each, ``[DONE]`` included; ``None`` for what is unfit."""
    body = decode(answer)
    used = mapping(body.get("usage"))
    if body.get("object") != _WHOLE or not body.get("choices") or says(body.get("error")) or "obfuscation" in body:
        raise Unfit("no completion")
    frame = {**picked(body, _FRAME), "object": _CHUNK}
    beside = {name: value for name, value in body.items() if name not in (*_FRAME, "choices", "usage")}
    unstated: Object = {"usage": None} if include_usage else {}
    cuts = [_cut(mapping(choice), at) for at, choice in enumerate(listed(body["choices"]))]
    parts = [opening for opening, *_ in cuts] + [part for _, *rest in cuts for part in rest]
    chunks: list[Object] = [{**frame, "choices": [part], **unstated} for part in parts]
    chunks[0].update(beside)
    if include_usage and used:
        chunks.append({**frame, "choices": [], "usage": used})
    return [*within_bounds(sse.event(encode(chunk)) for chunk in chunks), sse.event(_DONE)]


def _cut(choice: Object, at: int) -> list[Object]:
    """A choice's parts of the chunks: what opens it, its pieces, what ends it."""
    if index(choice.get("index")) != at or "delta" in choice or not choice.get("message"):
        raise Unfit("no whole choice")
    if not text(choice.get("finish_reason")):
        raise Unfit("a choice without end")
    message, logprobs = mapping(choice.get("message")), choice.get("logprobs")
    blank = None if logprobs is None else _blank(mapping(logprobs))
    silent = {"logprobs": None} if "logprobs" in choice else {}
    beside = {name: value for name, value in choice.items() if name not in ("index", "message", "logprobs")}
    opening = {"index": at, "delta": _opening(message), **beside, "finish_reason": None}
    parts = [{**opening, "logprobs": blank} if silent else opening]
    for delta, tokens in _deltas(message, mapping(logprobs)):
        part: Object = {"index": at, "delta": delta, **silent, "finish_reason": None}
        parts.append({**part, "logprobs": {**(blank or {}), **tokens}} if tokens else part)
    closing = {"annotations": message["annotations"]} if says(message.get("annotations")) else {}
    return [*parts, {"index": at, "delta": closing, **silent, "finish_reason": choice["finish_reason"]}]


def _blank(logprobs: Object) -> Object:
    """Logprobs as they begin: each list empty, or null for good."""
    if not logprobs.keys() <= {"content", "refusal"}:
        raise Unfit("logprobs of another kind")
    return {name: None if tokens is None else [] for name, tokens in logprobs.items()}


def _opening(message: Object) -> Object:
    """The first delta: the role, each text as empty or null as it begins, and all that says nothing."""
    delta: Object = {"role": "assistant"}
    for name, value in message.items():
        if name not in _MESSAGE and says(value):
            raise Unfit(f"unknown: {name}")
        if name in _TEXTS:
            delta[name] = None if value is None else text(value)[:0]
        elif name == "role" or not says(value):
            delta[name] = value
    return delta


def _deltas(message: Object, logprobs: Object) -> Iterator[tuple[Object, Object]]:
    """The deltas between the first and the last one, each with its part of the logprobs."""
    for name in _TEXTS:
        for piece, tokens in _pieces(message.get(name) or "", listed(logprobs.get(name))):
            yield {name: piece} if piece else {}, {name: tokens} if tokens else {}
    calls = message.get("tool_calls")
    for at, call in enumerate(listed(calls) if says(calls) else []):
        for fragment in _fragments(mapping(call), at):
            yield {"tool_calls": [fragment]}, {}
    if says(message.get("function_call")):
        for called in _grown(mapping(message["function_call"]), "arguments"):
            yield {"function_call": called}, {}


def _words(tokens: list[Any]) -> list[str]:
    """The texts of tokens."""
    return [text(mapping(token).get("token")) for token in tokens]


def _pieces(whole: str, tokens: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """A text in pieces, each with the tokens that it is made of."""
    words = _words(tokens)
    if "".join(words) != whole or not words:  # tokens that end within a character do not spell the text
        for piece in cut(whole) or [""] * bool(tokens):
            yield piece, tokens
            tokens = []
        return
    first = size = 0
    for after, word in enumerate(words, 1):
        size += len(word)
        if size >= PIECE or after == len(words):
            yield "".join(words[first:after]), tokens[first:after]
            first, size = after, 0


def _fragments(call: Object, at: int) -> Iterator[Object]:
    """A tool call as it is streamed: all but its arguments, then these in pieces."""
    kind = _kind(call)
    if call.get("index", at) != at:
        raise Unfit("calls in another order")
    head = {name: value for name, value in call.items() if name not in ("index", kind)}
    for called in _grown(mapping(call[kind]), _CALLS[kind]):
        yield {"index": at, **head, kind: called}
        head = {}


def _grown(called: Object, grows: str) -> Iterator[Object]:
    """An object with its text still empty, then the pieces of that."""
    yield {**_called(called, grows), grows: ""}
    for piece in cut(called[grows]):
        yield {grows: piece}


@or_none
def with_usage(events: bytes, usage: bytes | None) -> bytes:
    """A stream that states its usage: as it is, or with a chunk before its end; ``None`` for what is unfit."""
    chunks = list(_chunks(events))
    if any(says(chunk.get("usage")) for chunk in chunks):
        return events
    at = events.rfind(b"data:")
    before, end = events[:at], events[at:].removeprefix(b"data:").strip()
    if usage is None or not chunks or end != _DONE or not before.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
        raise Unfit("no usage, or no place for it")
    frame = picked(chunks[-1], _FRAME)
    return before + sse.event(encode({**frame, "choices": [], "usage": decode(usage)})) + events[at:]
