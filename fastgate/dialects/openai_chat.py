"""OpenAI chat completions (``/v1/chat/completions``), as its SDKs and the many compatible servers speak it."""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from fastgate._core.body import Fields, Scan, insert_members
from fastgate._core.events import CLOSES, ERROR, FIRST_CAPTURE, OUTPUT, PART, TOKENS, EventScanner, EventTable
from fastgate._core.price import Usage
from fastgate.dialects import base, openai_chat_forms
from fastgate.dialects.base import (
    Charge,
    Edit,
    Operation,
    Turn,
    decoded,
    optional_text,
)
from fastgate.dialects.openai import OpenAI
from fastgate.dialects.openai_usage import chat_usage, stated_usage
from fastgate.dialects.said import WITHHELD, is_completion, said_by_chat
from fastgate.dialects.shown import shows_all
from fastgate.dialects.turns import last_turn
from fastgate.wire.failure import Failure
from fastgate.wire.request import ChatRequest

_REQUEST: Final = (
    "model",
    "stream",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "n",
    "stream_options",
    "stream_options.include_usage",
    "service_tier",
    "tools",
    "tools.*.type",
    'tools.*.type="function"',
    'tools.*.type="custom"',
    "functions",
    "web_search_options",
    "audio",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    'messages.*.content.*.type="image_url"',
    "messages.*.content.*.image_url",
    "messages.*.content.*.image_url.url",
    "prediction.content",
    "prediction.content.*.text",
    'messages.*.content.*.type="file"',
    "messages.*.content.*.file",
    'messages.*.content.*.type="video_url"',
    "messages.*.content.*.video_url",
    "messages.*.audio.id",
    "plugins",
    "search_parameters",
    "reasoning_effort",
    "reasoning",
    "enable_thinking",
)
(
    MODEL,
    STREAM,
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    TEMPERATURE,
    N,
    STREAM_OPTIONS,
    INCLUDE_USAGE,
    SERVICE_TIER,
    TOOLS,
    TOOL_TYPE,
    FUNCTION_TOOL,
    CUSTOM_TOOL,
    FUNCTIONS,
    WEB_SEARCH,
    AUDIO,
    USER,
    SAFETY_IDENTIFIER,
    PROMPT_CACHE_KEY,
    METADATA,
    IMAGE,
    IMAGE_URL,
    IMAGE_ADDRESS,
    PREDICTION_TEXT,
    PREDICTION_PARTS,
    FILE,
    FILE_MEMBER,
    VIDEO,
    VIDEO_MEMBER,
    EARLIER_AUDIO,
    PLUGINS,
    SEARCH_PARAMETERS,
    REASONING_EFFORT,
    REASONING,
    ENABLE_THINKING,
) = range(len(_REQUEST))

_FURTHER: Final = sum(1 << field for field in range(N, len(_REQUEST)))
"""Fields, as bits, that most requests have none of: all but the model, the stream, the cap and the temperature."""
_UNSEEN: Final = (
    (FILE, "a file"),
    (FILE_MEMBER, "a file"),
    (VIDEO, "a video"),
    (VIDEO_MEMBER, "a video"),
    (EARLIER_AUDIO, "the audio of an earlier answer"),
)
"""What has more tokens than bytes in the body: an id or address stands for it, or it is packed."""

_OUTPUT: Final = (
    "content",
    "refusal",
    "reasoning_content",
    "reasoning",
    "audio.transcript",
    "tool_calls.*.function.name",
    "tool_calls.*.function.arguments",
    "tool_calls.*.custom.input",
    "function_call.name",
    "function_call.arguments",
)
_ANSWER: Final = ("usage", "service_tier", "model", *(f"choices.*.message.{name}" for name in _OUTPUT))
ANSWER_USAGE, ANSWER_TIER, ANSWER_MODEL = range(3)

USAGE, TIER, NAMED_MODEL, FINISH, ID, CREATED = range(FIRST_CAPTURE, FIRST_CAPTURE + 6)

RULES: Final = [
    ("usage", USAGE),
    ("x_groq.usage", USAGE),
    ("service_tier", TIER),
    ("model", NAMED_MODEL),
    ("choices.*.finish_reason", FINISH),
    ("choices.*.finish_reason", CLOSES),
    ("choices.*.index", PART),
    ("usage.completion_tokens", TOKENS),
    ("id", ID),
    ("created", CREATED),
    ("error", ERROR),
    *((f"choices.*.delta.{name}", OUTPUT) for name in _OUTPUT),
]
"""What is taken from a stream's events."""

_MOST_CHOICES: Final = 128
"""The most that providers answer at once."""


