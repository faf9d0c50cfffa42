"""A bill beside the ledger, row by row, and what a difference between them means.

Everything is integers: nano-USD, or tokens. The ledger rounds each request once and the bill is rounded once a row, so
that amounts may be half a nano-USD a request apart without a reason. What the ledger marks ``estimated`` or
``unsettled`` is an upper bound: the provider may have billed less, down to nothing. So a bill within
``[ledger - estimated - unsettled, ledger]`` is explained, and one outside of it is not. Of the tokens of an unsettled
request the ledger knows nothing: where there is one, any number above the ledger's is explained.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any, Final

from fastgate.bills.bill import EXACT, BadBill, Bill, Unit

AXES: Final = ("day", "model")

_NANO: Final = Decimal(10**9)
_SNAPSHOT: Final = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)\Z", re.ASCII)
_SUMMED: Final = ("bill", "ledger", "requests", "estimated", "unsettled", "uncounted")

Key = tuple[date | None, str | None]
"""Day and model; None for what rows are not told apart by."""


class Verdict(StrEnum):
    """From good to bad."""

    EQUAL = "equal"
    EXPLAINED = "explained"
    TOLERATED = "tolerated"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Booked:
    """What the ledger has for a model on a UTC day, by settlement; ``value`` in the bill's unit, ``kind`` of tokens."""

    day: date
    model: str
    settlement: str
    requests: int
    value: int
    kind: str = ""


@dataclass(frozen=True)
class Tolerance:
    """What of an unexplained difference is let through: the greater of a value and a share of the bill."""

    value: int = 0
    percent: Decimal = Decimal(0)

    def of(self, bill: int) -> int:
        """For a row of which that much was billed."""
        return max(self.value, int(abs(bill) * self.percent / 100))


NO_TOLERANCE: Final = Tolerance()


@dataclass(frozen=True)
class Row:
    """``bill`` or ``ledger`` is None where that side has nothing, ``day`` or ``model`` where it is summed over."""

    day: date | None = None
    model: str | None = None
    bill: int | None = None
    ledger: int | None = None
    requests: int = 0
    estimated: int = 0
    unsettled: int = 0
    uncounted: int = 0
    """Requests of which the ledger has no tokens."""
    unit: Unit = Unit.USD
    tolerance: Tolerance = NO_TOLERANCE

    @property
    def difference(self) -> int:
        """What was billed above the ledger; below it where negative."""
        return (self.bill or 0) - (self.ledger or 0)

    @property
    def rounding(self) -> int:
        """How far both may be apart for being rounded."""
        return (self.requests + 1) // 2 if self.unit is Unit.USD else 0

    @property
    def unexplained(self) -> int:
        """The part of the difference that neither estimates nor rounding account for."""
        above = 0 if self.uncounted else max(self.difference, 0)
        below = min(self.difference + self.estimated + self.unsettled, 0)
        beyond = above + below
        return beyond if abs(beyond) > self.rounding else 0

    @property
    def verdict(self) -> Verdict:
        """What the difference means."""
        if self.unexplained:
            within = abs(self.unexplained) <= self.tolerance.of(self.bill or 0)
            return Verdict.TOLERATED if within else Verdict.DIFFERENT
        return Verdict.EQUAL if abs(self.difference) <= self.rounding else Verdict.EXPLAINED


@dataclass(frozen=True)
class Comparison:
    """``rows`` in order; ``total`` is their sum and has a verdict of its own: small differences must not pile up."""

    rows: Sequence[Row]
    total: Row

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        order = list(Verdict)
        return max((row.verdict for row in (*self.rows, self.total)), key=order.index)


def compare(
    bill: Bill,
    booked: Iterable[Booked],
    by: Sequence[str] = AXES,
    tolerance: Tolerance = NO_TOLERANCE,
    names: Mapping[str, str] | None = None,
) -> Comparison:
    """``by``: what rows are told apart by, of ``AXES``. ``names``: models of the bill, as the ledger calls them.

    The date of a model's snapshot is left out, since bills name snapshots and requests mostly do not. Rows in which
    neither side has an amount are left out. Raises BadBill where rows are by model and the bill names none.
    """
    empty = Row(unit=bill.unit, tolerance=tolerance)
    rows = {
        (day, model): replace(empty, day=day, model=model, bill=_whole(value, bill.unit))
        for (day, model), value in _billed(bill, by, names or {}).items()
    }
    for each in booked:
        day, model = key = _key(by, each.day, each.model, each.kind)
        rows[key] = _with(rows.get(key, replace(empty, day=day, model=model)), each)
    told = [row for row in rows.values() if row.bill or row.ledger]
    told.sort(key=lambda row: (row.day or date.min, row.model or ""))
    return Comparison(told, _total(told, empty))


def _key(by: Sequence[str], day: date, model: str, kind: str) -> Key:
    name = _SNAPSHOT.sub("", model)
    return (day if "day" in by else None, (f"{name}, {kind}" if kind else name) if "model" in by else None)


def _billed(bill: Bill, by: Sequence[str], names: Mapping[str, str]) -> dict[Key, Decimal]:
    """Exact sums, so that each is rounded once."""
    sums: dict[Key, Decimal] = {}
    for charge in bill.charges:
        if charge.model is None and charge.value and "model" in by:
            raise BadBill(f"it does not say which models it bills: {bill.split}, or compare with --by day")
        model = charge.model or ""
        key = _key(by, charge.day, names.get(model, model), charge.kind)
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), charge.value)
    return sums


def _with(row: Row, booked: Booked) -> Row:
    unsettled = booked.settlement == "unsettled"
    return replace(
        row,
        ledger=(row.ledger or 0) + booked.value,
        requests=row.requests + booked.requests,
        estimated=row.estimated + booked.value * (booked.settlement == "estimated"),
        unsettled=row.unsettled + booked.value * unsettled,
        uncounted=row.uncounted + booked.requests * (unsettled and row.unit is Unit.TOKENS),
    )


def _total(rows: Sequence[Row], empty: Row) -> Row:
    sums: dict[str, Any] = {name: sum(getattr(row, name) or 0 for row in rows) for name in _SUMMED}
    return replace(empty, **sums)


def _whole(value: Decimal, unit: Unit) -> int:
    if unit is Unit.TOKENS:
        return int(value)
    return int(EXACT.multiply(value, _NANO).to_integral_value(ROUND_HALF_EVEN))
