"""From the journals to the ledger: reads what workers committed, inserts it exactly once, deletes what is done with.

Rows and positions are one transaction, so that wherever this process is killed, the next one goes on behind the last
row that is in the ledger. Where the ledger cannot be written the journals stay where they are and grow; nothing is
dropped here. What is damaged is passed over, counted and, when nobody writes there any more, set aside.
"""

import contextlib
import logging
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from fastgate._core.journal import CorruptSegment, SegmentReader, segments_of, slot_of
from fastgate.ledger.alerts import Alert
from fastgate.ledger.errors import LedgerUnavailable
from fastgate.ledger.heap import give_back
from fastgate.ledger.inserts import Batch, Columns
from fastgate.ledger.resets import Reset, without_resets
from fastgate.ledger.store import Ledger

INTERVAL: Final = 0.2
"""Seconds between two passes, so that whoever looks for a request finds it at once."""
BUSY_ROWS: Final = 200
BUSY_INTERVAL: Final = 0.5
"""After a pass of so many rows: a transaction costs the same for one row as for a thousand."""
BATCH_ROWS: Final = 16_384
QUIET_PASSES: Final = 10
"""With fewer than ``BUSY_ROWS`` rows each, after which a peak is over."""
RETRY_SECONDS: Final = 1.0
ASIDE: Final = ".damaged"
"""How names of segments end that were set aside."""

log = logging.getLogger("fastgate.control")


