"""The simulator's bill: ``GET /_bill``, or all pages of ``GET /_bill/requests``."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from fastgate.bills.bill import BadBill, Bill, Charge, amount, shaped


class _Line(msgspec.Struct):
    model: str
    day: date
    usd: Decimal


class _Sums(msgspec.Struct):
    lines: list[_Line]


class _Item(_Line):
    number: int


class _Page(msgspec.Struct):
    items: list[_Item]
    dropped: int
    next: int | None


def recognises(document: Any) -> bool:
    """Whether it is one of its two answers."""
    return isinstance(document, dict) and ({"lines", "unbilled"} <= document.keys() or _is_page(document))


def read(documents: Sequence[tuple[str, Any]]) -> Bill:
    """The bill of the sums, or of all pages. Raises BadBill."""
    if any(_is_page(document) for _, document in documents):
        charges = list(_one_by_one(documents))
    else:
        if len(documents) > 1:
            raise BadBill(f"{documents[1][0]}one answer of /_bill has everything")
        place, document = documents[0]
        charges = list(_charges(shaped(document, _Sums, place).lines, f"{place}$.lines"))
    return Bill("the simulator's bill", "sim", "it always does", charges)


def _is_page(document: Any) -> bool:
    return isinstance(document, dict) and {"items", "dropped"} <= document.keys()


def _one_by_one(documents: Sequence[tuple[str, Any]]) -> Iterator[Charge]:
    known = 0
    for place, document in documents:
        page = shaped(document, _Page, place)
        if page.dropped:
            raise BadBill(f"{place}$.dropped: {page.dropped} charges are not listed; /_bill has their sums, too")
        for at, item in enumerate(page.items):
            if item.number != known:
                raise BadBill(f"{place}$.items[{at}]: charge {item.number} where {known} is next: a page is missing")
            known += 1
        yield from _charges(page.items, f"{place}$.items")
    if page.next is not None:
        raise BadBill(f"{place}$.next: pages are missing: append what after={page.next} is answered with")


def _charges(lines: Sequence[_Line], place: str) -> Iterator[Charge]:
    for at, line in enumerate(lines):
        yield Charge(line.day, line.model, amount(line.usd, f"{place}[{at}].usd"))
