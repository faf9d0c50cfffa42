"""Every limit that is written down, and how it stands: the configuration file's and the state store's."""

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import Final

import msgspec

from fastgate._core.arena import Arena
from fastgate._core.levels import Levels
from fastgate.budgets.levels import level_at
from fastgate.budgets.limits import limit_templates_of
from fastgate.budgets.periods import period_of
from fastgate.control.configuration import Published
from fastgate.control.stored_templates import key_with_templates
from fastgate.state import objects
from fastgate.state.store import Store
from fastgate.wire.snapshot import LimitRecord

_id: Final = attrgetter("id")
_decode: Final = msgspec.msgpack.Decoder(LimitRecord).decode


@dataclass(frozen=True)
class LimitStanding:
    """A limit now. ``used``: what counted in its window, with what open requests may still take."""

    record: LimitRecord
    used: int
    resets_at_ns: int
    """0 where it never resets or was never used."""


def limit_standing(arena: Arena, record: LimitRecord, *, shared: bool = False) -> LimitStanding:
    """Reads the limit's cell; one that was never used has none. ``shared``: with what is known of other hosts."""
    cell = arena.find(record.id)
    if cell is None:
        return LimitStanding(record, 0, 0)
    now_ns = time.time_ns()
    settled, held, _, resets_at_ns = arena.read_cell(cell, period_of(record), now_ns)
    used_elsewhere, _ = Levels(arena, [level_at(cell, record, shared=shared)]).elsewhere(0, now_ns)
    return LimitStanding(record, settled + held + used_elsewhere, resets_at_ns)


class LimitBook:
    """May be asked from any thread. Raises StateError where the store cannot be read."""

    def __init__(self, store: Store, published: Callable[[], Published]) -> None:
        self._store = store
        self._published = published

    def page(self, after: str, limit: int, level: str | None = None, owner: str | None = None) -> list[LimitRecord]:
        """In the order of their ids, from behind ``after``."""
        known = self._published().compiled.limits
        of_file = (
            record
            for record in islice(known, bisect_right(known, after, key=_id), None)
            if level in (None, record.level) and owner in (None, record.owner)
        )
        with self._store.read() as db:
            stored = [_decode(blob) for _, blob in objects.limit_page(db, after, limit, level, owner)]
        return list(islice(merge(of_file, stored, key=_id), limit))

    def templates(self, key: str) -> tuple[LimitRecord, ...]:
        """Those of which a key has one for each user, tag and so on."""
        records = self._published().compiled.limit_templates.get(key)
        if records is not None:
            return records
        stored = key_with_templates(self._store, key)
        return () if stored is None else tuple(chain.from_iterable(limit_templates_of(stored).values()))
