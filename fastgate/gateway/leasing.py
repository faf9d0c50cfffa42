"""A request that this host's slice of a shared limit does not cover waits, for a moment, until there is more of it.

Nothing here is called for a request that is covered, nor where no limit is shared by hosts.
"""

import asyncio
from time import time_ns
from typing import Final

from fastgate._core import leases
from fastgate._core.budget import CONTENDED, Hold
from fastgate.budgets.holds import Bound
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.gateway.limits import need_of
from fastgate.gateway.wants import Wants
from fastgate.wire.snapshot import LimitRecord

_LOOK_SECONDS: Final = 0.001
_AGAIN_NS: Final = 10_000_000
"""After so long it is said again: others may have taken what came."""


def need_at(call: Call, leg: Leg, level: int) -> int:
    """What the request takes of a level, in its unit."""
    record = leg.binding.records[level]
    if isinstance(record, LimitRecord):
        return need_of(record, Bound(call.bound.input_tokens, call.held_tokens, None))
    return call.amount


class Patience:
    """Of one request: whether it waits for more, and for how much longer."""

    def __init__(self, call: Call, leg: Leg) -> None:
        self._call, self._leg = call, leg
        self._until_ns = 0
        self._told: tuple[int, int] | None = None
        self._told_at_ns = 0

    async def has(self, verdict: Hold | int) -> bool:
        """Whether there may be more of the level that is full by now: worth to try again."""
        wants = self._call.worker.wants
        if wants is None or isinstance(verdict, Hold) or verdict == CONTENDED:
            return False
        levels = self._leg.binding.levels
        rule = levels.rules[verdict]
        now_ns = time_ns()
        if not rule.shared or leases.is_dry(levels.arena, rule.cell, now_ns):
            return False
        self._until_ns = self._until_ns or now_ns + wants.wait_ns
        if now_ns >= self._until_ns:
            return False
        window, _, _, _ = levels.windows(verdict, now_ns)
        if self._told != (verdict, window) or now_ns - self._told_at_ns >= _AGAIN_NS:
            self._tell(wants, verdict, now_ns)
            self._told, self._told_at_ns = (verdict, window), now_ns
        await asyncio.sleep(_LOOK_SECONDS)
        return True

    def _tell(self, wants: Wants, full: int, now_ns: int) -> None:
        """Of the level that is full, and of those behind it that are, too: they come in one answer."""
        levels = self._leg.binding.levels
        for level, rule in enumerate(levels.rules[full:], full):
            if not rule.shared:
                continue
            window, need = levels.windows(level, now_ns)[0], need_at(self._call, self._leg, level)
            if level == full or leases.at_hand(levels.arena, rule.cell, window) < need:
                wants.tell(rule.cell, window, need, self._leg.binding.records[level])
