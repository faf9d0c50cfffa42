"""What is known of each entry without reading its answer: by id, in the order of their last use, by their expiry."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from time import time_ns
from typing import Final

MOST_SEEN: Final = 32
"""Comparisons that an entry remembers: the latest."""

Seen = tuple[float, bool]
"""Of one comparison: how near the question was, and whether the answers said the same."""


@dataclass(slots=True)
class Entry:
    """Times are Unix milliseconds; ``tenant`` is who may get it.

    ``answer``: the same number for entries whose answers were found to say the same.
    """

    id: int
    partition: bytes
    tenant: bytes
    text: str
    kind: int
    created_ms: int
    expires_ms: int
    used_ms: int
    hits: int = 0
    answer: int = -1
    seen: list[Seen] = field(default_factory=list)


class Entries:
    """All entries of the process."""

    def __init__(self) -> None:
        self._by_use: OrderedDict[int, Entry] = OrderedDict()
        self._by_expiry: list[tuple[int, int]] = []
        # An id never comes again, not in another run either: whoever asks about an old one finds nothing.
        self._next = time_ns() // 1_000

    def __len__(self) -> int:
        return len(self._by_use)

    def __iter__(self) -> Iterator[Entry]:
        """In the order of their last use."""
        return iter(self._by_use.values())

    def new_id(self) -> int:
        """One that no entry had."""
        self._next += 1
        return self._next

    def get(self, id_: int) -> Entry | None:
        """None: it is not there (any more)."""
        return self._by_use.get(id_)

    def add(self, entry: Entry) -> None:
        """The one that was used last."""
        self._next = max(self._next, entry.id)
        self._by_use[entry.id] = entry
        heappush(self._by_expiry, (entry.expires_ms, entry.id))

    def use(self, entry: Entry, now_ms: int) -> None:
        """It was found, and served or confirmed."""
        entry.used_ms = now_ms
        self._by_use.move_to_end(entry.id)

    def renew(self, entry: Entry, expires_ms: int) -> None:
        """It lasts longer than was said before, or less long."""
        entry.expires_ms = expires_ms
        heappush(self._by_expiry, (expires_ms, entry.id))

    def remove(self, id_: int) -> Entry | None:
        """What was there under this id."""
        return self._by_use.pop(id_, None)

    def oldest(self) -> Entry | None:
        """The one that was used least lately."""
        return next(iter(self._by_use.values()), None)

    def expired(self, now_ms: int) -> Entry | None:
        """One whose time is over; None: there is none."""
        while self._by_expiry and self._by_expiry[0][0] <= now_ms:
            expires_ms, id_ = self._by_expiry[0]
            entry = self._by_use.get(id_)
            if entry is not None and entry.expires_ms == expires_ms:
                return entry
            heappop(self._by_expiry)  # it is gone, or was renewed
        return None
