"""What was decided for each tenant: counters that outlive the process, of those that asked lately.

For one thread, as the repository.
"""

import heapq
from collections import OrderedDict
from typing import Final

from fastgate.semantic import counts as counting
from fastgate.semantic.counts import Counts
from fastgate.semantic.store import Store
from fastgate.wire.semantic_entries import TenantReport

MOST: Final = 10_000
"""Tenants with counters of their own, about 1 KB each; beyond them those of who asked least lately are forgotten."""
_NAME: Final = "tenant "


class Tenants:
    """Counters by tenant. ``forgotten``: of how many there are none any more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        found = [(bytes.fromhex(name.removeprefix(_NAME)), counting.load(data)) for name, data in store.values(_NAME)]
        self._counts = OrderedDict(sorted(found, key=lambda each: each[1].used_ms))
        self._changed: set[bytes] = set()
        self.forgotten = 0

    def of(self, tenant: bytes) -> Counts:
        """The tenant's, which count as changed."""
        counts = self._counts.get(tenant)
        if counts is None:
            counts = self._counts[tenant] = Counts()
            while len(self._counts) > MOST:
                self._forget()
        self._counts.move_to_end(tenant)
        self._changed.add(tenant)
        return counts

    def most(self, number: int) -> tuple[tuple[TenantReport, ...], bool]:
        """So many that asked most, those first; whether there are more."""
        asked = heapq.nlargest(number, self._counts.items(), key=lambda each: (each[1].events["find"], each[0]))
        return tuple(counts.report(tenant) for tenant, counts in asked), len(self._counts) > number

    def save(self) -> None:
        """Put down what changed."""
        for tenant in self._changed:
            self._store.put(_name(tenant), self._counts[tenant].dump())
        self._changed.clear()

    def _forget(self) -> None:
        tenant, _ = self._counts.popitem(last=False)
        self._changed.discard(tenant)
        self._store.drop(_name(tenant))
        self.forgotten += 1


def _name(tenant: bytes) -> str:
    return f"{_NAME}{tenant.hex()}"
