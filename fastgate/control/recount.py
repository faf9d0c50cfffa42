"""Whether the counters can be relied on, and what makes them so after the arena was lost.

A new arena counts from zero although its budgets may have been spent. Until what the ledger knows is in it, or the
operator says that it may begin at zero, workers refuse whatever a budget binds (``Arena.counted``).
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastgate._core.arena import Arena
from fastgate.control.budget_book import BudgetBook
from fastgate.control.counters import lost, restore
from fastgate.ledger.errors import LedgerError, LedgerUnavailable
from fastgate.ledger.schema import birth_of
from fastgate.ledger.store import Ledger
from fastgate.wire.whole_files import replace

REFUSED: Final = (
    "; nothing else knows what was spent, so that requests which a budget binds are refused until the ledger can be"
    " read, or until the loss is accepted: fastgate state accept-loss"
)

log = logging.getLogger("fastgate.control")


class Recount:
    """``flush`` drains the journals and says whether all that was in them is in the ledger now.

    ``mark`` is a file with the birth of the ledger that knows what was spent: a new one in its place knows nothing.
    Methods may be called from any thread.
    """

    def __init__(self, arena: Arena, ledger: Ledger, flush: Callable[[], bool], mark: Path) -> None:
        self.not_compared: str | None = None
        """Why the counters could not be compared with the ledger."""
        self.book: BudgetBook | None = None
        """The budgets by which they are: those of the configuration that is in force, or comes next."""
        self._arena = arena
        self._ledger = ledger
        self._flush = flush
        self._mark = mark
        self._lock = threading.Lock()

    def before(self, book: BudgetBook) -> None:
        """Nobody uses the budgets of ``book`` yet: those whose counters were lost get them back."""
        self.book = book
        try:
            if self._arena.counted and not lost(self._arena, self._ledger, book.find):
                self._recognise()
                self.not_compared = None
                return
            if not self._flush():  # what a lost arena left in the journals belongs to its counters
                raise LedgerUnavailable(f"the journals cannot be drained: {self._ledger.error}")
            self._compare(book)
        except LedgerError as error:
            self.not_compared = str(error)
            log.warning(
                "counters cannot be compared with the ledger: %s%s", error, "" if self._arena.counted else REFUSED
            )

    def after_drain(self) -> None:
        """All journals are in the ledger: if nobody relies on the counters yet, they can be made right now."""
        if self._arena.counted or self.book is None:
            return
        try:
            self._compare(self.book)
        except LedgerError as error:
            self.not_compared = str(error)
            return
        log.warning("the ledger can be read again: requests that a budget binds are served")

    def accept_loss(self) -> bool:
        """The counters that are not known begin at zero; false where all are known, so that nothing changes."""
        with self._lock:
            accepted = not self._arena.counted
            self._mark.unlink(missing_ok=True)
            self._arena.set_counted()
        self.not_compared = None
        if accepted:
            log.warning("what was spent before is not counted: the loss was accepted")
        return accepted

    def _compare(self, book: BudgetBook) -> None:
        with self._lock:
            self._recognise()
            missing = lost(self._arena, self._ledger, book.find)
            if missing:
                restore(self._arena, self._ledger, missing)
            self._arena.set_counted()
        self.not_compared = None

    def _recognise(self) -> None:
        """Marks the ledger as the one that knows. Raises LedgerUnavailable where that is another one."""
        if self._mark.exists() and self._arena.counted:
            return
        with self._ledger.cursor() as cursor:
            born = birth_of(cursor)
        known = self._mark.read_text(encoding="utf-8").strip() if self._mark.exists() else born
        if known != born:
            raise LedgerUnavailable(
                f"the ledger was begun at {born}, and the one that knows what was spent at {known}: that one is gone"
            )
        try:
            replace(self._mark, f"{born}\n".encode())
        except OSError as error:
            log.warning("%s cannot be written, so that another ledger would not be noticed: %s", self._mark, error)
