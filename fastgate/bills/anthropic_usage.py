"""Anthropic's usage report: the pages of ``GET /v1/organizations/usage_report/messages``, in buckets of a day.

It counts tokens and has no amounts. Grouped by ``model`` it says whose they are. Output includes thinking.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from fastgate.bills import anthropic
from fastgate.bills.bill import KINDS, Bill, Unit
from fastgate.bills.pages import Bucket, Page, of_buckets, pages

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Written(msgspec.Struct):
    ephemeral_5m_input_tokens: _Count
    ephemeral_1h_input_tokens: _Count


class _Result(msgspec.Struct):
    uncached_input_tokens: _Count
    cache_read_input_tokens: _Count
    cache_creation: _Written
    output_tokens: _Count
    model: str | None = None


class _Bucket(msgspec.Struct):
    starting_at: _Moment
    ending_at: _Moment
    results: list[_Result]


class _Page(Page, kw_only=True):
    data: list[_Bucket]


class _AnyBucket(msgspec.Struct):
    results: list[dict[str, Any]]


class _AnyPage(msgspec.Struct):
    data: list[_AnyBucket]


def recognises(document: Any) -> bool:
    """Whether it is one of Anthropic's pages that has counts of tokens in it."""
    if not anthropic.recognises(document):
        return False
    try:
        buckets = msgspec.convert(document, _AnyPage).data
    except msgspec.ValidationError:
        return False
    return any("uncached_input_tokens" in result for bucket in buckets for result in bucket.results)


def read(documents: Sequence[tuple[str, Any]]) -> Bill:
    """The report of all pages. Raises BadBill."""
    buckets = _buckets(pages(documents, _Page))
    return of_buckets("Anthropic's usage report", "anthropic", "ask for it with group_by[]=model", buckets, Unit.TOKENS)


def _buckets(found: Sequence[tuple[str, _Page]]) -> Iterator[Bucket]:
    for above, page in found:
        for number, bucket in enumerate(page.data):
            amounts = [
                (result.model, Decimal(count), kind)
                for result in bucket.results
                for kind, count in zip(KINDS, _counts(result), strict=True)
            ]
            yield Bucket(f"{above}$.data[{number}]", bucket.starting_at, bucket.ending_at, amounts)


def _counts(result: _Result) -> tuple[int, ...]:
    """In the order of ``KINDS``."""
    written = result.cache_creation
    return (
        result.uncached_input_tokens,
        result.cache_read_input_tokens,
        written.ephemeral_5m_input_tokens,
        written.ephemeral_1h_input_tokens,
        result.output_tokens,
    )
