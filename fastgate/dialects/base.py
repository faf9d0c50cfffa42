"""What every client API has to answer for the pipeline."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from fastgate._core.body import BodyError, Fields, Scan, scan
from fastgate._core.counts import MAX_COUNT, anomalies
from fastgate._core.events import EventScanner, EventTable
from fastgate._core.price import Usage
from fastgate.wire.failure import Failure, FailureCode
from fastgate.wire.request import ChatRequest
from fastgate.wire.usage import N_BUCKETS, Bucket, Tier

Edit = tuple[int, int, bytes]
"""``(start, end, replacement)`` in a body, for ``fastgate._core.body.splice``."""

JSON_TYPE: Final = ("content-type", "application/json")

_MICROSECOND: Final = Decimal("1e-6")
_EXACT: Final = msgspec.json.Decoder(float_hook=Decimal)


class Operation(StrEnum):
    """What a path of an API does."""

    GENERATE = "generate"
    COUNT_TOKENS = "count_tokens"
    EMBED = "embed"


class Charge(msgspec.Struct, frozen=True, gc=False):
    """Part of what one answer costs: ``usage`` at the price of ``model``; ``None`` is the model that was called."""

    model: str | None
    usage: Usage


class Turn(NamedTuple):
    """``text`` as it is meant; ``start`` and ``end``: its JSON string, quotes included, in a body."""

    text: str
    start: int
    end: int


class Shape(NamedTuple):
    """How one failure looks in a dialect."""

    status: int
    type: str
    code: str | None = None


class Dialect(ABC):
    """One client API. Instances have no state of their own and are shared."""

    name: ClassVar[str]
    operations: ClassVar[Mapping[str, Operation]]
    """Endings of paths, after ``/v1`` and its like."""
    fields: ClassVar[Fields]
    """Of a request, for ``scan``."""
    answer_fields: ClassVar[Fields]
    table: ClassVar[EventTable]
    shapes: ClassVar[Mapping[FailureCode, Shape]]
    request_id_header: ClassVar[str]
    temperature_field: ClassVar[int]
    unasked: ClassVar[tuple[str, ...]]
    """Members of a request that cannot change what is answered, or that are asked for in another way."""
    formal: ClassVar[tuple[str, ...]]
    """Those of ``unasked`` that any server that speaks the API leaves out of what it answers: of the others it may make
    something of its own."""

    def parse(self, body: bytes) -> tuple[Scan, ChatRequest]:
        """Checks and reads a request's body. Raises ``Failure``."""
        try:
            found = scan(body, self.fields)
            if found.kind(-1) != OBJECT:
                raise Failure.invalid("The body must be a JSON object.")
            return found, self.read(found)
        except BodyError as error:
            raise Failure.of_body(error) from None

    @abstractmethod
    def read(self, found: Scan) -> ChatRequest:
        """What the request asks for. Raises ``BodyError`` for wrong types, ``Failure`` for senseless values."""

    @abstractmethod
    def edits(
        self,
        found: Scan,
        request: ChatRequest,
        *,
        model: str | None = None,
        output_cap: int | None = None,
        cap_field: str | None = None,
    ) -> list[Edit]:
        """The splices towards the provider, sorted: another model, a cap on output, usage in streams.

        ``output_cap`` is the most that is left of each bound that the client gave, or is added as ``cap_field``
        (``None``: the API's own).
        """

    def temperature(self, found: Scan) -> float:
        """How much chance there is in the answer; APIs take 1 where nothing is said."""
        return float(found.raw(self.temperature_field) or 1) if found.kind(self.temperature_field) == NUMBER else 1.0

    def shows_all(self, found: Scan) -> bool:
        """Whether there is nothing in it that is looked up elsewhere, beside what ``ChatRequest`` tells."""
        return True

    def hides_usage(self, request: ChatRequest) -> bool:
        """Whether a stream's usage is asked for by the gateway only, and has to be taken out again."""
        return False

    @abstractmethod
    def charges_of_answer(self, found: Scan) -> list[Charge] | None:
        """What a whole answer reports, ``None`` where it reports nothing that can be believed."""

    @abstractmethod
    def charges_of_stream(self, captures: Mapping[int, bytes]) -> list[Charge] | None:
        """What a stream reported so far."""

    @abstractmethod
    def is_final(self, captures: Mapping[int, bytes]) -> bool:
        """Whether what a stream reported so far is all that it would have."""

    @abstractmethod
    def is_whole(self, scanner: EventScanner) -> bool:
        """Whether a stream that ended in order came to its end, as far as can be told."""

    @abstractmethod
    def is_complete(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """Whether a stream is sure to be all of an answer that nothing went wrong with, so that it may be kept."""

    @abstractmethod
    def is_answer(self, answer: bytes) -> bool:
        """Whether what came with a status of success is an answer, not an error or a part, so that it may be kept."""

    @abstractmethod
    def is_over(self, scanner: EventScanner, request: ChatRequest) -> bool:
        """Whether a stream has said why it ends, so that no output follows."""

    @abstractmethod
    def ending(self, scanner: EventScanner, request: ChatRequest, usage: Usage) -> bytes:
        """The events that end a stream in order where it is, as if its output cap had been reached there.

        ``scanner`` is the one that has metered it, between two events; ``usage`` is what it used so far.
        """

    @abstractmethod
    def events_of(self, answer: bytes, *, include_usage: bool) -> list[bytes] | None:
        """The events, whole each, that would have streamed a whole answer; ``None`` where it has no such form.

        ``include_usage``: whether the client wants a stream to state its usage, where the API lets it choose.
        """

    @abstractmethod
    def answer_of(self, events: bytes, *, usage: bytes | None = None) -> bytes | None:
        """The body of the whole answer that a stream was; ``None`` where that cannot be told for certain.

        ``events``: all that the client got, from first to last. ``usage``: as ``stated_of_stream`` gives it, for a
        stream whose client did not want it.
        """

    @abstractmethod
    def last_turn(self, body: bytes) -> Turn | None:
        """The last turn of a request's conversation, where it is the user's and nothing but a text."""

    @abstractmethod
    def said(self, answer: bytes) -> str | None:
        """The text of a whole answer that is nothing but a text, and came to its own end."""

    def same_form(self, events: bytes, *, include_usage: bool, usage: bytes | None = None) -> bytes | None:
        """A stream as a client gets it who wants its usage stated, or does not; ``None`` where it cannot be made."""
        return events

    def stated_of_stream(self, captures: Mapping[int, bytes]) -> bytes | None:
        """The usage that a stream stated, as JSON text, where clients may not get to see it."""
        return None

    @abstractmethod
    def output_bytes_of_answer(self, found: Scan) -> int:
        """UTF-8 bytes of a whole answer's output, for an estimate where usage is missing."""

    @abstractmethod
    def model_of_answer(self, found: Scan) -> str | None:
        """The model that the answer names."""

    @abstractmethod
    def error_body(self, shape: Shape, sentence: str, failure: Failure, request_id: str) -> bytes:
        """The API's error object."""

    @abstractmethod
    def stream_error(self, failure: Failure, request_id: str) -> bytes:
        """The event that ends a stream that has begun."""

    @abstractmethod
    def models(self, names: Sequence[str]) -> bytes:
        """The answer to ``GET /v1/models``."""

    @abstractmethod
    def model(self, name: str) -> bytes:
        """The answer to ``GET /v1/models/{name}``."""

    def limit_headers(self, kind: str, limit: int, left: int, resets_at_ns: int, now_ns: int) -> list[tuple[str, str]]:
        """How a limit stands that counts ``kind``: requests, tokens (any), input-tokens or output-tokens.

        As OpenAI says it, which knows the first two.
        """
        if kind not in ("requests", "tokens"):
            return []
        return [
            (f"x-ratelimit-limit-{kind}", str(limit)),
            (f"x-ratelimit-remaining-{kind}", str(left)),
            (f"x-ratelimit-reset-{kind}", duration(resets_at_ns - now_ns)),
        ]

    def usage_of_answer(self, found: Scan) -> Usage | None:
        """All charges of an answer in one, whatever their models."""
        return total(self.charges_of_answer(found))

    def usage_of_stream(self, captures: Mapping[int, bytes]) -> Usage | None:
        """All charges of a stream in one, whatever their models."""
        return total(self.charges_of_stream(captures))

    def error(self, failure: Failure, request_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers and body of an answer that is the gateway's own."""
        shape = self.shapes[failure.code]
        headers = [JSON_TYPE, ("x-fastgate-error", failure.code.value), (self.request_id_header, request_id)]
        if failure.transient and failure.retry_after is not None:
            headers.append(("retry-after", str(failure.retry_after)))
            if failure.retry_after_ms is not None:
                headers.append(("retry-after-ms", str(failure.retry_after_ms)))
        if not failure.transient:
            headers.append(("x-should-retry", "false"))
        return shape.status, headers, self.error_body(shape, failure.sentence(request_id), failure, request_id)


NULL: Final = 1
TRUE: Final = 3
NUMBER: Final = 4
STRING: Final = 5
OBJECT: Final = 7


def duration(ns: int) -> str:
    """``12ms``, ``1.234s``, ``6m0s``, ``24h0m0s``; rounded up to the millisecond."""
    seconds, ms = divmod(-(-ns // 1_000_000), 1000)
    if not seconds and ms:
        return f"{ms}ms"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{text}{seconds}" + (f".{ms:03d}".rstrip("0") if ms else "") + "s"


def total(charges: list[Charge] | None) -> Usage | None:
    """The sum of charges, estimated where one of them is; tier and geography are the first one's."""
    if not charges:
        return None
    if len(charges) == 1:
        return charges[0].usage
    first = charges[0].usage
    result = Usage(tier=first.tier, geo=first.geo, estimated=any(charge.usage.estimated for charge in charges))
    for bucket in range(N_BUCKETS):
        result[bucket] = sum(charge.usage[bucket] for charge in charges)
    return result


def output_tokens(usage: Usage) -> int:
    """Tokens of output of all kinds."""
    return usage[Bucket.OUTPUT] + usage[Bucket.REASONING] + usage[Bucket.AUDIO_OUTPUT]


def decoded(raw: bytes | None, exactly: bool = False) -> Any:
    """JSON text that a scan found, decoded; ``None`` for none, and for numbers beyond what can be held.

    ``exactly``: numbers with a fraction are what is written, as ``Decimal``.
    """
    if raw is None:
        return None
    try:
        return _EXACT.decode(raw) if exactly else msgspec.json.decode(raw)
    except (msgspec.DecodeError, InvalidOperation):
        anomalies["undecodable"] += 1
        return None


def microseconds(source: Mapping[str, Any], name: str) -> int | None:
    """Seconds (an integer or a ``Decimal``, from zero) in microseconds, rounded up; ``None`` as :func:`count`."""
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, int | Decimal) or isinstance(value, bool) or not value <= MAX_COUNT:
        anomalies["unbelievable"] += 1
        return None
    if value < 0:
        anomalies["negative"] += 1
        return 0
    return int(Decimal(value).quantize(_MICROSECOND, ROUND_CEILING).scaleb(6))


def served_tier(tiers: Mapping[str, Tier], name: object) -> Tier:
    """The tier that an answer names; standard where it names none, and, counted, where that name is not known."""
    if not isinstance(name, str):
        return Tier.STANDARD
    tier = tiers.get(name)
    if tier is None:
        anomalies["unknown_tier"] += 1
        return Tier.STANDARD
    return tier


def optional_text(found: Scan, field: int) -> str | None:
    """A string that only serves attribution: anything else is as good as absent."""
    if found.kind(field) != STRING:
        return None
    try:
        return found.text(field)
    except BodyError:
        return None


def capped(found: Scan, field: int, cap: int) -> Edit:
    """The splice that leaves at most ``cap`` of a bound, or puts it in place of a null."""
    own = found.integer(field)
    return (*found.span(field), b"%d" % (cap if own is None else min(own, cap)))


def required_model(found: Scan, field: int) -> str:
    """The model's name, which every request must have."""
    model = found.text(field)
    if not model:
        raise Failure.invalid("The member 'model' is missing or empty.", "model")
    return model
