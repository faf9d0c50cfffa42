"""Anthropic messages (``/v1/messages`` and ``/v1/messages/count_tokens``)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from fastgate._core.body import Fields, Scan, insert_members
from fastgate._core.counts import mapping
from fastgate._core.events import (
    CLOSES,
    DONE,
    ERROR,
    FIRST_CAPTURE,
    OPENS,
    OUTPUT,
    PART,
    TOKENS,
    EventScanner,
    EventTable,
)
from fastgate._core.price import Usage
from fastgate.dialects import anthropic_forms, anthropic_models, anthropic_usage, base
from fastgate.dialects.base import Charge, Dialect, Edit, Operation, Shape, Turn, decoded, optional_text
from fastgate.dialects.said import is_message, said_by_message
from fastgate.dialects.turns import last_turn
from fastgate.wire.failure import Failure, FailureCode, instant
from fastgate.wire.request import ChatRequest

_REQUEST: Final = (
    "model",
    "stream",
    "max_tokens",
    "temperature",
    "thinking.budget_tokens",
    'thinking.type="enabled"',
    "thinking.type",
    'thinking.type="disabled"',
    "service_tier",
    "speed",
    "inference_geo",
    "tools",
    "tools.*.type",
    'tools.*.type="custom"',
    "tools.*.model",
    "mcp_servers",
    "metadata.user_id",
    'messages.*.content.*.type="image"',
    'messages.*.content.*.type="document"',
    "messages.*.content.*.source.data",
    'messages.*.content.*.content.*.type="image"',
    'messages.*.content.*.content.*.type="document"',
    "messages.*.content.*.content.*.source.data",
    "messages.*.content.*.source.type",
    'messages.*.content.*.source.type="text"',
    "messages.*.content.*.content.*.source.type",
    'messages.*.content.*.content.*.source.type="text"',
    "messages.*.content.*.content.content.source.type",
    'messages.*.content.*.content.content.source.type="text"',
    'messages.*.content.*.type="container_upload"',
    'messages.*.content.*.content.*.type="container_upload"',
    "container",
    "thread.previous_message_id",
    "fallbacks",
    "compaction",
    "context_management.edits.*.type",
    'context_management.edits.*.type="clear_thinking_20251015"',
    'context_management.edits.*.type="clear_tool_uses_20250919"',
)
(
    MODEL,
    STREAM,
    MAX_TOKENS,
    TEMPERATURE,
    BUDGET_TOKENS,
    THINKING_ENABLED,
    THINKING,
    THINKING_DISABLED,
    SERVICE_TIER,
    SPEED,
    INFERENCE_GEO,
    TOOLS,
    TOOL_TYPE,
    CUSTOM_TOOL,
    TOOL_MODEL,
    MCP_SERVERS,
    USER_ID,
    IMAGE,
    DOCUMENT,
    DATA,
    INNER_IMAGE,
    INNER_DOCUMENT,
    INNER_DATA,
    SOURCE,
    TEXT_SOURCE,
    INNER_SOURCE,
    INNER_TEXT_SOURCE,
    FETCHED_SOURCE,
    FETCHED_TEXT_SOURCE,
    UPLOAD,
    INNER_UPLOAD,
    CONTAINER,
    EARLIER_TURN,
    FALLBACKS,
    COMPACTION,
    CONTEXT_EDIT,
    CLEAR_THINKING,
    CLEAR_TOOL_USES,
) = range(len(_REQUEST))

_OTHERS: Final = 1 << FALLBACKS | 1 << TOOL_MODEL
"""Fields, as bits, that name models beside the request's own."""

_ANSWER: Final = (
    "usage",
    "model",
    "stop_reason",
    "stop_details.category",
    "content",
    "content.*.text",
    "content.*.thinking",
    "content.*.name",
)
ANSWER_USAGE, ANSWER_MODEL, STOP_REASON, STOP_CATEGORY, CONTENT, *_ANSWER_OUTPUT = range(len(_ANSWER))

