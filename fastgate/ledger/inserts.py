"""Journal events into tables, each exactly once: rows and the position up to which they reach are one transaction."""

import contextlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from fastgate.ledger.alerts import Alert
from fastgate.ledger.resets import Reset
from fastgate.ledger.schema import EVENT_NUMBERS, EVENT_TEXTS, ORIGIN_NUMBERS, ORIGIN_TEXTS

ORIGIN: Final = (*ORIGIN_TEXTS, *ORIGIN_NUMBERS)
MOST_ORIGINS: Final = 50_000
"""Numbers of origins kept in memory; beyond them all are forgotten and equal ones may get a second number."""

Integers = NDArray[np.int64]
Columns = Mapping[str, Any]
"""Events as the journal yields them: name to ``array('q')`` or ``list[str]``, all of one length."""


@dataclass(frozen=True)
class Batch:
    """Committed events: their columns, the origin of each, and what the numbers stand for (values as in ``ORIGIN``)."""

    columns: Columns
    origins: Integers
    values: Mapping[int, tuple[Any, ...]]

    def __len__(self) -> int:
        return len(self.origins)


class Inserts:
    """Writes on one connection, from one thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        # A cursor shares the database but not the transaction, so that nobody else's statement falls into ours.
        self._connection = connection.cursor()
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._next = 1
        self._remember()
        self._segments: dict[str, int] = dict(
            self._connection.execute("SELECT name, last_seq FROM segments").fetchall()
        )
        names = ("id_high", "id_low", "origin", *EVENT_NUMBERS, *EVENT_TEXTS)
        columns = ", ".join(f'"{name}"' for name in names)
        self._insert_events = f"INSERT INTO events ({columns}) SELECT {columns} FROM batch"

    def positions(self) -> dict[str, int]:
        """The last sequence number that was taken from each segment."""
        return dict(self._segments)

    def forget(self, names: Iterable[str]) -> None:
        """Drops the positions of segments that no longer exist."""
        for name in names:
            self._connection.execute("DELETE FROM segments WHERE name = ?", [name])
            self._segments.pop(name, None)

    def checkpoint(self) -> None:
        """Moves rows from the write-ahead log, and from memory, into the file; queries may go on meanwhile."""
        self._connection.execute("CHECKPOINT")

    def note_first_uses(self, uses: Mapping[str, int]) -> None:
        """Keeps when budgets were first used (Unix nanoseconds); those that are known stay as they are."""
        for budget, at_ns in uses.items():
            self._connection.execute("INSERT OR IGNORE INTO first_uses VALUES (?, ?)", [budget, at_ns])

    def add(
        self,
        columns: Columns,
        positions: Mapping[str, int],
        resets: Sequence[Reset] = (),
        alerts: Sequence[Alert] = (),
    ) -> Batch:
        """Inserts all, and moves ``positions`` (segment to last sequence number), or does nothing and raises.

        ``columns`` may be empty: alerts need no requests.
        """
        if len(self._numbers) > MOST_ORIGINS:
            self._numbers.clear()
        fresh: dict[tuple[Any, ...], int] = {}
        batch = self._number(columns, fresh)
        try:
            self._connection.execute("BEGIN")
            if fresh:
                self._add_origins(fresh)
            if len(batch):
                self._add_events(batch)
            for reset in resets:
                self._connection.execute("INSERT INTO resets VALUES (?, ?, ?)", [*astuple(reset)])
            for alert in alerts:
                self._connection.execute(
                    "INSERT OR IGNORE INTO alerts SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ? FROM alerts",
                    [*astuple(alert)],
                )
            self._move(positions)
            self._connection.execute("COMMIT")
        except BaseException:
            for values in fresh:
                self._numbers.pop(values, None)
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._segments.update(positions)
        return batch

    def _move(self, positions: Mapping[str, int]) -> None:
        for name, sequence in positions.items():
            if name in self._segments:  # an upsert costs more than twice as much
                self._connection.execute("UPDATE segments SET last_seq = ? WHERE name = ?", [sequence, name])
            else:
                self._connection.execute("INSERT INTO segments VALUES (?, ?)", [name, sequence])

    def _number(self, columns: Columns, fresh: dict[tuple[Any, ...], int]) -> Batch:
        """The origin of each event; those never seen get the next number and are added to ``fresh``."""
        numbers = self._numbers
        origins = array("q")
        used: dict[int, tuple[Any, ...]] = {}
        for values in zip(*(columns[name] for name in ORIGIN), strict=True) if columns else ():
            number = numbers.get(values)
            if number is None:
                number = numbers[values] = fresh[values] = self._next
                self._next += 1
            used[number] = values
            origins.append(number)
        return Batch(columns, np.array(origins, dtype=np.int64), used)

    def _add_origins(self, fresh: Mapping[tuple[Any, ...], int]) -> None:
        found: dict[str, NDArray[Any]] = {"id": np.fromiter(fresh.values(), dtype=np.int64, count=len(fresh))}
        by_name: Sequence[tuple[Any, ...]] = list(zip(*fresh, strict=True))
        for name, values in zip(ORIGIN, by_name, strict=True):
            found[name] = np.array(values, dtype=np.int64 if name in ORIGIN_NUMBERS else object)
        columns = ", ".join(f'"{name}"' for name in found)
        self._from_arrays(f"INSERT INTO origins ({columns}) SELECT {columns} FROM batch", found)

    def _add_events(self, batch: Batch) -> None:
        columns = batch.columns
        high, low = split_ids(columns["request_id"])
        found: dict[str, NDArray[Any]] = {"id_high": high, "id_low": low, "origin": batch.origins}
        for name in EVENT_NUMBERS:
            found[name] = np.frombuffer(columns[name], dtype=np.int64)
        for name in EVENT_TEXTS:
            found[name] = np.array(columns[name], dtype=object)
        self._from_arrays(self._insert_events, found)

    def _from_arrays(self, statement: str, found: dict[str, NDArray[Any]]) -> None:
        self._connection.register("batch", found)
        try:
            self._connection.execute(statement)
        finally:
            self._connection.unregister("batch")

    def _remember(self) -> None:
        columns = ", ".join(f'"{name}"' for name in ORIGIN)
        rows = self._connection.execute(
            f"SELECT id, {columns} FROM origins ORDER BY id DESC LIMIT {MOST_ORIGINS // 2}"
        ).fetchall()
        self._numbers = {tuple(row[1:]): row[0] for row in reversed(rows)}
        self._next = rows[0][0] + 1 if rows else 1


def split_ids(ids: Sequence[str]) -> tuple[Integers, Integers]:
    """Request ids (32 hexadecimal digits) as two columns of signed 64-bit numbers."""
    halves = np.frombuffer(bytes.fromhex("".join(ids)), dtype=">i8").astype(np.int64)
    return np.ascontiguousarray(halves[0::2]), np.ascontiguousarray(halves[1::2])


def join_id(high: int, low: int) -> str:
    """The inverse of :func:`split_ids` for one id."""
    mask = 0xFFFF_FFFF_FFFF_FFFF
    return f"{high & mask:016x}{low & mask:016x}"
