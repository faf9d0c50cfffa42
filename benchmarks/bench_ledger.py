"""What a journaled request costs the control plane, as a ratio to SQLite taking the same rows in the same run.

Budget at 14,000 requests/s: 10 µs of CPU per request for all of it (read, insert, tally), 5 µs without the reading. The
reference, one ``executemany`` of the same columns into a table in memory, takes about 3.3 µs a row on a 2-core EPYC VM.
"""

import sqlite3
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.turns import Compare
from fastgate._core.journal import Draft, Journal
from fastgate.control.drain import Drain
from fastgate.ledger.inserts import Batch
from fastgate.ledger.schema import EVENT_NUMBERS, EVENT_TEXTS, ORIGIN_NUMBERS, ORIGIN_TEXTS
from fastgate.ledger.store import Ledger
from fastgate.telemetry.tally import Origin, Tally

ROWS: Final = 7000
"""Half a second of 14,000 requests/s: what one pass of the drain takes."""
PASSES: Final = 12
"""Checkpoints come every few of them."""

NAMES: Final = (*EVENT_NUMBERS, *EVENT_TEXTS, *ORIGIN_TEXTS, *ORIGIN_NUMBERS)
DRAFTS: Final = [
    Draft(
        key=f"key-{i}", team=f"team-{i % 2}", customer="acme", provider="sim", provider_key="main", model="smart",
        upstream_model="sim-small", route="models.smart", dialect="openai-chat", environment="prod",
    )
    for i in range(8)
]  # fmt: skip


class Plant:
    """A journal, a ledger and a tally, and what each pass cost."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(str(folder), 1)
        self.ledger = Ledger(folder / "ledger.duckdb")
        self.ledger.open()
        self.tally = Tally()
        self.batches: list[Batch] = []
        self.drain = Drain(folder, self.ledger, self._taken, lambda: (set(), {1}))
        self._numbers = count(1)

    def write(self) -> None:
        for _ in range(ROWS):
            number = next(self._numbers)
            started = 1_795_000_000_000_000 + number * 70
            self.journal.log(DRAFTS[number % 8], (started * 1000).to_bytes(8, "big") + bytes(8), started, 900, 200, 0)
        self.journal.prepare()

    def take(self) -> None:
        while self.drain.once():
            pass

    def _taken(self, batch: Batch) -> None:
        self.batches = [batch]
        self.count(batch)

    def count(self, batch: Batch) -> None:
        self.tally.add(batch.columns, batch.origins, lambda number: Origin((str(number),) * 6, "ok", "", "", False))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    plant.write()
    plant.take()
    yield plant
    plant.ledger.close()


class Reference:
    """The same rows through SQLite, in memory."""

    def __init__(self, columns: Any) -> None:
        self._columns = columns
        self._connection = sqlite3.connect(":memory:")
        listed = ", ".join(f'"{name}"' for name in NAMES)
        self._connection.execute(f"CREATE TABLE requests (request_id, {listed})")
        self._statement = f"INSERT INTO requests VALUES ({', '.join('?' * (len(NAMES) + 1))})"

    def insert(self) -> None:
        rows = zip(*(self._columns[name] for name in ("request_id", *NAMES)), strict=True)
        with self._connection:
            self._connection.executemany(self._statement, rows)


@pytest.fixture
def reference(plant: Plant) -> Reference:
    (batch,) = plant.batches
    return Reference(batch.columns)


def test_a_pass_of_the_drain(compare: Compare, plant: Plant, reference: Reference) -> None:
    """Read, inserted and counted."""
    compare("ledger: a pass", plant.take, reference.insert, number=1, rounds=PASSES, before=plant.write, overall=True)
    assert len(plant.batches[0]) == ROWS


def test_an_insert(compare: Compare, plant: Plant, reference: Reference) -> None:
    (batch,) = plant.batches
    position = count(ROWS)
    insert = lambda: plant.ledger.inserts.add(batch.columns, {"segment": next(position)})  # noqa: E731
    compare("ledger: an insert", insert, reference.insert, number=1, rounds=PASSES, overall=True)


def test_counting(compare: Compare, plant: Plant, reference: Reference) -> None:
    (batch,) = plant.batches
    compare("ledger: a tally", partial(plant.count, batch), reference.insert, number=1, rounds=PASSES)
