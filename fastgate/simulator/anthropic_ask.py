"""Reading a request of the messages API."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from fastgate.simulator.ask import Ask, Refusal, decode_body, raw_text
from fastgate.simulator.script import find_script
from fastgate.simulator.tokens import Prompt

NO_SAMPLING_SINCE: Final = b"2026-10-21"


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


def _check_version(asked: _Body, version: bytes | None) -> None:
    if version is None:
        raise Refusal(400, "anthropic-version: header is required")
    if version >= NO_SAMPLING_SINCE and (asked.temperature or asked.top_p or asked.top_k):
        raise Refusal(400, f"temperature, top_p and top_k are not supported in version {version.decode('latin-1')}")


def _read(asked: _Body) -> Ask:
    if not asked.messages:
        raise Refusal(400, "messages: at least one message is required")
    tools = raw_text(asked.tools)
    prompt = Prompt([tools] if tools else [], [], messages=len(asked.messages), has_tools=tools not in {"", "null"})
    if asked.system is not None:
        prompt.messages += 1
        _add(prompt, asked.system)
    for message in asked.messages:
        prompt.names.append(message.role)
        _add(prompt, message.content)
    script, turn = find_script((message.role, _texts(message.content)) for message in reversed(asked.messages))
    latest = next((message for message in reversed(asked.messages) if message.role == "user"), None)
    return Ask(
        model=asked.model,
        prompt=prompt,
        script=script,
        latest="" if latest is None else next(_texts(latest.content), ""),
        turn=turn,
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


def _texts(content: str | list[_Block]) -> Iterator[str]:
    """The texts of a message, the last one first."""
    if isinstance(content, str):
        yield content
    else:
        yield from (block.text for block in reversed(content) if block.type == "text")
