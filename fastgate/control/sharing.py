"""The host's part in what hosts share of the configuration: a thread that hears of changes and has them taken over.

PostgreSQL tells who listens; what was not heard is found by asking. While it is away, all is served as it was last.
"""

import logging
import os
import selectors
import threading
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastgate.config.root import Config
from fastgate.control.collections import COLLECTIONS
from fastgate.control.host_name import host_name
from fastgate.control.objects import Objects
from fastgate.control.shared_turns import Turns
from fastgate.postgres import configuration as shared
from fastgate.postgres.errors import PostgresAway
from fastgate.postgres.link import Link
from fastgate.postgres.place import Place
from fastgate.state import objects as stored
from fastgate.state import replica
from fastgate.state.errors import SharedAway, StateError
from fastgate.state.store import Store

if TYPE_CHECKING:
    from psycopg import Connection

ASK_SECONDS: Final = 2.0
"""So often it is asked whether there is news: a notification may be lost."""
_ANSWER_SECONDS: Final = 5.0
_JOIN_SECONDS: Final = 600.0
"""For a million objects at once; where PostgreSQL does not answer it takes a few seconds."""
_FOLLOW_SECONDS: Final = 60.0
_LEAST_PAUSE: Final = 0.2
_PURPOSE: Final = "shared configuration"

log = logging.getLogger("fastgate.control")


@dataclass(frozen=True)
class SharingStatus:
    """How it stands."""

    where: str
    """PostgreSQL, as messages call it."""
    host: str
    reachable: bool
    error: str
    """Why what hosts share is not followed or cannot be changed; empty: it can."""
    change: int | None
    """Up to which change this host serves; None: it has never taken part."""
    behind: int
    """How many changes the database has beyond that, as far as it is known."""
    unread: tuple[str, ...]
    """Objects whose newest state a later version wrote."""
    failures: int


class Sharing:
    """``join`` with the first configuration that is read; ``stop`` at the end."""

    def __init__(self, store: Store, objects: Objects, state_dir: Path) -> None:
        self._store = store
        self._objects = objects
        self._state_dir = state_dir
        self._following: _Following | None = None
        self._asked = False

    def join(self, config: Config, folder: Path) -> None:
        """Takes over what the others have, where it can be had now. Once; ``folder``: of the configuration's file."""
        if self._asked:
            return
        self._asked = True
        if config.postgres is None or not config.postgres.configuration:
            return
        place = Place.of(config.postgres, folder)
        self._following = _Following(self._store, self._objects, place, host_name(self._state_dir))

    def stop(self) -> None:
        """Before the store is closed."""
        if self._following is not None:
            self._following.stop()

    def close(self) -> None:
        """After the store is closed."""
        if self._following is not None:
            self._following.close()

    def status(self) -> SharingStatus | None:
        """None: this host shares nothing."""
        return None if self._following is None else self._following.status()


class _Following:
    """The thread, and the two connections: one listens, one is for the store's turns."""

    def __init__(self, store: Store, objects: Objects, place: Place, host: str) -> None:
        self._store, self._objects, self._host = store, objects, host
        self._changing = Link(place, _PURPOSE, _ANSWER_SECONDS)
        self._listening = Link(place, f"{_PURPOSE}, news", _ANSWER_SECONDS)
        self._turns = Turns(self._changing, objects, host)
        with store.read() as db:
            at = replica.position(db)
        self._began = None if at is None else at.change
        self._latest = 0
        self._error = ""
        self._heard: Connection[tuple[Any, ...]] | None = None
        self._ending = False
        self._wake, self._waker = os.pipe()
        store.share(self._turns)
        if self._caught_up(_JOIN_SECONDS):
            self._turns.untold = False  # the snapshot that comes will have it all
        elif self._began is None and not _has_own(store):
            failure = StateError if self._turns.refusal else SharedAway
            raise failure(f"this host has no copy yet of what hosts share, and cannot get it: {self._error}")
        self._thread = threading.Thread(target=self._run, name="sharing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ending = True
        os.write(self._waker, b"\0")
        self._thread.join()
        self._listening.close()
        os.close(self._wake)
        os.close(self._waker)

    def close(self) -> None:
        self._changing.close()

    def status(self) -> SharingStatus:
        health = self._listening.health
        change = self._began if self._turns.mark is None else self._turns.mark[0]
        return SharingStatus(
            where=health.where,
            host=self._host,
            reachable=not health.error,
            error=self._turns.refusal or health.error or self._changing.health.error or self._error,
            change=change,
            behind=max(0, self._latest - (change or 0)),
            unread=self._turns.unread,
            failures=health.failures + self._changing.health.failures,
        )

    def _run(self) -> None:
        while not self._ending:
            try:
                self._look()
                self._wait(ASK_SECONDS)
            except PostgresAway:
                self._wait(_LEAST_PAUSE)  # the link says when it tries again
            except Exception as error:  # whatever it is, this host must not stop following for good, nor silently
                log.exception("shared configuration")
                self._error = f"{type(error).__name__}: {error}"
                self._wait(ASK_SECONDS)

    def _look(self) -> None:
        """Raises PostgresAway."""
        with self._listening.asked() as connection:
            if self._heard is not connection:
                connection.add_notify_handler(lambda _: None)  # that one came is all that counts
                connection.execute(f"LISTEN {shared.CHANNEL}")
                self._heard = connection
            mark = shared.mark(connection)
        self._latest, _ = mark
        if mark != self._turns.mark or self._turns.fails:
            self._caught_up(_FOLLOW_SECONDS)
        else:
            self._error = ""
        if self._turns.untold:
            self._turns.untold = False
            self._objects.tell_all()

    def _caught_up(self, seconds: float) -> bool:
        try:
            self._store.catch_up().result(seconds)
        except (StateError, NotInTime) as error:
            if str(error) != self._error:
                log.warning("%s", error)
            self._error = str(error) or "it takes long to take over what hosts share"
            return False
        self._error = ""
        return True

    def _wait(self, seconds: float) -> None:
        """Until there is something to hear, the database is gone, or the time is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            if self._heard is not None and not self._heard.closed:
                selector.register(self._heard.fileno(), selectors.EVENT_READ)
            selector.select(seconds)


def _has_own(store: Store) -> bool:
    """Whether a host that takes no part has something to serve beside its file."""
    with store.read() as db:
        return any(stored.count(db, collection) for collection in COLLECTIONS)
