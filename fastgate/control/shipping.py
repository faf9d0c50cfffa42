"""The host's part in the ledger that hosts share: a thread that sends there what came into its own.

Nothing waits for it but questions to that ledger, and those not for long. While PostgreSQL is away the own ledger
keeps what it would send.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastgate.config.root import Config
from fastgate.control.host_name import host_id
from fastgate.ledger import requests
from fastgate.ledger.days import DAY_US
from fastgate.ledger.errors import LedgerError, LedgerUnavailable, sentence
from fastgate.ledger.shared import SharedRequests
from fastgate.ledger.shipping import BATCH_ROWS, Interfered, Shipment
from fastgate.ledger.store import Ledger
from fastgate.postgres.errors import PostgresAway
from fastgate.postgres.link import Link
from fastgate.postgres.place import Place

INTERVAL: Final = 1.0
"""Seconds between two batches, where nobody waits for one: a transaction costs the same for one row as for many."""
LOOK_SECONDS: Final = 10.0
"""After which a host gives a sign of life, and hears of others."""
FAILED_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 3.0
"""How long a question waits at most for what is to be sent."""
RETENTION_SECONDS: Final = 3600.0
_POLL_SECONDS: Final = 0.1
_LAST_SECONDS: Final = 2.0
"""For what is left at the end."""
_JOIN_SECONDS: Final = 3.0
"""With all else less than the supervisor waits before it kills."""

log = logging.getLogger("fastgate.control")


@dataclass(frozen=True)
class ShippingStatus:
    """How it stands."""

    where: str
    host: str
    error: str
    """Why nothing is sent; empty: it is."""
    rows: int | None
    """That are not there yet; None: since the start nobody could ask up to where they are."""
    seconds: float | None
    """Since the oldest of them began."""
    sent: int
    repeated: int
    """Rows that were sent although they were there: after a restore, or a copy of the state folder."""
    failures: int
    hosts: Mapping[str, float]
    """When each host last gave a sign, in Unix seconds."""


class Shipping:
    """``follow`` whatever configuration is in force; ``stop`` at the end. From any thread."""

    def __init__(self, ledger: Ledger, state_dir: Path) -> None:
        self._ledger, self._state_dir = ledger, state_dir
        self._running: _Running | None = None
        self._lock = threading.Lock()

    def follow(self, config: Config, folder: Path) -> None:
        """``folder``: of the configuration's file."""
        postgres = config.postgres
        wanted = None
        if postgres is not None and postgres.ledger:
            wanted = (Place.of(postgres, folder), postgres.ledger_days)
        with self._lock:
            running = self._running
            if (None if running is None else running.told) == wanted:
                return
            self._running = None
            if running is not None:
                running.stop()
            if wanted is not None:
                self._running = _Running(self._ledger, host_id(self._state_dir), *wanted)

    def stop(self) -> None:
        """Sends what is left, for a moment, while the own ledger is open; the rest goes after the next start."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop()

    def status(self) -> ShippingStatus | None:
        """None: this host shares nothing."""
        running = self._running
        return None if running is None else running.status()

    def shared(self) -> SharedRequests | None:
        """The requests of all hosts; None: this host shares nothing."""
        running = self._running
        return None if running is None else running.requests

    def caught_up(self, seconds: float = WAIT_SECONDS) -> int | None:
        """How many rows of the own ledger are not in the shared one; waits, for so long, until it has all of now.

        None: nobody knows. Raises LedgerUnavailable where PostgreSQL is away.
        """
        running = self._running
        return None if running is None else running.caught_up(seconds)


class _Running:
    """The thread, as long as the database stays the same."""

    def __init__(self, ledger: Ledger, host: str, place: Place, keep_days: int | None) -> None:
        self.told = (place, keep_days)
        self.requests = SharedRequests(place)
        self._ledger, self._host, self._keep_days = ledger, host, keep_days
        self._link = Link(place, "shared ledger")
        self._shipment = Shipment(ledger, self._link, host)
        self._error = ""
        self._failures = 0
        self._looked = self._dropped = float("-inf")
        self._turns = 0
        self._ending = False
        self._wake = threading.Event()
        self._turned = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ending = True
        self._wake.set()
        self._thread.join(_JOIN_SECONDS)
        self._link.close()
        self.requests.close()

    def status(self) -> ShippingStatus:
        shipment, health = self._shipment, self._link.health
        rows, seconds = self._behind()
        return ShippingStatus(
            where=health.where,
            host=self._host,
            error=health.error or self._error,
            rows=rows,
            seconds=seconds,
            sent=shipment.sent,
            repeated=shipment.repeated,
            failures=self._failures,
            hosts=shipment.hosts,
        )

    def caught_up(self, seconds: float) -> int | None:
        deadline = time.monotonic() + seconds
        wanted, turns = self._there(), self._turns
        while True:
            if self._link.health.error:
                raise LedgerUnavailable(self._link.health.error)
            late, place = time.monotonic() >= deadline, self._shipment.place
            if self._turns > turns:  # it answers
                missing = None if place is None or wanted is None else max(0, wanted - place.rows)
                # A long way to go is not waited for: the answer says how much is missing.
                if self._error or not missing or missing > BATCH_ROWS or late:
                    return missing
            elif late:
                raise LedgerUnavailable(f"PostgreSQL at {self._link.health.where} does not answer")
            with self._turned:
                self._wake.set()
                self._turned.wait(_POLL_SECONDS)

    def _run(self) -> None:
        while not self._ending:
            pause = self._turn()
            with self._turned:
                self._turns += 1
                self._turned.notify_all()
            self._wake.wait(pause)
            self._wake.clear()
        deadline = time.monotonic() + _LAST_SECONDS
        while self._turn() == 0.0 and time.monotonic() < deadline:
            pass

    def _turn(self) -> float:
        """Sends what there is, a batch at most; returns after how many seconds to go on."""
        from psycopg import Error

        try:
            rows = self._shipment.send()
            now = time.monotonic()
            if now > self._looked + LOOK_SECONDS:
                self._shipment.look()
                self._looked = now
            if self._keep_days is not None and now > self._dropped + RETENTION_SECONDS:
                self._shipment.drop_before(time.time_ns() // 1000 // DAY_US - self._keep_days)
                self._dropped = now
        except PostgresAway:
            self._failures += 1  # the link tells it
            return INTERVAL / 2
        except (LedgerError, Interfered, Error) as error:
            return self._failed(sentence(error))
        except Exception as error:  # whatever it is, this host must not stop sending for good, nor silently
            log.exception("shared ledger")
            return self._failed(f"{type(error).__name__}: {sentence(error)}")
        if self._error:
            log.warning("shared ledger: rows are sent again")
            self._error = ""
        return 0.0 if rows == BATCH_ROWS else INTERVAL

    def _failed(self, error: str) -> float:
        """Each state is told once, however long it lasts."""
        self._failures += 1
        if error != self._error:
            log.warning("shared ledger: %s", error)
        self._error = error
        return FAILED_SECONDS

    def _there(self) -> int | None:
        """How many rows the own ledger has."""
        try:
            with self._ledger.cursor() as cursor:
                return requests.last_place(cursor) + 1
        except LedgerError:
            return None

    def _behind(self) -> tuple[int | None, float | None]:
        """Rows that are not sent yet, and the age of the oldest in seconds."""
        place = self._shipment.place
        try:
            with self._ledger.cursor() as cursor:
                there = requests.last_place(cursor) + 1
                if place is None:
                    return (0, 0.0) if not there else (None, None)
                if there <= place.rows:
                    return 0, 0.0
                oldest = requests.began_at(cursor, place.rows)
                return there - place.rows, max(0.0, round(time.time() - oldest / 1e6, 3))
        except LedgerError:
            return None, None
