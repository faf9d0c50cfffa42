"""Whether a chat completion's request shows all that it asks about, and has nobody search for more.

Servers know many kinds of parts and tools, and more by the day. What is not known to be plain may name something by its
address, which can be another thing the next time. Asked only where an answer may be kept: money has bounds of its own.
"""

from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fastgate._core.body import BodyError, Fields, scan
from fastgate.dialects.base import NULL

_FIELDS: Final = Fields(
    ("messages.*.content.*", "messages.*.content.type", "tools", "data_sources", "enable_search", "compound_custom")
)
_PARTS, _ALONE, _TOOLS, *_SEARCHES = range(len(_FIELDS.names))
_ANY: Final = (1 << len(_FIELDS.names)) - 1
_FALSE: Final = 2

_CLIENTS: Final = ("function", "custom")
"""Types of tools that clients run."""


class _Part(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    """Of a message. Members that are not declared may be addresses, whatever the type."""

    cache_control: Raw | UnsetType = UNSET


class _Text(_Part, tag="text", forbid_unknown_fields=True, kw_only=True):
    text: Raw


class _InputText(_Part, tag="input_text", forbid_unknown_fields=True, kw_only=True):
    text: Raw


class _OutputText(_Part, tag="output_text", forbid_unknown_fields=True, kw_only=True):
    text: Raw


class _Refusal(_Part, tag="refusal", forbid_unknown_fields=True, kw_only=True):
    refusal: Raw


class _Thinking(_Part, tag="thinking", forbid_unknown_fields=True, kw_only=True):
    thinking: str | list[_Text]
    signature: Raw | UnsetType = UNSET
    closed: Raw | UnsetType = UNSET


class _Image(_Part, tag="image_url", forbid_unknown_fields=True, kw_only=True):
    """Whether it is in the body, ``images`` tells."""

    image_url: Raw


class _InputImage(_Part, tag="input_image", forbid_unknown_fields=True, kw_only=True):
    image_url: Raw
    detail: Raw | UnsetType = UNSET


class _Sound(msgspec.Struct, forbid_unknown_fields=True):
    data: str
    format: Raw | UnsetType = UNSET


class _Audio(_Part, tag="input_audio", forbid_unknown_fields=True, kw_only=True):
    input_audio: _Sound


class _Message(msgspec.Struct):
    content: Raw = Raw(b"null")


class _Conversation(msgspec.Struct):
    messages: list[_Message]


class _Tool(msgspec.Struct):
    type: str | UnsetType = UNSET
    function: Raw | UnsetType = UNSET


_AnyPart = _Text | _InputText | _OutputText | _Refusal | _Thinking | _Image | _InputImage | _Audio | str
_conversation: Final = msgspec.json.Decoder(_Conversation)
_parts: Final = msgspec.json.Decoder(list[_AnyPart])
_tools: Final = msgspec.json.Decoder(list[_Tool])


def shows_all(body: bytes) -> bool:
    """Of a request's body; images are for ``images`` to tell. False where it cannot be told."""
    try:
        found = scan(body, _FIELDS)
        if not found.has_any(_ANY):  # as most: texts alone
            return True
        if found.count(_ALONE) or any(found.kind(field) > _FALSE for field in _SEARCHES):
            return False
        if found.kind(_TOOLS) > NULL and not all(map(_is_clients, _tools.decode(found.raw(_TOOLS) or b""))):
            return False
        return not found.count(_PARTS) or _are_plain(body, found.count(_PARTS))
    except (BodyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _is_clients(tool: _Tool) -> bool:
    return tool.type in _CLIENTS if isinstance(tool.type, str) else tool.function is not UNSET


def _are_plain(body: bytes, count: int) -> bool:
    """Whether all parts are; ``count``: how many there are, those of a member that comes twice included."""
    contents = (bytes(message.content) for message in _conversation.decode(body).messages)
    parts = [part for content in contents if content.startswith(b"[") for part in _parts.decode(content)]
    return len(parts) == count and all(map(_is_whole, parts))


def _is_whole(part: _AnyPart) -> bool:
    """Whether a part has its data, where some servers take an address in the same place."""
    if not isinstance(part, _Audio):
        return True
    data = part.input_audio.data
    return ":" not in data or data[:5].lower() == "data:"
