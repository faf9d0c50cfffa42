"""Budgets begun anew while requests run: what was spent is taken off, what is held stays."""

import time
from pathlib import Path
from typing import Final

from fastgate._core.arena import Arena
from fastgate._core.budget import reset
from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import Owner
from fastgate.budgets.periods import period_of
from fastgate.wire.snapshot import BudgetRecord

_NO_LIMIT: Final = 1 << 62


class Resets:
    """Of one control process, whose ``owner`` it uses: in one thread, since an owner makes one change at a time."""

    def __init__(self, arena: Arena, owner: Owner, folder: Path) -> None:
        self._arena = arena
        self._owner = owner
        self._folder = str(folder)
        self._journal: Journal | None = None
        self._count = 0

    def take_off(self, record: BudgetRecord) -> int:
        """nano-USD that were spent in the budget's present window, and no longer count. Raises ArenaFull, OSError."""
        cell = self._arena.find(record.id)
        if cell is None or not self._arena.anchor(cell):
            return 0  # never used: a reset must not begin its first window
        levels = Levels(self._arena, [Level(cell, _NO_LIMIT, period_of(record))])
        if self._journal is None:
            self._journal = Journal(self._folder, self._owner.slot)
        self._journal.prepare()
        now = time.time_ns()
        self._count += 1
        request_id = now.to_bytes(8, "big") + self._count.to_bytes(8, "big")
        return reset(self._owner, self._journal, levels, Draft(route=record.id), now, request_id)

    def close(self) -> None:
        """Nothing more will come."""
        if self._journal is not None:
            self._journal.close()
