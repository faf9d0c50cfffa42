"""What a journaled request costs the control plane, as a ratio to SQLite taking the same rows in the same run.

Budget at 14,000 requests/s: 10 µs of CPU per request for all of it (read, insert, tally), 5 µs without the reading. The
reference, one ``executemany`` of the same columns into a table in memory, takes about 3.3 µs a row on a 2-core EPYC VM,
so the gates are those budgets there.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastgate._core.journal import Draft, Journal
from fastgate.control.drain import Drain
from fastgate.ledger.inserts import Batch
from fastgate.ledger.schema import EVENT_NUMBERS, EVENT_TEXTS, ORIGIN_NUMBERS, ORIGIN_TEXTS
from fastgate.ledger.store import Ledger
from fastgate.telemetry.tally import Origin, Tally

ROWS: Final = 7000
"""Half a second of 14,000 requests/s: what one pass of the drain takes."""
PASSES: Final = 12
ALL_GATE: Final = 3.0
LEDGER_GATE: Final = 1.4
TALLY_GATE: Final = 0.1

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


def cpu(operation: Callable[[], object], prepare: Callable[[], object] = lambda: None, passes: int = PASSES) -> float:
    """Seconds of CPU per row, all threads; the mean, since checkpoints come every few passes."""
    spent = 0.0
    for _ in range(passes):
        prepare()
        began = time.process_time()
        operation()
        spent += time.process_time() - began
    return spent / passes / ROWS


def reference(columns: Any) -> float:
    """The same rows through SQLite, in memory."""
    connection = sqlite3.connect(":memory:")
    listed = ", ".join(f'"{name}"' for name in NAMES)
    connection.execute(f"CREATE TABLE requests (request_id, {listed})")
    statement = f"INSERT INTO requests VALUES ({', '.join('?' * (len(NAMES) + 1))})"

    def insert() -> None:
        with connection:
            connection.executemany(statement, zip(*(columns[name] for name in ("request_id", *NAMES)), strict=True))

    spent = cpu(insert, passes=4)
    connection.close()
    return spent


def test_a_request_costs_the_control_plane_less_than_its_budget(benchmark: BenchmarkFixture, plant: Plant) -> None:
    spent = cpu(plant.take, plant.write)
    (batch,) = plant.batches
    ratio = spent / reference(batch.columns)
    benchmark.extra_info.update(
        rows_per_second=round(1 / spent), us_per_row=round(spent * 1e6, 2), ratio=round(ratio, 3)
    )
    benchmark.pedantic(plant.take, setup=plant.write, rounds=3)
    assert len(plant.batches[0]) == ROWS
    assert ratio < ALL_GATE


def test_an_insert_costs_less_than_half_of_the_budget(benchmark: BenchmarkFixture, plant: Plant) -> None:
    (batch,) = plant.batches
    position = count(ROWS)
    insert = lambda: plant.ledger.inserts.add(batch.columns, {"segment": next(position)})  # noqa: E731
    spent = cpu(insert)
    ratio = spent / reference(batch.columns)
    benchmark.extra_info.update(us_per_row=round(spent * 1e6, 2), ratio=round(ratio, 3))
    benchmark.pedantic(insert, rounds=3)
    assert ratio < LEDGER_GATE


def test_counting_is_next_to_nothing(benchmark: BenchmarkFixture, plant: Plant) -> None:
    (batch,) = plant.batches
    spent = cpu(lambda: plant.count(batch))
    ratio = spent / reference(batch.columns)
    benchmark.extra_info.update(us_per_row=round(spent * 1e6, 3), ratio=round(ratio, 3))
    benchmark(plant.count, batch)
    assert ratio < TALLY_GATE
