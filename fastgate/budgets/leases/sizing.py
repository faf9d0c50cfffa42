"""How much of a shared limit a host keeps at hand: by how fast it uses it, and no more than it needs.

Times are nanoseconds, amounts in the limit's unit. All is integers. The store bounds what is asked for by what is left
over the hosts that live (``exchange.lua``), so that slices shrink towards one request where a limit comes near.
"""

from typing import Final

HORIZON_NS: Final = 1_000_000_000
"""What is at hand lasts so long, at the pace of late."""
LEAST_PASS_NS: Final = 10_000_000
"""Two looks that are nearer to each other say nothing about the pace."""
IDLE_NS: Final = 2_000_000_000
"""What has not been used for so long has no pace any more."""
REQUESTS_AT_HAND: Final = 4
"""At least so many times as much is kept at hand as a request was missing of late."""
SOONEST_NS: Final = 20_000_000
LATEST_NS: Final = 500_000_000
"""Bounds of the time between two looks at a limit that is used."""


class Pace:
    """How much of one window is taken per second, of late: a mean that forgets within about a horizon."""

    __slots__ = ("_at_ns", "_used", "per_second", "used_at_ns")

    def __init__(self, now_ns: int, used: int) -> None:
        self._at_ns, self._used = now_ns, used
        self.per_second = 0
        self.used_at_ns = now_ns
        """When more was used than before, last."""

    def note(self, now_ns: int, used: int) -> None:
        """``used``: settled and held, by now. What is given back of a hold slows nothing: a pace is not negative."""
        passed = now_ns - self._at_ns
        if used != self._used:
            self.used_at_ns = now_ns
        if passed < LEAST_PASS_NS:
            return
        taken = max(0, used - self._used) * HORIZON_NS // passed
        weight = min(passed, HORIZON_NS)
        faster = taken > self.per_second
        self.per_second += (taken - self.per_second) * (HORIZON_NS if faster else weight) // HORIZON_NS
        self._at_ns, self._used = now_ns, used

    def target(self, now_ns: int, lacked: int) -> int:
        """What should be at hand; ``lacked``: the most that a request was missing of late, 0: none was."""
        if now_ns - self.used_at_ns > IDLE_NS:
            return lacked
        return max(self.per_second, REQUESTS_AT_HAND * lacked)


def wanted(at_hand: int, target: int, missing: int) -> int:
    """How much more to ask for; 0: there is enough. ``missing``: what a request waits for."""
    if missing > at_hand:
        return max(target, missing) - at_hand
    return target - at_hand if 2 * at_hand < target else 0


def surplus(at_hand: int, target: int, *, recalled: bool) -> int:
    """How much to give back: what is beyond twice the target, or beyond the half where others lack it."""
    kept = target // 2 if recalled else 2 * target
    return max(0, at_hand - kept)


def next_look(at_hand: int, target: int) -> int:
    """In how many nanoseconds to look again: before half of what is at hand is used, at the pace of the target."""
    if target <= 0:
        return LATEST_NS
    return min(LATEST_NS, max(SOONEST_NS, at_hand * HORIZON_NS // (4 * target)))
