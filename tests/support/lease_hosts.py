"""Hosts that share limits: arenas, holds and the scripts on a Redis are real; clocks and wires are the test's."""

import os
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis

from fastgate._core.arena import Arena
from fastgate._core.budget import CONTENDED, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.owner import CONTROL, WORKER, Owner
from fastgate.budgets.leases.holder import DRY_NS, Holder
from fastgate.budgets.leases.notes import Notes
from fastgate.budgets.leases.store import LeaseStore, NameTaken, StoreAway
from fastgate.budgets.levels import levels_of, rules_of
from fastgate.budgets.periods import period_of
from fastgate.wire.leasing import Want
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

NANO: Final = 1_000_000_000
MILLI: Final = 1_000_000
START: Final = 1_900_000_000 * NANO
"""Later than any clock of a machine that tests run on: Redis forgets windows that are over by its own."""
Place = tuple[int, int]
"""A record's number, and a window's."""


class World:
    """What time it is at the store, which server it is, and what is still on its way there."""

    def __init__(self, client: "Redis[bytes]") -> None:
        self.client = client
        self.cluster = uuid.uuid4().hex
        self.now_ns = START
        self.run = "first"
        self.late: list[tuple[Wire, str, list[str], tuple[object, ...]]] = []


class Wire(LeaseStore):
    """A host's line to the store. ``fault``: what becomes of the next messages."""

    def __init__(self, world: World) -> None:
        super().__init__(lambda: world.client, world.cluster)
        self.world = world
        self.fault = ""
        self.speaks_to = ""

    @property
    def _now(self) -> int | str:
        return self.world.now_ns // MILLI

    def _run_id(self) -> str:
        self.speaks_to = self.world.run
        return self.world.run

    def close(self) -> None:
        """The connection is everybody's."""

    def _call(self, script: str, keys: list[str], *arguments: object) -> Any:
        if self.speaks_to != self.world.run:
            raise StoreAway("the connection has ended with the server")
        if self.fault in {"late", "echo"}:
            self.world.late.append((self, script, keys, arguments))
        if self.fault in {"lost", "late"}:
            raise StoreAway(self.fault)
        said = super()._call(script, keys, *arguments)
        if self.fault == "twice":
            super()._call(script, keys, *arguments)
        if self.fault == "unheard":
            raise StoreAway(self.fault)
        return said

    def _command(self, *words: object) -> Any:
        if self.fault not in {"", "echo"}:
            raise StoreAway(self.fault)
        return super()._command(*words)


@dataclass(eq=False)
class Entry:
    """A request that passed on a host: where it counts, and what it takes."""

    host: "Host"
    handle: Hold
    places: list[Place]
    amount: int


@dataclass(eq=False)
class Host:
    """One host: its arena, a worker and a control process."""

    world: World
    name: str
    records: Sequence[BudgetRecord | LimitRecord]
    folder: "tempfile.TemporaryDirectory[str]" = field(default_factory=tempfile.TemporaryDirectory)
    skew_ns: int = 0
    gone: bool = False
    settled: dict[Place, int] = field(default_factory=dict)
    """What its ledger knows."""

    def __post_init__(self) -> None:
        self.notes = Notes()
        self._begin()

    def _begin(self) -> None:
        self.arena = Arena(f"{self.folder.name}/arena.bin", create=True)
        self.worker = Owner(self.arena, WORKER, os.getpid())
        self.control = Owner(self.arena, CONTROL, os.getpid())
        self.journal = Journal(self.folder.name, self.worker.slot)
        self.levels = levels_of(self.arena, rules_of(self.arena, self.records, shared=True))
        self.draft = Draft(key="k")
        self.arena.set_counted()
        self.restart()

    def lose_power(self, share: int) -> None:
        """What is in memory is gone: its counters are what ``share`` percent of its ledger say, requests nowhere."""
        anchors = [self.arena.anchor(rule.cell) for rule in self.levels.rules]
        present = [self.levels.windows(number, self.now())[0] for number in range(len(self.records))]
        self.folder.cleanup()
        self.folder = tempfile.TemporaryDirectory()
        self._begin()
        for number, record in enumerate(self.records):
            spent = self.settled.get((number, present[number]), 0) * share // 100
            if anchors[number] and isinstance(record, BudgetRecord):
                cell = self.levels.rules[number].cell
                assert self.arena.restore_cell(cell, period_of(record), anchors[number], spent, self.now())
        self.settled = {place: amount * share // 100 for place, amount in self.settled.items()}

    def restart(self) -> None:
        """The control process: what it knew is in the arena, or forgotten."""
        self.wire = Wire(self.world)
        self.holder = Holder(self.control, self.wire, self.name, self.notes, self.now)

    def now(self) -> int:
        return self.world.now_ns + self.skew_ns

    def turn(self) -> bool:
        """One turn of its control process; false: the store was away."""
        try:
            self.holder.turn()
        except StoreAway:
            self.holder.away([], self.now() + DRY_NS)
            return False
        except NameTaken:  # by itself, as it was before it lost its power
            return False
        return True

    def take(self, amount: int) -> Hold | int:
        taken: Hold | int = hold(
            self.worker, self.journal, self.levels, self.draft, amount, self.now(), os.urandom(16), True
        )
        return taken

    def ask(self, amount: int) -> Hold | int:
        """As a request does: what is missing is wanted, level by level."""
        taken = self.take(amount)
        for _ in range(2 * len(self.records)):
            if isinstance(taken, Hold) or taken == CONTENDED:
                break
            record = self.records[taken]
            window, _, _, _ = self.levels.windows(taken, self.now())
            missing = 1 if isinstance(record, LimitRecord) else amount
            kind = "limit" if isinstance(record, LimitRecord) else "budget"
            want = Want(self.levels.rules[taken].cell, window, missing, **{kind: record})
            try:
                self.holder.want([want])
                self.holder.turn()
            except StoreAway:
                self.holder.away([want], self.now() + DRY_NS)
                return self.take(amount)
            except NameTaken:
                break
            taken = self.take(amount)
        return taken
