"""The bill: integer counters while requests pass, exact decimals when it is read.

Amounts are linear in the counts of a (key, model, day, tier, geo, long-context) line, so a request costs the bill a few
integer additions and one packed row; prices are multiplied only when somebody asks.
"""

from array import array
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from fastgate.simulator.prices import BUCKETS, EXACT, WEB_SEARCHES, Counts, Price

MICROSECONDS_PER_DAY = 86_400_000_000
NO_COUNTS: Counts = (0, 0, 0, 0, 0, 0, 0, 0, 0)
OUTCOMES = ("complete", "cancelled", "cut")
COMPLETE, CANCELLED, CUT = range(3)

# A row: line, start in microseconds since 1970, outcome, id of the answer, then a count for each bucket.
_COUNTS_AT = 4
_ROW = _COUNTS_AT + len(BUCKETS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Charge(msgspec.Struct, frozen=True):
    """What one answer is billed, or a part of it where several models took part."""

    model: str
    counts: Counts
    tier: str = "standard"
    geo: str = "global"


class LineName(NamedTuple):
    """What tells one line of the bill from another; ``day`` counts from 1970-01-01, UTC."""

    key: str
    model: str
    day: int
    tier: str
    geo: str
    long: bool


class _Line:
    __slots__ = ("counts", "index", "name", "requests")

    def __init__(self, index: int, name: LineName) -> None:
        self.index = index
        self.name = name
        self.requests = 0
        self.counts = list(NO_COUNTS)


class Bill:
    """Who was charged what. At most ``max_rows`` charges are kept one by one; the sums are always complete."""

    def __init__(self, prices: Mapping[str, Price], max_rows: int = 2_000_000) -> None:
        self.prices = prices
        self.max_rows = max_rows
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self._lines: dict[tuple[str, str, int, str, str, bool], _Line] = {}
        self._by_index: list[_Line] = []
        self._rows = array("q")
        self.dropped = 0
        self.unbilled: dict[str, int] = {}

    def add(
        self,
        key: str,
        charge: Charge,
        started_us: int,
        answer_id: int,
        *,
        outcome: int = COMPLETE,
        first: bool = True,
    ) -> None:
        """Books a charge of the request that began at ``started_us`` (unix microseconds).

        ``answer_id`` has at most 63 bits. ``first`` is false for the further charges of one request.
        """
        counts = charge.counts
        price = self.prices[charge.model]
        long = price.long_context is not None and price.is_long(counts)
        name = (key, charge.model, started_us // MICROSECONDS_PER_DAY, charge.tier, charge.geo, long)
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line(len(self._by_index), LineName(*name))
            self._by_index.append(line)
        line.requests += first
        sums = line.counts
        for position, count in enumerate(counts):
            if count:
                sums[position] += count
        if len(self._rows) < self.max_rows * _ROW:
            self._rows.extend((line.index, started_us, outcome, answer_id, *counts))
        else:
            self.dropped += 1

    def count_unbilled(self, reason: str) -> None:
        """Counts an answer that costs nothing: a failure, a hang, a refused request."""
        self.unbilled[reason] = self.unbilled.get(reason, 0) + 1

    def report(self) -> dict[str, Any]:
        """The whole bill for ``GET /_bill``: total, by key, by model, by day, and line by line."""
        return {
            "total": self._sums(lambda name: ())[0] if self._by_index else _group((), [], Decimal(0)),
            "by_key": self._sums(lambda name: (("key", name.key),)),
            "by_model": self._sums(lambda name: (("model", name.model),)),
            "by_day": self._sums(lambda name: (("day", _date(name.day)),)),
            "lines": self._sums(_every_field),
            "unbilled": self.unbilled,
            "rows": {"kept": len(self._rows) // _ROW, "dropped": self.dropped},
        }

    def requests(self, after: int, limit: int) -> dict[str, Any]:
        """Charges one by one, in order, for ``GET /_bill/requests``; ``next`` is the following ``after``, or null."""
        kept = len(self._rows) // _ROW
        end = min(after + limit, kept)
        return {
            "items": [self._item(number) for number in range(after, end)],
            "next": end if end < kept else None,
            "dropped": self.dropped,
        }

    def _item(self, number: int) -> dict[str, Any]:
        row = self._rows[number * _ROW : (number + 1) * _ROW]
        index, started_us, outcome, answer_id = row[:_COUNTS_AT]
        name = self._by_index[index].name
        counts = _counts(row[_COUNTS_AT:])
        return {
            "number": number,
            "id": f"{answer_id:016x}",
            "started": (_EPOCH + timedelta(microseconds=started_us)).isoformat(),
            "outcome": OUTCOMES[outcome],
            **dict(_every_field(name)),
            "usd": _text(self._usd(name, counts)),
            **_named(counts),
        }

    def _usd(self, name: LineName, counts: Counts) -> Decimal:
        return self.prices[name.model].usd(counts, name.tier, name.geo, name.long)

    def _sums(self, group_of: Callable[[LineName], tuple[tuple[str, Any], ...]]) -> list[dict[str, Any]]:
        groups: dict[tuple[tuple[str, Any], ...], tuple[list[_Line], Decimal]] = {}
        for line in self._by_index:
            group = group_of(line.name)
            lines, usd = groups.get(group, ([], Decimal(0)))
            amount = self._usd(line.name, _counts(line.counts))
            lines.append(line)
            groups[group] = (lines, EXACT.add(usd, amount))
        return [_group(group, lines, usd) for group, (lines, usd) in groups.items()]


def _group(fields: tuple[tuple[str, Any], ...], lines: list[_Line], usd: Decimal) -> dict[str, Any]:
    sums = [sum(line.counts[position] for line in lines) for position in range(len(BUCKETS))]
    return {
        **dict(fields),
        "requests": sum(line.requests for line in lines),
        "usd": _text(usd),
        **_named(_counts(sums)),
    }


def _every_field(name: LineName) -> tuple[tuple[str, Any], ...]:
    return (
        ("key", name.key),
        ("model", name.model),
        ("day", _date(name.day)),
        ("tier", name.tier),
        ("geo", name.geo),
        ("long_context", name.long),
    )


def _counts(values: "list[int] | array[int]") -> Counts:
    fresh, read, write, write_1h, output, reasoning, audio_input, audio_output, searches = values
    return (fresh, read, write, write_1h, output, reasoning, audio_input, audio_output, searches)


def _named(counts: Counts) -> dict[str, int]:
    return {f"{bucket}_tokens" if at != WEB_SEARCHES else bucket: counts[at] for at, bucket in enumerate(BUCKETS)}


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def _text(usd: Decimal) -> str:
    return f"{usd:f}"
