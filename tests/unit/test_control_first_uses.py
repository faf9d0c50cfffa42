"""A budget's first use is in the ledger before any of its events is; a new arena learns it from the events."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastgate._core.arena import Arena
from fastgate._core.windows import Period
from fastgate.control.counters import FirstUses
from fastgate.ledger.store import Ledger
from fastgate.wire.snapshot import BudgetRecord, Window

CALLER = {"customer": "acme", "team": "platform", "key": "ide", "provider": "sim"}
OWNERS = ("customer:acme", "team:platform", "key:ide", "provider:ide/sim")


class Host:
    def __init__(self, folder: Path) -> None:
        self.arena = Arena(str(folder / "arena.bin"), True)
        self.ledger = Ledger(folder / "ledger.duckdb")
        self.ledger.open()
        self.by_owner = {owner: (self.budget(owner),) for owner in (*OWNERS, "key:other")}
        self.uses = FirstUses(self.arena, self.ledger)

    def budget(self, owner: str) -> BudgetRecord:
        name = f"{owner}/day/default"
        return BudgetRecord(10**15, Window.DAY, 1, owner.partition(":")[0], owner, name)

    def use(self, owner: str, at_ns: int) -> None:
        [record] = self.by_owner[owner]
        assert self.arena.restore_cell(self.arena.cell(record.id), Period(record.window), at_ns, 1, time.time_ns())

    def batch(self, *events: tuple[int, str], new: bool) -> None:
        columns: dict[str, Any] = {name: [value] * len(events) for name, value in CALLER.items()}
        columns["started_us"], columns["settlement"] = zip(*events, strict=True)
        self.uses.note_batch(columns, lambda owner: self.by_owner.get(owner, ()), arena_is_new=new)

    def known(self) -> dict[str, int]:
        with self.ledger.cursor() as cursor:
            found = cursor.execute("SELECT budget, at_ns FROM first_uses").fetchall()
        return {budget.removesuffix("/day/default"): at for budget, at in found}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.ledger.close()


def test_of_the_budgets_that_an_event_touches(host: Host) -> None:
    now = time.time_ns()
    for owner in (*OWNERS, "key:other"):
        host.use(owner, now)
    host.batch((now // 1000, "exact"), new=False)
    assert host.known() == dict.fromkeys(OWNERS, now)


def test_a_rejection_that_came_first_hides_nothing(host: Host) -> None:
    """It held nothing, so its budgets have no first use yet; the next event of the same caller is looked at again."""
    now = time.time_ns()
    host.use("team:platform", now)
    host.batch((now // 1000, "none"), new=False)
    assert host.known() == {"team:platform": now}
    for owner in ("customer:acme", "key:ide", "provider:ide/sim"):
        host.use(owner, now + 1)
    host.batch((now // 1000, "exact"), new=False)
    assert host.known() == {**dict.fromkeys(OWNERS, now + 1), "team:platform": now}


def test_a_new_arena_goes_by_the_earliest_event_that_held_something(host: Host) -> None:
    host.batch((10, "none"), (40, "exact"), (30, "unsettled"), new=True)
    assert host.known() == dict.fromkeys(OWNERS, 30_000)


def test_what_is_known_already_stays(host: Host) -> None:
    host.ledger.inserts.note_first_uses({"team:platform/day/default": 5})
    host.batch((40, "exact"), new=True)
    assert host.known() == {**dict.fromkeys(OWNERS, 40_000), "team:platform": 5}
