"""The host's part in limits that several hosts share, as the configuration in force says it."""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fastgate._core import leases
from fastgate._core.arena import Arena
from fastgate.budgets.leases.messages import Elsewhere
from fastgate.budgets.leases.notes import Notes
from fastgate.budgets.leases.roll import Roll
from fastgate.config.redis_finder import Finder
from fastgate.config.redis_urls import parse_store_url
from fastgate.config.root import Config
from fastgate.config.stores import ca_file_of
from fastgate.control.host_name import host_id
from fastgate.control.lease_thread import ANSWER_SECONDS, LeaseStatus, LeaseThread, Place
from fastgate.wire.leasing import SOCKET, StoreState
from fastgate.wire.snapshot import BudgetRecord, LimitRecord


class Leasing:
    """``follow`` whatever configuration is in force; ``stop`` at the end. From any thread.

    ``find``: what is written of a budget, by its id; None: nothing, or it cannot be read.
    """

    def __init__(
        self, arena: Arena, arena_dir: Path, state_dir: Path, find: Callable[[str], BudgetRecord | None]
    ) -> None:
        self._find = find
        self._arena = arena
        self._socket, self._state_dir = arena_dir / SOCKET, state_dir
        self._running: LeaseThread | None = None
        self._lock = threading.Lock()
        self.failures = 0

    def follow(self, config: Config, folder: Path) -> None:
        """``folder``: of the configuration's file."""
        place = _place(config, folder)
        with self._lock:
            running = self._running
            if running is not None and running.place == place:
                running.doubt()
                return
            self._end(running)
            if place is None:
                self._running = None
                leases.tell_store(self._arena, StoreState.GRANTS)  # a process that was killed may have told otherwise
            else:
                notes = Notes(self._state_dir, place.cluster)
                host = host_id(self._state_dir)
                self._running = LeaseThread(self._arena, place, host, notes, self._socket, find=self._find)

    def count(self, records: Iterable[BudgetRecord]) -> None:
        """These soft budgets were spent from: other hosts are told."""
        with self._lock:
            if self._running is not None:
                self._running.count(records)

    def doubt(self) -> None:
        """Budgets or limits were changed by the API."""
        with self._lock:
            if self._running is not None:
                self._running.doubt()

    def stop(self) -> None:
        """Gives back what is not used."""
        with self._lock:
            self._end(self._running)
            self._running = None

    def look(self, records: Sequence[BudgetRecord | LimitRecord]) -> None:
        """Somebody looks at these: what others have of them is known then, if Redis says so within a moment."""
        running = self._running
        if running is not None and records:
            running.look(records)

    def elsewhere(self, id_: str) -> Elsewhere | None:
        """What other hosts have of a limit, as the store said last; None: it has not, or nothing is shared."""
        running = self._running
        return None if running is None else running.elsewhere(id_)

    def roll(self) -> Roll | None:
        """The hosts that share; None: this one shares nothing. Raises StoreAway."""
        running = self._running
        if running is None:
            return None
        place = running.place
        finder = Finder(place.store, place.ca_file, place.cluster, ANSWER_SECONDS)
        return Roll(lambda: finder.client(single=True), place.cluster)

    def status(self) -> LeaseStatus | None:
        """None: this host shares nothing."""
        running = self._running
        return None if running is None else running.status(self.failures)

    def _end(self, running: LeaseThread | None) -> None:
        if running is not None:
            running.stop()
            self.failures += running.failures


def _place(config: Config, folder: Path) -> Place | None:
    redis = config.redis
    if redis is None or not redis.leases:
        return None
    return Place(parse_store_url(redis.url.reveal()), ca_file_of(redis, folder), redis.cluster_id)