class Drain:
    """Runs in a thread of its own, which is the only one that writes to the ledger.

    ``coming`` is called with every batch before it is committed, its requests and its resets, and tells which
    thresholds these reach; where nothing has come, which others have reached. ``taken`` is called after.
    ``slots`` is asked before files are deleted: it returns the slots whose owners died and are not resolved yet (a
    recovery may append to their journals), and all that are in use. ``each_pass`` hears whether all that was in the
    journals is in the ledger now.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        taken: Callable[[Batch], None],
        slots: Callable[[], tuple[set[int], set[int]]],
        each_pass: Callable[[bool], None] = lambda drained: None,
        *,
        coming: Callable[[Columns, Sequence[Reset]], Sequence[Alert]] = lambda columns, resets: (),
    ) -> None:
        self.rows = 0
        self.last_commit: float | None = None
        self.failures = 0
        self.damaged: dict[str, str] = {path.name: "set aside" for path in folder.glob(f"journal-*{ASIDE}")}
        """What is wrong with segments, by their names."""
        self._lost: dict[str, int] = {}
        self._folder = str(folder)
        self._ledger = ledger
        self._taken = taken
        self._slots = slots
        self._each_pass = each_pass
        self._coming = coming
        self._readers: dict[str, SegmentReader] = {}
        self._positions: dict[str, int] | None = None
        self._bytes = 0
        self._bytes_taken = 0
        self._busy = False
        self._unrest = 0
        self._drained = False
        self._ending = False
        self._wake = threading.Event()
        self._waiting: list[threading.Event] = []
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)

    def start(self) -> None:
        """Begins to drain in the background."""
        self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Drains what is left, gives up the ledger and returns; at most ``seconds`` are waited for."""
        self._ending = True
        self._wake.set()
        self._thread.join(seconds)

    def flush(self, seconds: float = 60.0) -> bool:
        """Whether everything that is in the journals now was taken; false where it could not be, within ``seconds``."""
        if not self._thread.is_alive():
            self._pass()
            return self._drained
        done = threading.Event()
        self._waiting.append(done)
        self._wake.set()
        return done.wait(seconds) and self._drained

    @property
    def lost(self) -> int:
        """Events that damage took, as far as that can be told."""
        return sum(self._lost.values())

    def lag(self) -> tuple[int, int, int]:
        """Segments, bytes and events (estimated from the mean size of those read) that are not in the ledger yet."""
        paths = segments_of(self._folder)
        pending = sum(self._pending(path) for path in paths)
        pending += self._bytes - self._bytes_taken  # second: what is read in between counts twice and not nowhere
        mean = self._bytes / self.rows if self.rows else 512
        return len(paths), pending, -(-pending // max(1, round(mean)))

    def _pending(self, path: str) -> int:
        """Bytes of a segment that nobody read yet; it may be so new that nobody has opened it."""
        with contextlib.suppress(CorruptSegment, OSError):
            return (self._readers.get(path) or SegmentReader(path)).pending
        return 0

    # ---- the thread

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait(self._pause())
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            self._pass()
            for done in waiting:
                done.set()
        self._pass()
        self._ledger.close("stopped")

    def _pause(self) -> float:
        if not self._ledger.is_open:
            return RETRY_SECONDS
        return BUSY_INTERVAL if self._busy else INTERVAL

    def _pass(self) -> None:
        """What there is. The outermost edge of this thread: whatever fails is shown and tried again."""
        self._drained = False
        before = self.rows
        try:
            self._ledger.open()
            # Rows that came in the meantime wait for the next pass: under load there always are some, and a transaction
            # for a few costs as much as one for many.
            while self.once() >= BATCH_ROWS:
                pass
            self._drained = True
            self._calm_down(self.rows - before)
        except (duckdb.Error, LedgerUnavailable, OSError) as error:
            self._fail(str(error).strip().partition("\n")[0])
        except Exception as error:
            log.exception("draining the journals failed")
            self._fail(f"{type(error).__name__}: {error}")
        try:
            self._each_pass(self._drained)
        except Exception:
            log.exception("looking after the arena failed")

    def _calm_down(self, rows: int) -> None:
        """Once a peak is over, what its rows needed in memory goes back to the system."""
        self._busy = rows >= BUSY_ROWS
        if self._busy:
            self._unrest = QUIET_PASSES
        elif self._unrest:
            self._unrest -= 1
            if not self._unrest:
                self._ledger.inserts.checkpoint()
                give_back()

    def _fail(self, reason: str) -> None:
        self.failures += 1
        if reason != self._ledger.error:
            log.error("the ledger cannot be written, journals are kept: %s", reason)
        self._positions = None
        self._bytes_taken = self._bytes
        self._ledger.close(reason)

    def once(self) -> int:
        """One transaction of at most ``BATCH_ROWS`` rows; returns how many. Raises what the ledger raises."""
        inserts = self._ledger.inserts
        paths = segments_of(self._folder)
        if self._positions is None:
            self._positions = inserts.positions()
            self._forget(set(self._positions).difference(Path(path).name for path in paths))
        done: list[str] = []
        moved: dict[str, int] = {}
        columns: dict[str, Any] = {}
        rows = 0
        for path in paths:
            found = self._read(path, BATCH_ROWS - rows, done)
            if found is not None:
                rows += len(found["seq"])
                moved[Path(path).name] = found["seq"][-1]
                columns = _joined(columns, found)
            if rows >= BATCH_ROWS:
                break
        columns, resets = without_resets(columns) if rows else (columns, [])
        alerts = self._coming(columns, resets)
        if rows or alerts:
            batch = inserts.add(columns, moved, resets, alerts)
            self._positions.update(moved)
            self.rows += len(batch)
            self.last_commit = time.time()
            self._taken(batch)
        self._bytes_taken = self._bytes
        self._delete(done, paths)
        return rows

    def _read(self, path: str, limit: int, done: list[str]) -> dict[str, Any] | None:
        """Up to ``limit`` events behind the position; a sealed segment that is read to its end is added to ``done``."""
        assert self._positions is not None
        after = self._positions.get(Path(path).name, 0)
        try:
            reader = self._readers.get(path)
            if reader is None:
                reader = self._readers[path] = SegmentReader(path)
            sealed, before = reader.sealed, reader.pending
            self._bytes += before  # first: what is read and not in the ledger must not look as if it were nowhere
            found = reader.read(after, limit)
            self._bytes -= min(before, reader.pending)
        except FileNotFoundError:
            return None
        except CorruptSegment as error:
            self._complain(path, str(error), lost=1)
            done.append(path)
            return None
        if reader.damage is not None:
            self._complain(path, reader.damage, reader.lost)
        if sealed and reader.pending == 0:
            done.append(path)
        return found

    def _complain(self, path: str, damage: str, lost: int) -> None:
        name = Path(path).name
        self._lost[name] = lost
        if name not in self.damaged:
            self.damaged[name] = damage
            log.error("the journal segment %s is damaged, events in it are lost: %s", path, damage)

    def _delete(self, done: Iterable[str], paths: list[str]) -> None:
        """Removes segments that are in the ledger and that nobody will append to any more; damaged ones are kept aside.

        A recovery appends to the last segment of an owner that died, sealed or not. So the last one of a slot only goes
        when the slot is free, and none of a slot goes while its owner is dead and unresolved.
        """
        done = list(done)
        if not done:
            return
        dead, used = self._slots()
        last = {path.rsplit("-", 1)[0]: path for path in paths}
        gone = []
        for path in done:
            slot, reader, file = slot_of(path), self._readers.get(path), Path(path)
            if slot in dead or (slot in used and last[path.rsplit("-", 1)[0]] == path):
                continue
            if reader is not None and reader.pending:
                continue  # a recovery appended to it, and freed the slot, since it was read
            self._readers.pop(path, None)
            if file.name in self.damaged:
                file.replace(file.with_suffix(ASIDE))
                self.damaged[file.with_suffix(ASIDE).name] = self.damaged.pop(file.name)
            else:
                file.unlink(missing_ok=True)
            gone.append(file.name)
        self._forget(gone)

    def _forget(self, names: Iterable[str]) -> None:
        names = list(names)
        self._ledger.inserts.forget(names)
        for name in names:
            if self._positions is not None:
                self._positions.pop(name, None)


def _joined(columns: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    if not columns:
        return more
    for name, values in more.items():
        column: array[int] | list[str] = columns[name]
        column.extend(values)
    return columns