_USAGE: Final = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
    "speed",
    "inference_geo",
    "iterations",
)
"""Members of usage; a stream repeats some of them, and each one's last value that is not null counts."""

USAGE: Final = FIRST_CAPTURE
NAMED_MODEL, FINISH, FINISH_CATEGORY, BLOCK, DECLINED, FINAL = range(USAGE + len(_USAGE), USAGE + len(_USAGE) + 6)

_encode: Final = msgspec.json.encode
_INVALID: Final = "invalid_request_error"
_DENIED: Final = "permission_error"
_SHAPES: Final = {
    FailureCode.INVALID_API_KEY: Shape(401, "authentication_error"),
    FailureCode.BUDGET_EXCEEDED: Shape(402, "billing_error"),
    FailureCode.MODEL_NOT_ALLOWED: Shape(403, _DENIED),
    FailureCode.PROVIDER_NOT_ALLOWED: Shape(403, _DENIED),
    FailureCode.IP_NOT_ALLOWED: Shape(403, _DENIED),
    FailureCode.MODEL_NOT_FOUND: Shape(404, "not_found_error"),
    FailureCode.NOT_FOUND: Shape(404, "not_found_error"),
    FailureCode.METHOD_NOT_ALLOWED: Shape(405, _INVALID),
    FailureCode.UPGRADE_REFUSED: Shape(426, _INVALID),
    FailureCode.INVALID_REQUEST: Shape(400, _INVALID),
    FailureCode.MODEL_UNPRICED: Shape(400, _INVALID),
    FailureCode.DIALECT_NOT_SUPPORTED: Shape(400, _INVALID),
    FailureCode.REQUEST_TOO_LARGE: Shape(413, "request_too_large"),
    FailureCode.REQUEST_TIMEOUT: Shape(408, _INVALID),
    FailureCode.RATE_LIMITED: Shape(429, "rate_limit_error"),
    FailureCode.UPSTREAM_ERROR: Shape(502, "api_error"),
    FailureCode.NO_HEALTHY_TARGET: Shape(529, "overloaded_error"),
    FailureCode.UPSTREAM_TIMEOUT: Shape(504, "timeout_error"),
    FailureCode.OVERLOADED: Shape(529, "overloaded_error"),
    FailureCode.DRAINING: Shape(529, "overloaded_error"),
    FailureCode.NOT_CACHED: Shape(504, "timeout_error"),
    FailureCode.INTERNAL_ERROR: Shape(500, "api_error"),
}


