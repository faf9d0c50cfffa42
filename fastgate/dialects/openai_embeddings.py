"""OpenAI's embeddings (``/v1/embeddings``), as its SDKs and the compatible servers speak them.

A request has texts, or tokens; its answer has a vector for each, whole and never streamed, and is billed by its input
alone. Neither is decoded or encoded again: vectors come as the client asked for them, in base64 or as numbers.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from fastgate._core.body import Fields, Scan
from fastgate._core.events import EventScanner, EventTable
from fastgate._core.price import Usage
from fastgate.dialects import base
from fastgate.dialects.base import Charge, Edit, Operation, Turn, decoded, optional_text
from fastgate.dialects.openai import OpenAI
from fastgate.dialects.openai_usage import embeddings_usage
from fastgate.wire.failure import Failure
from fastgate.wire.request import ChatRequest

NAME: Final = "openai-embeddings"

_BESIDE: Final = (
    ("input_type", "a prompt that the server puts before each text ('input_type')"),
    ("task", "a prompt that the server puts before each text ('task')"),
    ("task_type", "a prompt that the server puts before each text ('task_type')"),
    ("prompt_name", "a prompt that the server puts before each text ('prompt_name')"),
    ("instruction", "an instruction before each text ('instruction')"),
    ("messages", "a conversation ('messages')"),
)
"""Members of compatible servers by which more may be billed than the body shows."""
_REQUEST: Final = ("model", "stream", "input", "input.*", "input.*.*", "user", *(name for name, _ in _BESIDE))
MODEL, STREAM, INPUT, ITEMS, TOKENS, USER, FIRST_BESIDE = range(7)
_ARRAY: Final = 6

_ANSWER: Final = ("usage", "model")
ANSWER_USAGE, ANSWER_MODEL = range(2)

MOST_TEXTS: Final = 1 << 16
"""Of one request; tokens alone may be as many as its body holds. OpenAI takes 2,048 texts."""
_BETWEEN: Final = b"0123456789, \t\r\n"
"""What a list has beside its texts and its brackets."""
_LONGEST_SHOWN: Final = 1 << 16
"""Bytes of an input that is decoded to say what is wrong with it."""
_Token = Annotated[int, Meta(ge=0)]
_SHOWN: Final = msgspec.json.Decoder(list[str | _Token | list[str | _Token]])


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]
    error: Any = None


_VECTORS: Final = msgspec.json.Decoder(_Answer)


class OpenAIEmbeddings(OpenAI):
    """Embeddings."""

    name = NAME
    operations: ClassVar[Mapping[str, Operation]] = {"/embeddings": Operation.EMBED}
    fields = Fields(_REQUEST)
    answer_fields = Fields(_ANSWER, unique=False)
    table = EventTable(())
    temperature_field = -1
    unasked = ("model", "user")
    formal = ("model",)

    def read(self, found: Scan) -> ChatRequest:
        """What the request asks for: no output, whatever the model."""
        if found.boolean(STREAM):
            raise Failure.invalid("Embeddings are not streamed: leave 'stream' out.", "stream")
        _check_input(found)
        return ChatRequest(
            model=base.required_model(found, MODEL),
            output_cap=0,
            beside=next((why for at, (_, why) in enumerate(_BESIDE, FIRST_BESIDE) if found.kind(at) > base.NULL), ""),
            text_bytes=found.string_bytes,
            user=optional_text(found, USER),
        )

    def edits(
        self,
        found: Scan,
        request: ChatRequest,
        *,
        model: str | None = None,
        output_cap: int | None = None,
        cap_field: str | None = None,
    ) -> list[Edit]:
        """Another model's name, or nothing: there is no output to be bounded."""
        return [] if model is None else [(*found.span(MODEL), msgspec.json.encode(model))]

    def temperature(self, found: Scan) -> float:
        """The same input has the same vector."""
        return 0.0

    def charges_of_answer(self, found: Scan) -> list[Charge] | None:
        """One charge, at the price of the model that was called."""
        usage = embeddings_usage(decoded(found.raw(ANSWER_USAGE)))
        return None if usage is None else [Charge(None, usage)]

    def output_bytes_of_answer(self, found: Scan) -> int:
        """None: vectors are not billed."""
        return 0

    def model_of_answer(self, found: Scan) -> str | None:
        """The model that served."""
        return optional_text(found, ANSWER_MODEL)

    # ---- what only conversations and streams have

    def charges_of_stream(self, captures: Mapping[int, bytes]) -> list[Charge] | None:
        """There is no stream."""
        return None

    def is_final(self, captures: Mapping[int, bytes]) -> bool:
        """There is no stream."""
        return False

    def is_whole(self, scanner: EventScanner) -> bool:
        """There is no stream."""
        return False

    def is_complete(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """There is no stream."""
        return False

    def is_answer(self, answer: bytes) -> bool:
        """It has vectors."""
        try:
            found = _VECTORS.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return bool(found.data) and not found.error

    def is_over(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """There is no output that could follow."""
        return True

    def ending(self, scanner: EventScanner, request: ChatRequest, usage: Usage) -> bytes:
        """There is no stream to be ended."""
        return b""

    def events_of(self, answer: bytes, *, include_usage: bool) -> list[bytes] | None:
        """An answer has no streamed form."""
        return None

    def answer_of(self, events: bytes, *, usage: bytes | None = None) -> bytes | None:
        """There is no stream."""
        return None

    def last_turn(self, body: bytes) -> Turn | None:
        """Nobody speaks: such a request has no meaning that another one could share."""
        return None

    def said(self, answer: bytes) -> str | None:
        """Nothing that can be read."""
        return None


def _check_input(found: Scan) -> None:
    """Raises Failure for an input whose tokens its bytes do not bound: an image by its address, say."""
    kind = found.kind(INPUT)
    if kind <= base.NULL:
        raise Failure.invalid("The member 'input' is missing.", "input")
    if kind == base.STRING:
        return
    given = (found.raw(INPUT) or b"") if kind == _ARRAY else b""
    if b'"' in given and found.count(ITEMS) + found.count(TOKENS) > MOST_TEXTS:
        raise Failure.invalid(f"'input' has more than {MOST_TEXTS} texts.", "input")
    if not _is_bounded(given):
        raise Failure.invalid(
            "'input' must be a text, a list of texts, a list of tokens, or a list of lists of tokens:"
            f" {_fault(given) if kind == _ARRAY else 'it is something else'}.",
            "input",
        )


def _is_bounded(given: bytes) -> bool:
    """Whether a JSON array has nothing in it but texts, tokens and lists of these, none of them more than its bytes.

    Nothing is decoded: an object for each of a million tokens would hold up all other requests.
    """
    if b"\\" in given:  # what is escaped is no quote that ends a text
        given = given.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(given.split(b'"')[::2]).translate(None, _BETWEEN)
    return brackets == b"[%b]" % (b"[]" * (len(brackets) // 2 - 1))


def _fault(given: bytes) -> str:
    """What else it has, and where."""
    try:
        if len(given) <= _LONGEST_SHOWN:
            _SHOWN.decode(given)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return str(error)
    return "it has something else in it"


OPENAI_EMBEDDINGS: Final = OpenAIEmbeddings()
