"""What a host may use beyond its slice while the store grants nothing: so much of each window, whatever happens.

What was granted beyond the slice is written down before anybody can use it, and called back when the store can be asked
again, down to what was used of it. So a process that dies at any moment leaves less to use than there might be.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import Annotated, Final

import msgspec

from fastgate._core.leases import grant, granted, take_back, used
from fastgate._core.owner import Owner
from fastgate.budgets.leases.files import read
from fastgate.budgets.leases.slips import Slip
from fastgate.wire.money import usd
from fastgate.wire.snapshot import BudgetRecord, LimitRecord
from fastgate.wire.whole_files import replace

_KEPT_NS: Final = 60_000_000_000
"""For so long after its window's end a loan is known."""

_ALL: Final = 1 << 62
"""More than any grace."""

log = logging.getLogger("fastgate.control")


_Amount = Annotated[int, msgspec.Meta(ge=0)]


class Loan(msgspec.Struct, array_like=True):
    """Of one window: nano-USD that are granted beyond the slice now, and that were used of such before."""

    ends_ns: _Amount
    lent: _Amount
    used: _Amount


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By window. ``unknown_before_ns``: of windows that had begun by then nobody knows any more what was lent."""

    loans: dict[str, Loan] = {}
    unknown_before_ns: int = 0


class Loans:
    """``Loans(path)``: kept there; None: in memory. Once that was damaged nothing is lent of what had begun.

    ``is_new``: the host was never here before; else a file that is missing was lost.
    """

    def __init__(self, path: Path | None = None, *, is_new: bool = True) -> None:
        self._path = path
        unknown = _Kept(unknown_before_ns=time_ns())
        found = None if path is None else read(path, msgspec.json.Decoder(_Kept).decode, unknown)
        self._kept = found or (_Kept() if is_new else unknown)
        if found is None or found is unknown:
            with suppress(OSError):  # then nothing can be lent at all
                self._write(self._kept)

    def __bool__(self) -> bool:
        """Whether anything is lent now."""
        return any(loan.lent for loan in self._kept.loans.values())

    def of(self, slip: Slip) -> Loan:
        """Nothing, where nobody wrote of it."""
        known = slip.span.begins_ns >= self._kept.unknown_before_ns
        return self._kept.loans.get(_name(slip)) or Loan(slip.span.ends_ns, 0, 0 if known else _ALL)

    def write(self, slip: Slip, *, lent: int, used: int, now_ns: int) -> None:
        """From here on it is so much. Raises OSError, and nothing has changed."""
        loans = {name: loan for name, loan in self._kept.loans.items() if not 0 < loan.ends_ns < now_ns - _KEPT_NS}
        loans[_name(slip)] = Loan(slip.span.ends_ns, lent, used)
        self._write(_Kept(loans, self._kept.unknown_before_ns))

    def _write(self, kept: _Kept) -> None:
        if self._path is not None:
            replace(self._path, msgspec.json.encode(kept))
        self._kept = kept


class Lender:
    """For one thread, as the holder whose slips it is given. ``clock``: Unix ns."""

    def __init__(self, owner: Owner, loans: Loans, clock: Callable[[], int]) -> None:
        self._owner, self._arena = owner, owner.arena
        self._loans, self._clock = loans, clock
        self._told: set[str] = set()

    def __bool__(self) -> bool:
        """Whether anything is lent now."""
        return bool(self._loans)

    def forget_told(self) -> None:
        """What is lent from here on is told anew."""
        self._told.clear()

    def has_lent(self, slip: Slip) -> bool:
        """Whether more may be used of it than is leased."""
        return self._loans.of(slip).lent > 0

    def lend(self, slip: Slip) -> int:
        """What its grace leaves may be used beyond the slice from here on. Returns how much is at hand."""
        loan, now_ns = self._loans.of(slip), self._clock()
        cell, window = slip.lease.cell, slip.span.number
        more = slip.lease.grace - loan.used - loan.lent
        if more > 0 and not 0 < slip.span.ends_ns <= now_ns and self._write(slip, loan.lent + more, loan.used):
            grant(self._arena, cell, window, granted(self._arena, cell, window) + more)
            self._tell(slip, more)
        taken, _ = used(self._arena, cell, window) or (0, 0)
        return max(0, granted(self._arena, cell, window) - taken)

    def call_back(self, slip: Slip) -> None:
        """What was lent and not used may not be used any more; what was used is claimed like all else."""
        loan = self._loans.of(slip)
        if not loan.lent:
            return
        cell, window = slip.lease.cell, slip.span.number
        leased = granted(self._arena, cell, window) - loan.lent
        beyond = loan.lent  # where it is not in the arena: that was lost, and with it what was used of it
        if leased >= 0:
            beyond = max(0, take_back(self._owner, cell, window, leased) - leased)
        self._write(slip, 0, loan.used + beyond)  # else it counts as lent yet, and more is taken back than there is
        slip.look_at_ns = 0

    def _tell(self, slip: Slip, more: int) -> None:
        """Once, however often the store fails meanwhile after it has heard something."""
        if (name := _name(slip)) not in self._told:
            self._told.add(name)
            log.warning("leases: %s may go beyond its slice by %s USD on this host", slip.lease.id, usd(more))

    def _write(self, slip: Slip, lent: int, spent: int) -> bool:
        try:
            self._loans.write(slip, lent=lent, used=spent, now_ns=self._clock())
        except OSError as error:
            log.warning("leases: what %s lends cannot be written: %s", slip.lease.id, error)
            return False
        return True


def grace_of(record: BudgetRecord | LimitRecord) -> int:
    """Nano-USD of each window; only budgets have any."""
    return record.grace if isinstance(record, BudgetRecord) else 0


def _name(slip: Slip) -> str:
    return f"{slip.span.number} {slip.lease.id}"