class Anthropic(Dialect):
    """Messages."""

    name = "anthropic"
    operations: ClassVar[Mapping[str, Operation]] = {
        "/messages": Operation.GENERATE,
        "/messages/count_tokens": Operation.COUNT_TOKENS,
    }
    fields = Fields(_REQUEST)
    answer_fields = Fields(_ANSWER, unique=False)
    table = EventTable(
        [
            *((f"message.usage.{name}", USAGE + i) for i, name in enumerate(_USAGE)),
            *((f"usage.{name}", USAGE + i) for i, name in enumerate(_USAGE)),
            ("usage.output_tokens", FINAL),
            ("usage.output_tokens", TOKENS),
            ("index", PART),
            ("content_block.type", OPENS),
            ('type="content_block_stop"', CLOSES),
            ("message.model", NAMED_MODEL),
            ("delta.stop_reason", FINISH),
            ("delta.stop_details.category", FINISH_CATEGORY),
            ("content_block.type", BLOCK),
            ("content_block.trigger.category", DECLINED),
            ('type="message_stop"', DONE),
            ("error", ERROR),
            ("content_block.name", OUTPUT),
            ("content_block.text", OUTPUT),
            ("delta.text", OUTPUT),
            ("delta.partial_json", OUTPUT),
            ("delta.thinking", OUTPUT),
            ("delta.content", OUTPUT),
        ]
    )
    shapes = _SHAPES
    request_id_header = "request-id"
    temperature_field = TEMPERATURE
    unasked = ("model", "stream", "metadata")
    formal = ("model", "stream")

    def read(self, found: Scan) -> ChatRequest:
        """What the request asks for."""
        images, image_bytes = self._images(found)
        user, session = identity(optional_text(found, USER_ID))
        cap = found.natural(MAX_TOKENS)
        budget = found.natural(BUDGET_TOKENS)
        request = ChatRequest(
            model=base.required_model(found, MODEL),
            stream=found.boolean(STREAM) or False,
            output_cap=cap,
            cap_field=None if cap is None else "max_tokens",
            thinking_budget=budget if found.count(THINKING_ENABLED) else None,
            reasons=found.count(THINKING) > found.count(THINKING_DISABLED) if found.count(THINKING) else None,
            service_tier=found.text(SERVICE_TIER),
            fast=found.text(SPEED) == "fast",
            geo=found.text(INFERENCE_GEO),
            has_tools=found.kind(TOOLS) > base.NULL,
            has_hosted_tools=found.count(TOOL_TYPE) > found.count(CUSTOM_TOOL) or found.filled(MCP_SERVERS),
            unseen=self._unseen(found),
            beside=self._beside(found),
            text_bytes=found.string_bytes - image_bytes,
            images=images,
            image_bytes=image_bytes,
            user=user,
            session=session,
        )
        return self._with_others(found, request) if found.has_any(_OTHERS) else request

    def _with_others(self, found: Scan, request: ChatRequest) -> ChatRequest:
        """The request with what the other models may do that it names: bounds hold for each of them."""
        attempts = anthropic_models.fallbacks(found.raw(FALLBACKS))
        advisors = anthropic_models.advisors(found.raw(TOOLS)) if found.count(TOOL_MODEL) else []
        caps = [0, *(each.max_tokens or 0 for each in attempts)]
        budgets = [request.thinking_budget, *(each.thinking_budget for each in attempts)]
        return msgspec.structs.replace(
            request,
            other_models=(*(each.model for each in attempts), *advisors),
            output_cap=None if request.output_cap is None else max(request.output_cap, *caps),
            thinking_budget=max((budget for budget in budgets if budget is not None), default=None),
            reasons=request.reasons or any(each.thinking is not None for each in attempts) or None,
            fast=request.fast or any(each.speed == "fast" for each in attempts),
        )

    def _unseen(self, found: Scan) -> str:
        """Documents but plain text: those by address or id, and PDF, whose text is packed."""
        documents = found.count(DOCUMENT) + found.count(INNER_DOCUMENT)
        plain = found.count(TEXT_SOURCE) + found.count(INNER_TEXT_SOURCE)
        if documents and found.count(SOURCE) + found.count(INNER_SOURCE) > plain:
            return "a document"
        if found.count(FETCHED_SOURCE) > found.count(FETCHED_TEXT_SOURCE):
            return "a fetched document"
        if found.count(UPLOAD) or found.count(INNER_UPLOAD):
            return "an uploaded file"
        if found.kind(EARLIER_TURN) > base.NULL:
            return "the earlier turns of a thread"
        return "a container" if found.kind(CONTAINER) > base.NULL else ""

    def shows_all(self, found: Scan) -> bool:
        """No part but texts, images and documents has a source: compatible servers take videos by their address."""
        sources = found.count(SOURCE) + found.count(INNER_SOURCE)
        texts = found.count(TEXT_SOURCE) + found.count(INNER_TEXT_SOURCE)
        return sources <= texts + found.count(IMAGE) + found.count(INNER_IMAGE)

    def _beside(self, found: Scan) -> str:
        """Other models' attempts, and compactions: of the edits of the context only clearing costs nothing."""
        if found.filled(FALLBACKS) or found.kind(FALLBACKS) == base.STRING:
            return "attempts of fallback models"
        compacts = found.count(CONTEXT_EDIT) > found.count(CLEAR_THINKING) + found.count(CLEAR_TOOL_USES)
        return "a compaction" if compacts or found.kind(COMPACTION) == base.OBJECT else ""

    def _images(self, found: Scan) -> tuple[int, int]:
        """How many images, and the bytes of their data.

        Documents have their data at the same place. Where there is one, all data counts as text, of which a document
        can have a token for each byte.
        """
        images = found.count(IMAGE) + found.count(INNER_IMAGE)
        if found.count(DOCUMENT) or found.count(INNER_DOCUMENT):
            return images, 0
        return images, (found.total(DATA) if found.count(IMAGE) else 0) + (
            found.total(INNER_DATA) if found.count(INNER_IMAGE) else 0
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
        """The splices towards the provider, sorted; streams always report their usage."""
        edits: list[Edit] = []
        if model is not None:
            edits.append((*found.span(MODEL), msgspec.json.encode(model)))
        if output_cap is not None:
            if found.kind(MAX_TOKENS):
                edits.append(base.capped(found, MAX_TOKENS, output_cap))
            else:
                edits.append(insert_members(found, [(cap_field or "max_tokens", b"%d" % output_cap)]))
            if found.count(FALLBACKS):
                edits += anthropic_models.lowered(found, FALLBACKS, output_cap)
        edits.sort()
        return edits

    def charges_of_answer(self, found: Scan) -> list[Charge] | None:
        """What a message reports."""
        usage = decoded(found.raw(ANSWER_USAGE))
        iterations = mapping(usage).get("iterations")
        return anthropic_usage.charges(
            usage,
            refused=found.raw(STOP_REASON) == b'"refusal"' and not found.filled(CONTENT),
            category=optional_text(found, STOP_CATEGORY),
            # Only with iterations can there have been a hand-over, and only then is it worth decoding all content.
            declined=_declined(decoded(found.raw(CONTENT))) if iterations else (),
        )

    def charges_of_stream(self, captures: Mapping[int, bytes]) -> list[Charge] | None:
        """What the stream reported so far; ``estimated`` where its final output count has not come.

        Of several hand-overs to fallback models the last one's category stands for all.
        """
        usage = {name: decoded(captures.get(USAGE + i)) for i, name in enumerate(_USAGE)}
        iterations = usage["iterations"]
        charges = anthropic_usage.charges(
            usage,
            refused=captures.get(FINISH) == b'"refusal"' and BLOCK not in captures,
            category=decoded(captures.get(FINISH_CATEGORY)),
            declined=[decoded(captures.get(DECLINED))] * (len(iterations) if isinstance(iterations, list) else 0),
        )
        if charges is not None and FINAL not in captures:
            charges[0].usage.estimated = True
        return charges

    def is_final(self, captures: Mapping[int, bytes]) -> bool:
        """The final count of output has come."""
        return FINAL in captures

    def is_whole(self, scanner: EventScanner) -> bool:
        """It stopped, said why it stops, or what went wrong."""
        return scanner.done or scanner.failed or scanner.overflow or FINISH in scanner.captures

    def is_complete(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """It said why it stops, and stopped."""
        sound = not (scanner.failed or scanner.malformed or scanner.overflow)
        return sound and scanner.done and FINISH in scanner.captures

    def is_answer(self, answer: bytes) -> bool:
        """A message that says why it stops."""
        return is_message(answer)

    def is_over(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """It has said why it stops."""
        return FINISH in scanner.captures

    def ending(self, scanner: EventScanner, request: ChatRequest, usage: Usage) -> bytes:
        """The end of each block that is open, of the message's output, and of the message."""
        still_open = scanner.opened & ~scanner.closed
        events: list[dict[str, object]] = [
            {"type": "content_block_stop", "index": at} for at in range(still_open.bit_length()) if still_open >> at & 1
        ]
        delta = {"stop_reason": "max_tokens", "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": base.output_tokens(usage)}})
        events.append({"type": "message_stop"})
        return b"".join(b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), _encode(event)) for event in events)

    def events_of(self, answer: bytes, *, include_usage: bool) -> list[bytes] | None:
        """From ``message_start`` to ``message_stop``; usage is always stated."""
        return anthropic_forms.events_of(answer)

    def answer_of(self, events: bytes, *, usage: bytes | None = None) -> bytes | None:
        """A ``message``."""
        return anthropic_forms.answer_of(events)

    def last_turn(self, body: bytes) -> Turn | None:
        """Of its ``messages``."""
        return last_turn(body)

    def said(self, answer: bytes) -> str | None:
        """Of its blocks."""
        return said_by_message(answer)

    def output_bytes_of_answer(self, found: Scan) -> int:
        """Text, thinking and tool calls, whose input is counted as it is written."""
        blocks = decoded(found.raw(CONTENT))
        listed = blocks if isinstance(blocks, list) else []
        inputs = [block["input"] for block in listed if isinstance(block, dict) and "input" in block]
        written = sum(len(msgspec.json.encode(item)) for item in inputs)
        return written + sum(found.total(field) for field in _ANSWER_OUTPUT)

    def model_of_answer(self, found: Scan) -> str | None:
        """The model that served."""
        return optional_text(found, ANSWER_MODEL)

    def error_body(self, shape: Shape, sentence: str, failure: Failure, request_id: str) -> bytes:
        """``{"type": "error", "error": {...}, "request_id": ...}``."""
        error = {"type": shape.type, "message": sentence}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})

    def stream_error(self, failure: Failure, request_id: str) -> bytes:
        """An ``error`` event; SDKs ignore events without an ``event:`` line."""
        shape = self.shapes[failure.code]
        body = self.error_body(shape, failure.sentence(request_id), failure, request_id)
        return b"event: error\ndata: " + body + b"\n\n"

    def limit_headers(self, kind: str, limit: int, left: int, resets_at_ns: int, now_ns: int) -> list[tuple[str, str]]:
        """As Anthropic says it; the reset is a moment, rounded up to the millisecond."""
        name = f"anthropic-ratelimit-{kind}"
        return [
            (f"{name}-limit", str(limit)),
            (f"{name}-remaining", str(left)),
            (f"{name}-reset", instant(resets_at_ns)),
        ]

    def models(self, names: Sequence[str]) -> bytes:
        """Anthropic's list of models, on one page."""
        data = [_listed(name) for name in names]
        first, last = (names[0], names[-1]) if names else (None, None)
        return msgspec.json.encode({"data": data, "has_more": False, "first_id": first, "last_id": last})

    def model(self, name: str) -> bytes:
        """One entry of the list."""
        return msgspec.json.encode(_listed(name))


def _listed(name: str) -> dict[str, str]:
    """A model as Anthropic describes one; its release is not known, for which the API allows the epoch."""
    epoch = "1970-01-01T00:00:00Z"
    return {"type": "model", "id": name, "display_name": name, "created_at": epoch, "lifecycle": "active"}


def identity(user_id: str | None) -> tuple[str | None, str | None]:
    """User and session out of ``metadata.user_id``; Claude Code packs a JSON object into it."""
    if user_id is None or not user_id.startswith("{"):
        return user_id, None
    packed = mapping(decoded(user_id.encode("utf-8", "replace")))
    user = packed.get("account_uuid") or packed.get("device_id")
    session = packed.get("session_id")
    return (user if isinstance(user, str) else user_id), (session if isinstance(session, str) else None)


def _declined(content: Any) -> list[object]:
    """The categories for which models handed over, in order."""
    blocks = content if isinstance(content, list) else []
    return [
        mapping(block.get("trigger")).get("category")
        for block in blocks
        if isinstance(block, dict) and block.get("type") == "fallback"
    ]


ANTHROPIC: Final = Anthropic()
