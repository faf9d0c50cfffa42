"""``tests/vectors``: what providers report, and the arithmetic of what that costs.

A row: ``case``, ``type`` (of the provider), ``api``, ``model``, ``answer`` (the provider's document, as far as it
matters), ``usd`` (a sum of counts times list prices, see :mod:`tests.support.arithmetic`); sometimes ``at`` (UTC),
``host`` (the provider's address), ``header`` (Gemini's tier), ``ask`` (further members of the request; ``characters``
in place of a long text to be spoken) and ``total``
(the result as it is published). A file may state ``type`` and ``api`` for all of its rows.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from fastgate._core.body import scan
from fastgate._core.price import Usage
from fastgate.dialects import openai_responses_usage
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import Charge, Dialect
from fastgate.dialects.bedrock_usage import bedrock_usage
from fastgate.dialects.gemini_usage import gemini_usage, searches_of
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.dialects.openai_usage import RESPONSES, embeddings_usage, speech_usage, transcription_usage, usage_of
from tests.support.arithmetic import to_the_nano, worked_out

FOLDER: Final = Path(__file__).parents[1] / "vectors"
NOON: Final = datetime(2026, 11, 21, 12)


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row."""

    case: str
    type: str
    api: str
    model: str
    usd: str
    answer: dict[str, Any] = {}
    at: datetime = NOON
    host: str | None = None
    header: str | None = None
    ask: dict[str, Any] = {}
    total: str | None = None

    @property
    def at_ns(self) -> int:
        """Unix nanoseconds of the request's start."""
        return int(self.at.replace(tzinfo=UTC).timestamp()) * 10**9

    @property
    def expected(self) -> Decimal:
        """USD to the nano-dollar, by the row's own arithmetic."""
        return to_the_nano(worked_out(self.usd))

    def charges(self) -> list[Charge] | None:
        """What our parser of this API makes of the answer."""
        return READERS[self.api](self)


@cache
def vectors(name: str) -> tuple[Vector, ...]:
    """The rows of a file; ``*``: of all."""
    rows = []
    for path in sorted(FOLDER.glob(f"{name}.yaml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        common = {member: document[member] for member in ("type", "api") if member in document}
        rows += [msgspec.convert({**common, **row}, Vector) for row in document["rows"]]
    return tuple(rows)


def label(vector: Vector) -> str:
    """How a test names a row."""
    return f"{vector.type} {vector.case}"


def _by_dialect(dialect: Dialect) -> Callable[[Vector], list[Charge] | None]:
    return lambda row: dialect.charges_of_answer(scan(json.dumps(row.answer).encode(), dialect.answer_fields))


def _by(read: Callable[[Vector], Usage | None]) -> Callable[[Vector], list[Charge] | None]:
    def charges(row: Vector) -> list[Charge] | None:
        usage = read(row)
        return None if usage is None else [Charge(None, usage)]

    return charges


def _gemini(row: Vector) -> Usage | None:
    searches = searches_of(row.answer.get("candidates"), row.model)
    return gemini_usage(row.answer["usageMetadata"], row.header, searches)


READERS: Final = {
    "chat": _by_dialect(OPENAI_CHAT),
    "messages": _by_dialect(ANTHROPIC),
    "responses": lambda row: openai_responses_usage.charges(row.answer),
    "embeddings": _by(lambda row: embeddings_usage(row.answer["usage"])),
    "images": _by(lambda row: usage_of(row.answer["usage"], None, RESPONSES)),
    "transcription": _by(lambda row: transcription_usage(json.dumps(row.answer["usage"]).encode())),
    "speech": _by(lambda row: speech_usage(row.ask.get("input") or "x" * row.ask["characters"])),
    "gemini": _by(_gemini),
    "bedrock": _by(lambda row: bedrock_usage(row.answer["usage"], row.answer.get("serviceTier"))),
}
