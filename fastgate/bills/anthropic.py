"""Anthropic's cost report: the pages of ``GET /v1/organizations/cost_report``.

Amounts are decimal strings of cents. Grouped by ``description``, tokens bear their model, and what is no token (a web
search, code execution) its ``cost_type`` alone.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from fastgate.bills.bill import EXACT, BadBill, Bill, amount, in_usd
from fastgate.bills.pages import Bucket, Page, of_buckets, pages

_CENT: Final = Decimal("0.01")
_TOKENS: Final = "tokens"

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Result(msgspec.Struct):
    amount: Decimal | None = None
    currency: str = ""
    cost_type: str | None = None
    model: str | None = None


class _Bucket(msgspec.Struct):
    starting_at: _Moment
    ending_at: _Moment
    results: list[_Result]


class _Page(Page, kw_only=True):
    data: list[_Bucket]


def recognises(document: Any) -> bool:
    """Whether it is one of Anthropic's pages: unlike OpenAI's, they do not say what they are."""
    return isinstance(document, dict) and "object" not in document and {"data", "has_more"} <= document.keys()


def read(documents: Sequence[tuple[str, Any]]) -> Bill:
    """The bill of all pages. Raises BadBill."""
    buckets = _buckets(pages(documents, _Page))
    return of_buckets("Anthropic's cost report", "anthropic", "ask for it with group_by[]=description", buckets)


def _buckets(found: Sequence[tuple[str, _Page]]) -> Iterator[Bucket]:
    for above, page in found:
        for number, bucket in enumerate(page.data):
            place = f"{above}$.data[{number}]"
            amounts = [
                (_model(result), _usd(result, f"{place}.results[{at}]")) for at, result in enumerate(bucket.results)
            ]
            yield Bucket(place, bucket.starting_at, bucket.ending_at, amounts)


def _model(result: _Result) -> str | None:
    return result.model or (None if result.cost_type == _TOKENS else result.cost_type)


def _usd(result: _Result, place: str) -> Decimal:
    if result.amount is None:
        raise BadBill(f"{place}: it has no `amount`")
    in_usd(result.currency, f"{place}.currency")
    return EXACT.multiply(amount(result.amount, f"{place}.amount"), _CENT)
