"""What requests cost above what was held for them, by the levels whose budgets that fell on."""

from typing import Final

import numpy as np

from fastgate.budgets.templates import EACH
from fastgate.control.counters import owners_of
from fastgate.control.payments import OfOwner
from fastgate.ledger.inserts import Columns

UNBOUND: Final = ""
"""The level of a request that no budget binds."""


class Overruns:
    """Since this process began, for the thread that writes the ledger."""

    def __init__(self) -> None:
        self.by_level: dict[str, tuple[int, int]] = {}
        """Requests, and what they cost above their holds in nano-USD; one counts at every level that has a budget."""

    def note_batch(self, columns: Columns, of_owner: OfOwner) -> None:
        """The requests of a batch that is in the ledger."""
        excess = np.frombuffer(columns["overrun_nano"], dtype=np.int64)
        for at in np.flatnonzero(excess).tolist():
            customer, team, key, provider = (columns[name][at] for name in ("customer", "team", "key", "provider"))
            owners = (*owners_of(customer, team, key, provider), f"{EACH}{key}")
            levels = {record.level for owner in owners for record in of_owner(owner)}
            for level in levels or {UNBOUND}:
                requests, nano = self.by_level.get(level, (0, 0))
                self.by_level[level] = requests + 1, nano + int(excess[at])
