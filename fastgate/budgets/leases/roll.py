"""Which hosts the store knows, for operators: to see them, and to go on without one that is gone for good."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from fastgate.budgets.leases.peers import is_name
from fastgate.budgets.leases.store import LAPSE_MS, SKEW_MS, away, source
from fastgate.wire.leasing import prefix_of

if TYPE_CHECKING:
    from redis import Redis


class Listed(NamedTuple):
    """A host."""

    name: str
    heard_ms: int
    """When it spoke last, by the store's clock, in Unix ms; 0: not within a day."""
    lives: bool
    awaited: bool
    """Whether a store that learns waits until it has told what it has."""


class HostLives(Exception):
    """Nobody forgets a host that speaks."""


class Roll:
    """``with Roll(connect, cluster) as roll``: by a connection of its own. Raises StoreAway."""

    def __init__(self, connect: Callable[[], "Redis"], cluster: str) -> None:
        prefix = prefix_of(cluster)
        self._live, self._known, self._reported = (f"{prefix}{name}" for name in ("live", "known", "reported"))
        with away():
            self._client = connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def hosts(self) -> list[Listed]:
        """By name. Raises StoreAway."""
        with away():
            seconds, micros = self._client.time()
            scored: Any = self._client.zrange(self._live, 0, -1, withscores=True)
            missing: Any = self._client.sdiff([self._known, self._reported])
        heard = {_text(name): int(at) for name, at in scored}
        awaited = {_text(name) for name in missing}
        now_ms = seconds * 1000 + micros // 1000
        return [
            Listed(name, heard.get(name, 0), -SKEW_MS <= now_ms - heard.get(name, 0) < LAPSE_MS, name in awaited)
            for name in sorted(filter(is_name, heard.keys() | awaited))
        ]

    def forget(self, name: str) -> None:
        """A store that learns waits for ``name`` no more, and the other hosts forget it within ten seconds.

        What it had leased stays taken. Raises LookupError where the store does not know it, HostLives, StoreAway.
        """
        keys = [self._live, self._known, self._reported]
        with away():
            said = self._client.register_script(source("forget"))(keys=keys, args=[name, "", LAPSE_MS])
        if said == b"lives":
            raise HostLives(name)
        if said == b"unknown":
            raise LookupError(name)


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace")
