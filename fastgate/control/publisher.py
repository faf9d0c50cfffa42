"""Snapshots and changes on their way to the workers: written beside the arena, announced in it."""

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from fastgate._core.arena import Arena
from fastgate.config.settings import Server
from fastgate.control import slab_file
from fastgate.control.compile import CompiledSnapshot, Record
from fastgate.wire.changes import Change, ChangeLog, log_path
from fastgate.wire.whole_files import replace

COMPACT_BYTES = 16 << 20
"""Of changes, after which a new snapshot is worth its work: workers hold in memory what changed."""

log = logging.getLogger("fastgate.control")


class Publisher:
    """Writes into ``folder``; its methods may be called from any thread, ``publish`` by one at a time."""

    def __init__(self, folder: Path, arena: Arena) -> None:
        self._folder = folder
        self._arena = arena
        self._lock = threading.Lock()
        self._logs: tuple[ChangeLog, ...] = ()
        self._pending: list[Change] = []
        self.cache = (0, 0)
        """MB of the exact cache that is in force, 0: there is none; and the generation from which on it is."""

    def publish(self, compiled: CompiledSnapshot, stored: Callable[[], Iterable[Record]]) -> int:
        """Puts a snapshot in force, with the records that ``stored`` gives; returns how many it has.

        ``stored`` is called when changes go to the new snapshot's log, too: what is committed before is in its answer,
        what is committed later is in the log. Raises ``OSError``, ``ValueError``; then what was in force still is.
        """
        fresh = ChangeLog(log_path(self._folder, compiled.head.generation))
        with self._lock:
            self._logs += (fresh,)
        try:
            slab_file.prepare(self._folder, compiled.head.cache_mb)
            count = compiled.write(self._folder / "snapshot.bin", stored())
            self._arena.snapshot_generation = compiled.head.generation
            if compiled.head.cache_mb != self.cache[0]:
                self.cache = (compiled.head.cache_mb, compiled.head.generation)
        except BaseException:
            with self._lock:
                self._logs = self._logs[:-1]
            fresh.remove()
            raise
        with self._lock:
            old, self._logs = self._logs[:-1], (fresh,)
        self._retire(old, fresh)
        slab_file.discard_others(self._folder, compiled.head.cache_mb)
        self._tell_supervisor(compiled.config.server)
        return count

    def change(self, changes: Iterable[Change]) -> None:
        """Tells the workers of changes that are committed. Raises ``OSError``; then they go with the next ones."""
        with self._lock:
            self._pending += changes
            for each in self._logs:
                each.append(self._pending)
            self._pending = []

    @property
    def pending(self) -> int:
        """Changes that could not be written yet."""
        return len(self._pending)

    @property
    def is_long(self) -> bool:
        """Whether so much changed that a new snapshot is due."""
        return bool(self._logs) and self._logs[-1].size > COMPACT_BYTES

    def _tell_supervisor(self, server: Server) -> None:
        told = {"drain-seconds": server.drain_seconds, "drain-delay-seconds": server.drain_delay_seconds}
        for name, seconds in told.items():
            try:
                replace(self._folder / name, f"{seconds}".encode())
            except OSError as error:
                log.warning("the supervisor is not told of server.%s: %s", name.replace("-", "_"), error)

    def _retire(self, old: Iterable[ChangeLog], fresh: ChangeLog) -> None:
        """Ends old logs. The last one stays, since a worker may be about to open it; those before it go."""
        for each in old:
            each.close()
        kept = {fresh.path, *(each.path for each in old)}
        for path in self._folder.glob("changes-*.bin"):
            if path not in kept:
                with suppress(OSError):
                    path.unlink()
