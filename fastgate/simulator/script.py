"""What a request can ask to be answered: the user's latest text that starts with ``sim: {json}``.

Every field is optional; an unknown one is an error, so that no script is half played. What follows the JSON is ignored.
Other texts may stand around the script, in its message or after it: coding agents add their own.
"""

import json
from base64 import b64decode
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from fastgate.simulator.faults import FaultsError, fault

PREFIX = "sim:"


class ScriptError(ValueError):
    """A script that cannot be played; the text says why."""


class Call(msgspec.Struct, forbid_unknown_fields=True):
    """A tool call to make. ``arguments``: an object, or the text that is to stand for one, valid or not."""

    name: str
    arguments: dict[str, Any] | str = {}
    id: str | None = None

    def text(self) -> str:
        """The arguments as JSON text."""
        if isinstance(self.arguments, str):
            return self.arguments
        return msgspec.json.encode(self.arguments).decode()


class Script(msgspec.Struct, forbid_unknown_fields=True):
    """An answer in the words of the one who asks for it, or the answers of a conversation."""

    turns: "list[Script]" = []
    """A script for each answer of a conversation; then no other field is given here."""

    text: str | None = None
    """The answer's text."""
    tokens: int | None = None
    """Output tokens without reasoning; the text is made up to fit where it is not given."""
    reasoning: int | None = None
    """Reasoning tokens."""
    tools: list[Call] = []
    """Tool calls; the request must offer tools."""
    finish: str | None = None
    """The stop reason, in the dialect's own words."""
    stop_details: dict[str, Any] | None = None
    """Anthropic's ``stop_details``, of a refusal for example."""
    model: str | None = None
    """The model's name as the answer states it, and bills it where it has a price."""
    tier: str | None = None
    """The service tier that the answer states."""
    speed: str | None = None
    """Anthropic's ``usage.speed``."""
    geo: str | None = None
    """Anthropic's ``usage.inference_geo``."""

    usage: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    """The usage object as it shall be reported, in the dialect's own shape, and billed. null: none is reported."""
    usage_start: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    """The usage of Anthropic's ``message_start``."""
    usage_on: Literal["end", "finish", "every"] = "end"
    """Where a stream states it: in an event of its own, with the finish reason, or on every chunk. Anthropic's streams
    always state it with the finish reason; ``every`` sends that event twice."""

    chunks: int | list[str] | None = None
    """Into how many pieces a stream's text is split, or the pieces themselves."""
    latency_ms: float | None = None
    """Until the head of the answer."""
    ttft_ms: float | None = None
    """Until the first piece of a stream, from the request on."""
    chunk_ms: float | list[float] | None = None
    """Between two pieces; a list's last value holds for the rest."""
    split: int | None = None
    """Write in pieces of so many bytes, each on its own."""

    fail: str | None = None
    """A failure as ``--fail`` names it: ``429``, ``cut``, ``hang``, ..."""
    after: int | None = None
    """How many pieces of a stream come before ``cut`` or ``stall``."""
    message: str | None = None
    """The message of a ``fail`` with a status."""
    headers: dict[str, str] = {}
    """Further headers of the answer."""
    status: int = 200
    """The status beside ``body``."""
    body: str | None = None
    """The body in place of the dialect's; billed only with ``usage``."""
    body_base64: str | None = None
    raw: str | None = None
    """Bytes for the socket in place of any answer, then the connection closes; billed only with ``usage``."""
    raw_base64: str | None = None

    def header_bytes(self) -> dict[bytes, bytes]:
        """The further headers as they are sent; names in lower case."""
        return {name.lower().encode("latin-1"): text.encode("latin-1") for name, text in self.headers.items()}

    def body_bytes(self) -> bytes | None:
        """The body to send, if the script gives one."""
        return _bytes(self.body, self.body_base64)

    def raw_bytes(self) -> bytes | None:
        """What to put on the socket, if the script gives that."""
        return _bytes(self.raw, self.raw_base64)


NO_SCRIPT = Script()


def find_script(newest_first: Iterable[tuple[str, Iterable[str]]]) -> tuple[str, int]:
    """The latest script among messages (role, texts), and how often it was answered; ``("", 0)`` without one."""
    answers = 0
    for role, texts in newest_first:
        if role == "assistant":
            answers += 1
        elif role == "user":
            for text in texts:
                if text.startswith(PREFIX):
                    return text, answers
    return "", 0


def read_script(message: str) -> Script:
    """The script that a text is; :data:`NO_SCRIPT` where it is none. Raises :class:`ScriptError`."""
    if not message.startswith(PREFIX):
        return NO_SCRIPT
    text = message[len(PREFIX) :].lstrip()
    try:
        loaded, _ = json.JSONDecoder().raw_decode(text)
        script = msgspec.convert(loaded, Script)
        check_script(script)
    except ScriptError:
        raise
    except (ValueError, FaultsError, RecursionError) as error:  # msgspec's and base64's errors are ValueErrors
        raise ScriptError(f"the script after {PREFIX!r} cannot be played: {error}") from error
    return script


def check_script(script: Script) -> None:
    """Raises :class:`ScriptError` for one that makes no sense, ``ValueError`` or ``FaultsError`` for what cannot be
    played of it."""
    for each in (script, *script.turns):
        _try(each)
    if script.turns and script != Script(turns=script.turns):
        raise ScriptError("the script's other fields should stand inside its turns")
    if any(turn.turns for turn in script.turns):
        raise ScriptError("the script's turns should have no turns of their own")
    for each in (script, *script.turns):
        _check(each)


def _try(script: Script) -> None:
    """Does what can fail of playing it."""
    if script.fail is not None:
        fault(script.fail)
    script.header_bytes()
    script.body_bytes()
    script.raw_bytes()


def _check(script: Script) -> None:
    """Refuses numbers that make no sense."""
    delays = [script.latency_ms, script.ttft_ms]
    delays += script.chunk_ms if isinstance(script.chunk_ms, list) else [script.chunk_ms]
    if script.tokens is not None and script.tokens > 1_000_000:
        raise ScriptError("the script's tokens should be at most 1,000,000; usage can state more")
    numbers = [script.tokens, script.reasoning, script.after, *delays]
    if any(number is not None and not 0 <= number <= 10_000_000 for number in numbers):
        raise ScriptError("the script's counts and delays should lie between 0 and 10,000,000")
    if script.split is not None and script.split < 1:
        raise ScriptError("the script's split should be at least 1")
    if isinstance(script.chunks, int) and script.chunks < 1:
        raise ScriptError("the script's chunks should be at least 1")
    if script.chunk_ms == [] or not 200 <= script.status <= 599:
        raise ScriptError("the script's chunk_ms should not be empty, and its status should lie between 200 and 599")


def _bytes(text: str | None, base64: str | None) -> bytes | None:
    if base64 is not None:
        return b64decode(base64, validate=True)
    return None if text is None else text.encode()
