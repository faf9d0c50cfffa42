"""Which windows this host leases, by counter and number. What was granted of them lies in the arena, not here."""

from collections.abc import Iterable, Iterator
from typing import Final

from fastgate._core import leases
from fastgate._core.arena import Arena
from fastgate._core.levels import REQUESTS, USD
from fastgate._core.windows import ends_of
from fastgate.budgets.leases.slips import Lease, Slip, Span
from fastgate.budgets.limits import is_limit

MOST_IDLE: Final = 10_000
"""Windows that are looked at though nothing happens in them, so that it shows what other hosts do there."""
MOST_SHOWN: Final = 2_000
"""Windows more that are there because somebody looks at them."""
_SHOWN_NS: Final = 60_000_000_000
"""So long after somebody has looked at them."""
_AHEAD_NS: Final = 1_000_000_000
"""So long before a window ends the next one is leased, where it is used."""


class Book:
    """Of one host, for one thread."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._leases: dict[int, Lease] = {}
        self._slips: dict[tuple[int, int], Slip] = {}
        self._shown: dict[tuple[int, int], int] = {}
        """Those of them that are there because somebody looks at them, with when he did last."""

    @property
    def slips(self) -> Iterable[Slip]:
        """All windows."""
        return self._slips.values()

    @property
    def cells(self) -> Iterable[int]:
        """The counters of all limits."""
        return self._leases

    @property
    def is_crowded(self) -> bool:
        """Whether no more windows should be looked at than something happens in."""
        return len(self._slips) - len(self._shown) > MOST_IDLE

    def doubt(self) -> None:
        """Something else may be written of any limit by now."""
        for lease in self._leases.values():
            lease.known = False

    def lease(self, cell: int) -> Lease | None:
        """The limit that is counted there."""
        return self._leases.get(cell)

    def slip(self, cell: int, window: int) -> Slip | None:
        """That window."""
        return self._slips.get((cell, window))

    def present(self, lease: Lease, now_ns: int) -> Slip:
        """The window that counts now."""
        assert lease.levels is not None
        number, begins_ns, ends_ns, _ = lease.levels.windows(0, now_ns)
        return self.slip(lease.cell, number) or self.keep(lease, Span(number, begins_ns, ends_ns), now_ns)

    def show(self, lease: Lease, now_ns: int) -> Slip | None:
        """As ``present``, until nobody looks at it any more. None: it is leased anyhow, or such are too many."""
        assert lease.levels is not None
        place = lease.cell, lease.levels.windows(0, now_ns)[0]
        if place not in self._shown and (place in self._slips or len(self._shown) >= MOST_SHOWN):
            return None
        self._shown[place] = now_ns
        slip = self.present(lease, now_ns)
        slip.untold()
        return slip

    def use(self, slip: Slip) -> None:
        """It is not there for who looks at it alone."""
        self._shown.pop((slip.lease.cell, slip.span.number), None)

    def keep(self, lease: Lease, span: Span, now_ns: int) -> Slip:
        """One more window."""
        slip = Slip(self._arena, lease, span, now_ns)
        self._add(slip)
        return slip

    def begin(self, lease: Lease, window: int, now_ns: int) -> Slip | None:
        """As ``present``; None: ``window`` is another one, is over, or was moved by an agreement on the first use."""
        assert lease.levels is not None
        return self.present(lease, now_ns) if window == lease.levels.windows(0, now_ns)[0] else None

    def look_ahead(self, slip: Slip, now_ns: int) -> None:
        """The next window is leased before it begins, at the pace of this one."""
        lease = slip.lease
        if not lease.known or not slip.pace.per_second or not 0 < slip.span.ends_ns - now_ns <= _AHEAD_NS:
            return
        assert lease.levels is not None
        present, _, turns_ns, following = lease.levels.windows(0, now_ns)
        if present != slip.span.number or (lease.cell, following) in self._slips:
            return
        _, _, ends_ns, _ = lease.levels.windows(0, turns_ns)
        ahead = self.keep(lease, Span(following, turns_ns, ends_ns), now_ns)
        ahead.pace.begin(slip.pace)

    def remember(self, now_ns: int) -> None:
        """What this process has not leased itself, or has not looked at for long: it lies in the arena."""
        for cell, window, _ in leases.grants(self._arena):
            if (cell, window) in self._slips:
                continue
            id_ = self._arena.cell_id(cell)
            lease = self._leases.get(cell) or Lease(id_, cell, REQUESTS if is_limit(id_) else USD)
            slip = Slip(self._arena, lease, Span(window, 0, ends_of(window)), now_ns)
            if not slip.is_over(self._arena, now_ns):
                self._add(slip)

    def forget(self, slips: Iterable[Slip], now_ns: int, *, crowded: bool) -> None:
        """What of it is over, or idle where there is too much: until it is wanted, or all has to be told."""
        for slip in slips:
            lease, place = slip.lease, (slip.lease.cell, slip.span.number)
            is_unseen = now_ns - self._shown.get(place, now_ns) > _SHOWN_NS and not slip.at_hand
            if is_unseen or slip.is_over(self._arena, now_ns) or (crowded and slip.is_idle(now_ns)):
                del self._slips[place]
                self._shown.pop(place, None)
                lease.slips -= 1
                if not lease.slips:
                    del self._leases[lease.cell]

    def due(self, now_ns: int, within_ns: int) -> Iterator[Slip]:
        """To be looked at within so long."""
        return (slip for slip in self._slips.values() if slip.look_at_ns <= now_ns + within_ns)

    def next_look(self, latest_ns: int) -> int:
        """When the next is due."""
        return min((slip.look_at_ns for slip in self._slips.values()), default=latest_ns)

    def _add(self, slip: Slip) -> None:
        """From here on the arena knows it, so that a grant which nobody lives to hear of is found, and returns."""
        cell, window = slip.lease.cell, slip.span.number
        leases.grant(self._arena, cell, window, leases.granted(self._arena, cell, window))
        self._leases[cell] = slip.lease
        self._slips[cell, window] = slip
        slip.lease.slips += 1
