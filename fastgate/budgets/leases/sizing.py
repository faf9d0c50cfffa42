"""How much of a shared limit a host keeps at hand: by how fast it uses it, and no more than it needs.

Times are nanoseconds, amounts in the limit's unit. All is integers. The store bounds what is asked for by what is left
over the hosts that live (``exchange.lua``), so that slices shrink towards one request where a limit comes near.
"""

from typing import Final

NANO: Final = 1_000_000_000
HORIZON_NS: Final = NANO
"""What is at hand lasts so long, at the pace of late."""
RISE_NS: Final = 250_000_000
"""A pace that rises is known within so long."""
IDLE_NS: Final = 2_000_000_000
"""What has not been used for so long has no pace any more."""
REQUESTS_AT_HAND: Final = 4
"""At least so many times as much is kept at hand as a request was missing of late."""
SOONEST_NS: Final = 20_000_000
LATEST_NS: Final = 500_000_000
"""Bounds of the time between two looks at a limit that is used."""


BEAT_NS: Final = 500_000_000
"""A host is heard of so often, whether it leases or not; up to half as often where so many live that each may take
``BEAT_OF_EACH_NS`` for itself."""
BEAT_OF_EACH_NS: Final = 250_000
PEERS_NS: Final = 10_000_000_000
"""So often a host asks which others live, though their number stays the same."""
PER_HOST_NS: Final = 4_000_000
"""Where hosts are many they ask no sooner than so long for each of them: the answer is as long as they are many."""
LONGEST_PAUSE_NS: Final = 1_000_000_000
"""Between two tries to reach a store that does not answer."""
TRY_NS: Final = 1_000_000
"""Where hosts are many it is so long for each of them, lest all that come at once keep a store away that comes back."""


class _Mean:
    """What is taken per second: a mean that forgets within about ``span_ns``, and never more than was taken in that."""

    __slots__ = ("_nano", "_span_ns")

    def __init__(self, span_ns: int) -> None:
        self._span_ns = span_ns
        self._nano = 0  # thousand-millionths of the unit per second, so that nothing is rounded away

    @property
    def per_second(self) -> int:
        return (self._nano + NANO // 2) // NANO

    def begin(self, other: "_Mean") -> None:
        self._nano = other._nano

    def note(self, passed_ns: int, taken: int) -> None:
        """So much within so long."""
        span_ns = self._span_ns
        if passed_ns < span_ns:
            self._nano += (taken * NANO * NANO - self._nano * passed_ns) // span_ns
        else:
            self._nano = taken * NANO * NANO // passed_ns


class Pace:
    """How much of one window is taken per second, of late.

    What comes at once says little of what comes after it, and what is at hand for it may be lost with the host: so it
    is never more than was taken within ``HORIZON_NS``, or, while requests lack some, several times what was taken
    within ``RISE_NS``.
    """

    __slots__ = ("_at_ns", "_mean", "_rise", "_used", "used_at_ns")

    def __init__(self, now_ns: int, used: int) -> None:
        self._at_ns, self._used = now_ns, used
        self._mean, self._rise = _Mean(HORIZON_NS), _Mean(RISE_NS)
        self.used_at_ns = now_ns
        """When more was used than before, last."""

    @property
    def per_second(self) -> int:
        """By now."""
        return self._mean.per_second

    def begin(self, other: "Pace") -> None:
        """As fast as that one."""
        self._mean.begin(other._mean)
        self._rise.begin(other._rise)

    def note(self, now_ns: int, used: int) -> None:
        """``used``: settled and held, by now. What is given back of a hold slows nothing: a pace is not negative."""
        passed_ns, taken = max(0, now_ns - self._at_ns), max(0, used - self._used)
        if used != self._used:
            self.used_at_ns = now_ns
        self._mean.note(passed_ns, taken)
        self._rise.note(passed_ns, taken)
        self._at_ns, self._used = now_ns, used

    def target(self, now_ns: int, lacked: int, *, rises: bool = False) -> int:
        """What should be at hand; ``lacked``: the most that a request was missing of late, 0: none was.

        ``rises``: that was within ``RISE_NS``.
        """
        if now_ns - self.used_at_ns > IDLE_NS:
            return lacked
        rise = self._rise.per_second if rises else 0
        return max(self.per_second, rise, REQUESTS_AT_HAND * lacked)


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


def beat(hosts: int) -> int:
    """After how many nanoseconds of silence a host says that it lives."""
    return min(2 * BEAT_NS, max(BEAT_NS, hosts * BEAT_OF_EACH_NS))


def peers_again(hosts: int, *, changed: bool) -> int:
    """After how many nanoseconds to ask again which hosts live; ``changed``: they are more or fewer than before."""
    return max(0 if changed else PEERS_NS, hosts * PER_HOST_NS)


def pauses(hosts: int, pause_ns: int, chance: float) -> tuple[int, int]:
    """How long to wait for a store that does not answer, and the next pause after one of ``pause_ns``.

    ``chance``: from 0 to 1, so that hosts do not come together.
    """
    return int(pause_ns * (1 + chance) / 2), min(max(LONGEST_PAUSE_NS, hosts * TRY_NS), 2 * pause_ns)
