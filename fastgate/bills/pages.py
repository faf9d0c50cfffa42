"""What OpenAI's and Anthropic's pages have in common: buckets of a day, and a word on whether more follow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from fastgate.bills.bill import BadBill, Bill, Charge, Unit, shaped


class Page(msgspec.Struct, kw_only=True):
    """How a page ends, whoever's it is."""

    has_more: bool
    next_page: str | None = None


P = TypeVar("P", bound=Page)


def pages(documents: Sequence[tuple[str, Any]], form: type[P]) -> list[tuple[str, P]]:
    """Documents as pages of a form, with their places. Raises BadBill where one is none, or the last is missing."""
    found = [(place, shaped(document, form, place)) for place, document in documents]
    place, last = found[-1]
    if last.has_more:
        raise BadBill(f"{place}$.has_more: pages are missing: append what page={last.next_page!r} is answered with")
    return found


@dataclass(frozen=True)
class Bucket:
    """The charges of a span of time; ``place``: where in the file it stands."""

    place: str
    start: datetime
    end: datetime
    amounts: Sequence[tuple[str | None, Decimal] | tuple[str | None, Decimal, str]]
    """Model and value, and the kind of token where it is a number of tokens."""

    @property
    def day(self) -> date:
        """The UTC day that it lies in. Raises BadBill where it is not within one."""
        try:
            first, last = (
                moment.astimezone(UTC).date() for moment in (self.start, self.end - timedelta(microseconds=1))
            )
        except OverflowError:
            raise BadBill(f"{self.place}: a time that no calendar has") from None
        if first != last or last == date.max:
            raise BadBill(f"{self.place}: it goes from {self.start} to {self.end}, not over one UTC day")
        return first


def of_buckets(source: str, provider_type: str, split: str, buckets: Iterable[Bucket], unit: Unit = Unit.USD) -> Bill:
    """The bill of a provider that answers in buckets of a day. Raises BadBill where a day is there twice."""
    charges: list[Charge] = []
    places: dict[date, str] = {}
    for bucket in buckets:
        day = bucket.day
        if day in places:
            raise BadBill(f"{bucket.place}: {day} is there already, at {places[day]}; a bucket is a whole day")
        places[day] = bucket.place
        charges += (Charge(day, *each) for each in bucket.amounts)
    span = (min(places), max(places) + timedelta(1)) if places else None
    return Bill(source, provider_type, split, charges, span, unit)
