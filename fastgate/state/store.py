"""The SQLite file: one thread writes, in groups that share a commit; any thread reads."""

import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from fastgate.state import replica
from fastgate.state.errors import StateError
from fastgate.state.schema import check_version, migrate
from fastgate.wire.sealing import Sealer

MOST_PER_COMMIT: Final = 256
MOST_WAITING: Final = 4096
BUSY_MS: Final = 5000
_KEPT: Final = 4

T = TypeVar("T")
log = logging.getLogger("fastgate.control")


@dataclass(frozen=True)
class Work:
    """A piece of writing: whole, or not done at all."""

    do: Callable[[sqlite3.Connection], Any]
    done: Future[Any]
    tell: Callable[[Any], None]
    """Called with its result once it is committed, in the order of commits."""
    writes: bool = True
    """False: it only wants the newest of what hosts share."""


class Elsewhere(Protocol):
    """Where the truth is that the file is a copy of."""

    def turn(self, db: sqlite3.Connection, *, writes: bool) -> AbstractContextManager[Callable[[], None]]:
        """Around changes of the file's: it begins with the newest of the truth, and when it ends the truth has them.

        It gives what is to be called when the file is committed, too. Raises StateError, then nothing is changed.
        """


class Store:
    """``Store(path)``: opened, created or brought up to date. Raises :class:`StateError`, :class:`NewerState` too."""

    def __init__(self, path: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.path = path
        self.sealer = Sealer(path.parent, environment)
        """Of the secrets in it."""
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._work: queue.Queue[Work | None] = queue.Queue(MOST_WAITING)
        self._elsewhere: Elsewhere = _Nowhere()
        try:
            self._writer = self._connect()
            check_version(self._writer, str(path))  # before anything that writes
            path.chmod(0o600)
            self._writer.execute("PRAGMA journal_mode = WAL")
            migrate(self._writer)
        except (sqlite3.Error, OSError) as error:
            raise StateError(f"{path} cannot be used: {error}") from error
        self._thread = threading.Thread(target=self._write, name="state", daemon=True)
        self._thread.start()

    def write(self, do: Callable[[sqlite3.Connection], T], tell: Callable[[T], None] = lambda _: None) -> Future[T]:
        """Runs ``do`` in a transaction of the writer's thread; what it raises undoes it alone.

        The future is done when the disk has it and ``tell`` has returned. Raises :class:`StateError` where too many
        wait already.
        """
        return self._ask(Work(do, Future(), tell))

    def share(self, elsewhere: Elsewhere) -> None:
        """From now on the file is a copy of what is there."""

        def begin(db: sqlite3.Connection) -> None:
            replica.watch(db)
            self._elsewhere = elsewhere

        self._ask(Work(begin, Future(), lambda _: None, writes=False)).result()

    def catch_up(self) -> Future[None]:
        """Done when the file has the newest of what hosts share. Fails with StateError."""
        return self._ask(Work(lambda _: None, Future(), lambda _: None, writes=False))

    def check(self) -> None:
        """Raises StateError where nothing can be written now: for what is done elsewhere, and then noted here."""
        self.catch_up().result()

    def _ask(self, work: Work) -> Future[Any]:
        try:
            self._work.put_nowait(work)
        except queue.Full:
            raise StateError("too many changes wait already: try again in a moment") from None
        return work.done

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file. Raises :class:`StateError`."""
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as error:
            raise StateError(f"{self.path} cannot be read: {error}") from error
        finally:
            connection.rollback()
            if self._readers.qsize() < _KEPT:
                self._readers.put(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Finishes what was asked for."""
        self._work.put(None)
        self._thread.join()
        self._writer.close()
        with contextlib.suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA synchronous = FULL")  # an answer means that the disk has it
        return connection

    def _write(self) -> None:
        while (first := self._work.get()) is not None:
            group = [first]
            while len(group) < MOST_PER_COMMIT and not self._work.empty():
                following = self._work.get()
                if following is None:
                    self._work.put(None)
                    break
                group.append(following)
            self._commit(group)

    def _commit(self, group: list[Work]) -> None:
        results: list[tuple[Work, Any]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            with self._elsewhere.turn(self._writer, writes=any(work.writes for work in group)) as tell:
                for work in group:
                    with contextlib.suppress(_Undone):
                        results.append((work, self._do(work)))
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(group, StateError(f"{self.path} cannot be written: {error}"))
            return
        except StateError as failure:
            self._fail(group, failure)
            return
        except Exception as error:  # whatever it is, it must not end the thread
            log.exception("%s", self.path)
            self._fail(group, StateError(f"{self.path} cannot be written: {type(error).__name__}"))
            return
        tell()
        for work, result in results:
            try:
                work.tell(result)
            except Exception as error:  # noqa: BLE001  # whoever waits for it is told
                work.done.set_exception(error)
            else:
                work.done.set_result(result)

    def _fail(self, group: list[Work], failure: StateError) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._writer.rollback()
        for work in group:
            if not work.done.done():
                work.done.set_exception(failure)

    def _do(self, work: Work) -> Any:
        self._writer.execute("SAVEPOINT work")
        try:
            result = work.do(self._writer)
        except sqlite3.OperationalError:  # a full disk, say: it concerns the whole group
            raise
        except Exception as error:
            self._writer.execute("ROLLBACK TO work")
            self._writer.execute("RELEASE work")
            work.done.set_exception(error)
            raise _Undone from error
        self._writer.execute("RELEASE work")
        return result


class _Nowhere:
    """The file itself is the truth."""

    @contextlib.contextmanager
    def turn(self, db: sqlite3.Connection, *, writes: bool) -> Iterator[Callable[[], None]]:
        if writes:
            replica.part(db)
        yield lambda: None


class _Undone(Exception):
    """A piece of work failed and was taken back."""
