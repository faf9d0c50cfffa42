"""A request as all dialects understand it, and what it is refused for."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from fastgate.simulator.tokens import Prompt

Body = TypeVar("Body")


class Refusal(Exception):
    """A request that is answered with an error: its status, what it says, a code for those who look one up."""

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: Mapping[bytes, bytes] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}


def unknown_model(name: str) -> Refusal:
    """The refusal of a model that has no price."""
    return Refusal(404, f"The model `{name}` does not exist or you do not have access to it.", "model_not_found")


def wrong_kind(name: str, wanted: str) -> Refusal:
    """The refusal of a model that does something else; ``wanted``: what it was to do."""
    return Refusal(403, f"You are not allowed to {wanted} from this model: {name}")


class Embed(msgspec.Struct, frozen=True):
    """What is to be made vectors of, and how they are written."""

    words: list[list[str]]
    """Of each text, or its tokens."""
    dimensions: int
    base64: bool
    """Little-endian single precision in base64; else numbers."""


class Ask(msgspec.Struct):
    """A request for an answer, neutral."""

    model: str
    prompt: Prompt
    script: str = ""
    """The user's latest text that is a script; empty for none."""
    latest: str = ""
    """The user's latest text, whatever it is."""
    turn: int = 0
    """How often that text has been answered already."""
    stream: bool = False
    include_usage: bool = False
    cap: int | None = None
    """The most output tokens of a choice, reasoning included."""
    choices: int = 1
    offers_tools: bool = False
    thinking: int | None = None
    """The most reasoning tokens; 0: none wanted; None: the model decides."""
    shows_thinking: bool = False
    """Whether reasoning is part of the answer's text."""
    long_writes: bool = False
    """Whether half of what is written to the cache is kept for an hour."""
    tier: str | None = None
    speed: str | None = None
    geo: str | None = None
    embed: Embed | None = None
    """For vectors and no text, with no ``choices`` then; None: for text."""


def decode_body(decoder: "msgspec.json.Decoder[Body]", body: bytes) -> Body:
    """The decoded body of a request; raises :class:`Refusal` (400)."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"Invalid request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from error


def raw_text(raw: msgspec.Raw) -> str:
    """A part of a body as it was written; raises :class:`Refusal` (400) where that is not UTF-8."""
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from error
