"""A host's own ledger beside the one in PostgreSQL, for tests of what goes from one to the other."""

from pathlib import Path
from typing import Any

from fastgate.config.scalars import Secret
from fastgate.config.settings import Postgres
from fastgate.ledger.shipping import Shipment
from fastgate.ledger.store import Ledger
from fastgate.postgres.link import Link
from fastgate.postgres.place import Place
from tests.support.postgres import PostgresServer


def place(server: PostgresServer, database: str) -> Place:
    """By TCP, with a password."""
    return Place.of(Postgres(url=Secret(server.url(database))), Path())


class Shipper:
    """``with Shipper(...) as shipper``: of one host, whose ledger is the file ``path``."""

    def __init__(self, path: Path, where: Place, host: str = "a") -> None:
        self.ledger = Ledger(path)
        self.link = Link(where, "test")
        self.shipment = Shipment(self.ledger, self.link, host)

    def __enter__(self) -> "Shipper":
        self.ledger.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()
        self.link.close()

    def book(self, events: dict[str, Any]) -> None:
        """Into its own ledger."""
        self.ledger.inserts.add(events, {"a": events["seq"][-1]})

    def ship(self) -> int:
        """All that there is; how many rows that were."""
        total = 0
        while sent := self.shipment.send():
            total += sent
        return total


def in_postgres(server: PostgresServer, database: str) -> tuple[int, int, int]:
    """Requests, different ones, and their cost."""
    with server.client(database) as client:
        [found] = client.execute(
            "SELECT count(*), count(DISTINCT (id_high, id_low)), coalesce(sum(cost_nano), 0)::bigint"
            " FROM fastgate.events e JOIN fastgate.origins o ON o.id = e.origin"
        ).fetchall()
    return found
