"""One thread's connection to the database: made when it is needed, and anew after it broke, at growing intervals."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastgate.postgres.errors import PostgresAway
from fastgate.postgres.migrations import migrate, missing
from fastgate.postgres.place import ANSWER_SECONDS, Place
from fastgate.wire.failure import shown

if TYPE_CHECKING:
    from fastgate.postgres.patient import Patient

_LEAST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_MIGRATION_SECONDS: Final = 600.0
"""For a step that changes large tables, or for the host that carries it out."""
_SIGN_SECONDS: Final = 2.0
"""For a sign of life of a connection that was idle."""

log = logging.getLogger("fastgate.control")


@dataclass(frozen=True)
class Health:
    """How it stands, for status and metrics."""

    where: str
    error: str = ""
    """Why it cannot be asked; empty: it can, or nobody has tried yet."""
    since: float = 0.0
    """Unix seconds since when that is so."""
    failures: int = 0


class Link:
    """``with link.asked() as connection``, from one thread at a time; ``health`` may be read by any.

    While the database is away, who asks before the next attempt is due is told so at once.
    """

    def __init__(self, place: Place, purpose: str, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.place = place
        self.health = Health(place.address.where)
        self._purpose = purpose
        self._answer_seconds = answer_seconds
        self._connection: Patient | None = None
        self._pause = _LEAST_PAUSE
        self._due = 0.0

    @contextmanager
    def asked(self) -> "Iterator[Patient]":
        """A connection to a database whose tables are up to date. Raises PostgresAway.

        A problem with the connection that comes out of the block ends it and becomes PostgresAway, too; what the
        database says of a statement stays as it is.
        """
        from psycopg import Error, OperationalError

        try:
            connection = self._connected()
        except PostgresAway as error:
            self._failed(str(error))
            raise
        except (Error, OSError) as error:
            raise self._broken(error) from None
        try:
            yield connection
        except (Error, OSError) as error:
            if isinstance(error, OperationalError | OSError) or connection.closed:
                raise self._broken(error) from None
            raise
        self._worked()

    def close(self) -> None:
        """Ends the connection; harmless where there is none."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _connected(self) -> "Patient":
        connection = self._connection
        if connection is None or not self._lives(connection):
            if time.monotonic() < self._due:
                raise PostgresAway(self.health.error)
            self.close()
            self._connection = connection = self.place.connect(self._purpose, self._answer_seconds)
        if missing(
            connection
        ):  # also where a later version has come meanwhile with which this one does not go together
            connection.answer_seconds = _MIGRATION_SECONDS
            migrate(connection)
            connection.answer_seconds = self._answer_seconds
        return connection

    def _broken(self, error: Exception) -> PostgresAway:
        told = f"PostgreSQL at {self.place.address.where} cannot be asked: {shown(' '.join(str(error).split()))}"
        self._failed(told)
        return PostgresAway(told)

    @staticmethod
    def _lives(connection: "Patient") -> bool:
        """What was idle may have ended, and that must not cost whoever comes next."""
        patience, connection.answer_seconds = connection.answer_seconds, _SIGN_SECONDS
        with suppress(Exception):
            connection.execute("")
            connection.answer_seconds = patience
            return not connection.closed
        return False

    def _failed(self, told: str) -> None:
        self.close()
        if time.monotonic() < self._due:
            return  # nobody has tried
        self._due = time.monotonic() + self._pause
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
        if not self.health.error:
            log.warning("%s: %s", self._purpose, told)
        since = self.health.since if self.health.error else time.time()
        self.health = Health(self.health.where, told, since, self.health.failures + 1)

    def _worked(self) -> None:
        self._pause, self._due = _LEAST_PAUSE, 0.0
        if self.health.error:
            log.warning("%s: PostgreSQL at %s answers again", self._purpose, self.health.where)
        if self.health.error or not self.health.since:
            self.health = Health(self.health.where, "", time.time(), self.health.failures)
