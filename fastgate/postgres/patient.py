"""Connections whose patience ends: a server that hangs answers nobody, and must not hold a thread for good."""

from typing import Any

from psycopg import Connection
from psycopg.abc import RV, PQGen


class Patient(Connection[tuple[Any, ...]]):
    """Raises psycopg.OperationalError where nothing came for ``answer_seconds``; the connection is of no use then."""

    answer_seconds = 10.0

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As of a connection of psycopg, but never for ever."""
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