class OpenAIChat(OpenAI):
    """Chat completions."""

    name = "openai-chat"
    operations: ClassVar[Mapping[str, Operation]] = {"/chat/completions": Operation.GENERATE}
    fields = Fields(_REQUEST)
    answer_fields = Fields(_ANSWER, unique=False)
    table = EventTable(RULES, strip="usage", only="choices")
    temperature_field = TEMPERATURE
    unasked = (
        "model",
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
    )
    formal = ("model", "stream", "stream_options")

    def read(self, found: Scan) -> ChatRequest:
        """What the request asks for."""
        cap, cap_field = self._cap(found)
        if not found.has_any(_FURTHER):
            return ChatRequest(
                model=base.required_model(found, MODEL),
                stream=found.boolean(STREAM) or False,
                output_cap=cap,
                cap_field=cap_field,
                text_bytes=found.string_bytes,
            )
        choices = found.natural(N)
        if choices == 0:
            raise Failure.invalid("'n' must be at least 1.", "n")
        image_bytes = found.total(IMAGE_URL) + found.total(IMAGE_ADDRESS)
        return ChatRequest(
            model=base.required_model(found, MODEL),
            stream=found.boolean(STREAM) or False,
            output_cap=cap,
            cap_field=cap_field,
            n=choices or 1,
            include_usage=found.boolean(INCLUDE_USAGE),
            service_tier=found.text(SERVICE_TIER),
            fast=False,
            has_tools=found.kind(TOOLS) > base.NULL or found.kind(FUNCTIONS) > base.NULL,
            has_hosted_tools=self._has_hosted_tools(found),
            unseen=next((what for field, what in _UNSEEN if found.count(field)), ""),
            has_audio_output=found.kind(AUDIO) == base.OBJECT,
            text_bytes=found.string_bytes - image_bytes,
            # By its type or by its member: which of them a server goes by is not known.
            images=max(found.count(IMAGE), found.count(IMAGE_URL)),
            image_bytes=image_bytes,
            prediction_bytes=found.total(PREDICTION_TEXT) + found.total(PREDICTION_PARTS),
            reasons=self._reasons(found),
            user=optional_text(found, USER) or optional_text(found, SAFETY_IDENTIFIER),
            session=optional_text(found, PROMPT_CACHE_KEY),
            metadata=found.raw(METADATA) if found.kind(METADATA) == base.OBJECT else None,
        )

    def _has_hosted_tools(self, found: Scan) -> bool:
        """Tools of any type but those that clients run, and searches by members of their own."""
        hosted = found.count(TOOL_TYPE) > found.count(FUNCTION_TOOL) + found.count(CUSTOM_TOOL)
        searches = found.kind(WEB_SEARCH) == base.OBJECT or found.kind(SEARCH_PARAMETERS) == base.OBJECT
        return hosted or searches or found.filled(PLUGINS)

    def _reasons(self, found: Scan) -> bool | None:
        effort = optional_text(found, REASONING_EFFORT)
        if found.kind(REASONING) == base.OBJECT or found.kind(ENABLE_THINKING) == base.TRUE:
            return True
        return None if effort is None else effort != "none"

    def _cap(self, found: Scan) -> tuple[int | None, str | None]:
        """The larger of the two members that bound the output, as which one a server obeys is not known.

        The member is the older one where it is given, since every server knows that.
        """
        cap = found.natural(MAX_COMPLETION_TOKENS)
        old = found.natural(MAX_TOKENS)
        if old is not None:
            return max(old, cap or 0), "max_tokens"
        return cap, None if cap is None else "max_completion_tokens"

    def edits(
        self,
        found: Scan,
        request: ChatRequest,
        *,
        model: str | None = None,
        output_cap: int | None = None,
        cap_field: str | None = None,
    ) -> list[Edit]:
        """The splices towards the provider, sorted; a stream is asked for its usage where the client did not.

        ``cap_field`` is ``max_completion_tokens`` where not given. Where it is ``max_tokens``, which is all that some
        servers know, that is put beside the other one too.
        """
        edits: list[Edit] = []
        added: list[tuple[str, bytes]] = []
        if model is not None:
            edits.append((*found.span(MODEL), msgspec.json.encode(model)))
        if output_cap is not None:
            self._edit_cap(found, output_cap, cap_field or "max_completion_tokens", edits, added)
        if self.hides_usage(request):
            self._edit_stream_options(found, edits, added)
        if added:
            edits.append(insert_members(found, added))
        edits.sort()
        return edits

    def shows_all(self, found: Scan) -> bool:
        """Parts, tools and searches of all the servers that speak this."""
        return shows_all(found.data)

    def hides_usage(self, request: ChatRequest) -> bool:
        """Whether a stream's usage is asked for by the gateway only."""
        return request.stream and request.include_usage is not True

    def _edit_cap(
        self, found: Scan, cap: int, cap_field: str, edits: list[Edit], added: list[tuple[str, bytes]]
    ) -> None:
        wanted = MAX_TOKENS if cap_field == "max_tokens" else MAX_COMPLETION_TOKENS
        fields = [field for field in (MAX_COMPLETION_TOKENS, MAX_TOKENS) if found.kind(field) > base.NULL]
        if wanted not in fields and (wanted == MAX_TOKENS or not fields):  # OpenAI takes either, and never both
            fields.append(wanted)
        edits.extend(base.capped(found, field, cap) for field in fields if found.kind(field))
        added.extend((_REQUEST[field], b"%d" % cap) for field in fields if not found.kind(field))

    def _edit_stream_options(self, found: Scan, edits: list[Edit], added: list[tuple[str, bytes]]) -> None:
        if found.kind(INCLUDE_USAGE):
            edits.append((*found.span(INCLUDE_USAGE), b"true"))
        elif found.kind(STREAM_OPTIONS) == base.OBJECT:
            edits.append(insert_members(found, [("include_usage", b"true")], STREAM_OPTIONS))
        elif found.kind(STREAM_OPTIONS):
            edits.append((*found.span(STREAM_OPTIONS), b'{"include_usage":true}'))
        else:
            added.append(("stream_options", b'{"include_usage":true}'))

    def charges_of_answer(self, found: Scan) -> list[Charge] | None:
        """One charge, at the price of the model that was called."""
        usage = chat_usage(decoded(found.raw(ANSWER_USAGE)), optional_text(found, ANSWER_TIER))
        return None if usage is None else [Charge(None, usage)]

    def charges_of_stream(self, captures: Mapping[int, bytes]) -> list[Charge] | None:
        """One charge; usage may be on any chunk, and the last one counts."""
        usage = chat_usage(decoded(captures.get(USAGE)), decoded(captures.get(TIER)))
        return None if usage is None else [Charge(None, usage)]

    def is_final(self, captures: Mapping[int, bytes]) -> bool:
        """Usage that came with, or after, the reason to finish."""
        return USAGE in captures and FINISH in captures

    def is_whole(self, scanner: EventScanner) -> bool:
        """It said ``[DONE]``, why it finished, what it used, or what went wrong: servers leave some of these out."""
        seen = scanner.captures
        return scanner.done or scanner.failed or scanner.overflow or FINISH in seen or USAGE in seen

    def is_complete(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """Each choice said why it ends, for a reason that is the model's, and ``[DONE]`` came."""
        sound = not (scanner.failed or scanner.malformed or scanner.overflow)
        ends = scanner.done and scanner.closed.bit_count() >= request.n
        return sound and ends and decoded(scanner.captures.get(FINISH)) not in WITHHELD

    def is_answer(self, answer: bytes) -> bool:
        """It has choices, each of which says why it ends, for a reason that is the model's."""
        return is_completion(answer)

    def is_over(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """Every choice has said why it ends."""
        return scanner.done or scanner.closed.bit_count() >= request.n

    def ending(self, scanner: EventScanner, request: ChatRequest, usage: Usage) -> bytes:
        """A chunk that ends each choice that is open, the usage where the client asked for it, ``[DONE]``."""
        seen = scanner.captures
        frame = {
            "id": decoded(seen.get(ID)) or "",
            "object": "chat.completion.chunk",
            "created": decoded(seen.get(CREATED)) or 0,
            "model": decoded(seen.get(NAMED_MODEL)) or request.model,
        }
        chunks: list[dict[str, object]] = [
            {**frame, "choices": [{"index": at, "delta": {}, "logprobs": None, "finish_reason": "length"}]}
            for at in range(min(request.n, _MOST_CHOICES))
            if not scanner.closed >> at & 1
        ]
        if request.include_usage:
            chunks.append({**frame, "choices": [], "usage": stated_usage(usage)})
        return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"

    def events_of(self, answer: bytes, *, include_usage: bool) -> list[bytes] | None:
        """Chunks and ``[DONE]``."""
        return openai_chat_forms.events_of(answer, include_usage=include_usage)

    def answer_of(self, events: bytes, *, usage: bytes | None = None) -> bytes | None:
        """A ``chat.completion``, which always has its usage: without any there is none."""
        return openai_chat_forms.answer_of(events, usage)

    def last_turn(self, body: bytes) -> Turn | None:
        """Of its ``messages``."""
        return last_turn(body)

    def said(self, answer: bytes) -> str | None:
        """Of its only choice."""
        return said_by_chat(answer)

    def same_form(self, events: bytes, *, include_usage: bool, usage: bytes | None = None) -> bytes | None:
        """With a chunk of usage before the end, or without usage anywhere."""
        if include_usage:
            return openai_chat_forms.with_usage(events, usage)
        scanner = EventScanner(self.table, strip_usage=True)
        given = scanner.feed(events) + scanner.finish()
        return None if scanner.malformed or scanner.overflow else given

    def stated_of_stream(self, captures: Mapping[int, bytes]) -> bytes | None:
        """The last one that came."""
        return captures.get(USAGE)

    def output_bytes_of_answer(self, found: Scan) -> int:
        """Text, refusals, reasoning and tool calls of all choices."""
        return sum(found.total(field) for field in range(ANSWER_MODEL + 1, len(_ANSWER)))

    def model_of_answer(self, found: Scan) -> str | None:
        """The model that served."""
        return optional_text(found, ANSWER_MODEL)


OPENAI_CHAT: Final = OpenAIChat()
