"""OpenAI's costs: the pages of ``GET /v1/organization/costs``.

Amounts are USD, as numbers or as decimal strings. Grouped by ``line_item``, a name such as
``gpt-4o-mini-2024-07-18, cached input`` says model and kind of token; others (``web search tool calls``) name no model.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec

from fastgate.bills.bill import BadBill, Bill, amount, in_usd
from fastgate.bills.pages import Bucket, Page, of_buckets, pages

_COSTS: Final = "organization.costs.result"
_MODEL: Final = re.compile(r"(?:\w+ \| )?([\w.:/-]+)(?: (?:text|audio|image|video))?, \S.*")
"""An optional tier, the model, an optional modality, and what of it is billed."""

_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800)]


class _Amount(msgspec.Struct):
    value: Decimal
    currency: str


class _Result(msgspec.Struct):
    object: str
    amount: _Amount | None = None
    line_item: str | None = None


class _Bucket(msgspec.Struct):
    start_time: _Seconds
    end_time: _Seconds
    results: list[_Result]


class _Page(Page, kw_only=True):
    object: Literal["page"]
    data: list[_Bucket]


def recognises(document: Any) -> bool:
    """Whether it is one of OpenAI's pages."""
    return isinstance(document, dict) and document.get("object") == "page" and "data" in document


def read(documents: Sequence[tuple[str, Any]]) -> Bill:
    """The bill of all pages. Raises BadBill."""
    buckets = _buckets(pages(documents, _Page))
    return of_buckets("OpenAI's costs", "openai", "ask for it with group_by=line_item", buckets)


def model_of(line_item: str | None) -> str | None:
    """The model that a line item names, else the line item itself."""
    found = _MODEL.fullmatch(line_item or "")
    return found[1] if found else line_item or None


def _buckets(found: Sequence[tuple[str, _Page]]) -> Iterator[Bucket]:
    for above, page in found:
        for number, bucket in enumerate(page.data):
            place = f"{above}$.data[{number}]"
            amounts = [
                (model_of(result.line_item), _usd(result, f"{place}.results[{at}]"))
                for at, result in enumerate(bucket.results)
            ]
            yield Bucket(place, _moment(bucket.start_time), _moment(bucket.end_time), amounts)


def _usd(result: _Result, place: str) -> Decimal:
    if result.object != _COSTS:
        raise BadBill(f"{place}.object: {result.object[:60]!r} has no amounts: ask GET /v1/organization/costs for them")
    if result.amount is None:
        raise BadBill(f"{place}: it has no `amount`")
    in_usd(result.amount.currency, f"{place}.amount.currency")
    return amount(result.amount.value, f"{place}.amount.value")


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
