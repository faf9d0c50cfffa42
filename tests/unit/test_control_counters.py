"""Counters of a lost arena come back from the ledger: the window by the first use, the amount by the rows."""

import time
from array import array
from pathlib import Path
from typing import Any

import pytest

from fastgate._core.arena import Arena
from fastgate._core.windows import Period
from fastgate.control.counters import FirstUses, lost, restore, standing
from fastgate.ledger.owners import spent_since
from fastgate.ledger.resets import Reset
from fastgate.ledger.store import Ledger
from fastgate.wire.snapshot import BudgetRecord, Window
from tests.support.ledger_rows import columns, rows

HOUR = 3600 * 10**9
DAY_US = 86_400_000_000


def record(level: str, owner: str, window: Window, every: int = 1) -> BudgetRecord:
    name = f"{owner}/{window.name.lower()}/default"
    return BudgetRecord(10**15, window, every, level, owner, name)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    return ledger


def test_lost_counters_are_rebuilt_to_the_nano_dollar(tmp_path: Path, ledger: Ledger) -> None:
    now = time.time_ns()
    data = columns(600, seed=2)
    for position in range(600):  # one a minute, the last one now
        data["started_us"][position] = now // 1000 - (599 - position) * 60_000_000
    data["key"] = [name if "'" not in name else "ide" for name in data["key"]]
    ledger.inserts.add(data, {"a": 600})
    first = now - 599 * 60 * 10**9 - 1000
    arena = Arena(str(tmp_path / "arena.bin"), True)
    budgets = [
        record("customer", "customer:acme", Window.LIFETIME),
        record("team", "team:platform", Window.HOUR, 3),
        record("key", "key:ide", Window.DAY),
        record("provider", "provider:ide/sim", Window.MINUTE, 90),
        record("key", "key:never-used", Window.DAY),
    ]
    ledger.inserts.note_first_uses({budget.id: first for budget in budgets[:4]})
    find = {budget.id: budget for budget in budgets}.get
    missing = lost(arena, ledger, find)
    assert {budget.id for budget, _ in missing} == {budget.id for budget in budgets[:4]}
    assert restore(arena, ledger, missing) == 4
    for budget in budgets:
        window_start = first
        if budget.window:
            window_start = max(first, Period(budget.window, budget.every).window(first, now)[0])
        expected = sum(
            event["cost_nano"]
            for event in rows(data)
            if event["started_us"] >= window_start // 1000 and owns(budget.owner, event)
        )
        assert standing(arena, budget).spent == expected
    assert standing(arena, budgets[1]).spent > 0
    assert lost(arena, ledger, find) == []
    assert lost(Arena(str(tmp_path / "other.bin"), True), ledger, lambda _: None) == []
    ledger.close()


def owns(owner: str, event: dict[str, str]) -> bool:
    level, _, name = owner.partition(":")
    return name == (f"{event['key']}/{event['provider']}" if level == "provider" else event[level])


def test_counters_in_use_are_never_touched(tmp_path: Path, ledger: Ledger) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    budget = record("key", "key:ide", Window.DAY)
    now = time.time_ns()
    assert arena.restore_cell(arena.cell(budget.id), Period(budget.window), now - HOUR, 777, now)
    ledger.inserts.add(columns(100), {"a": 1})
    ledger.inserts.note_first_uses({budget.id: now - HOUR})
    assert lost(arena, ledger, {budget.id: budget}.get) == []
    restore(arena, ledger, [(budget, now - HOUR)])
    assert standing(arena, budget).spent == 777
    ledger.close()


def test_first_uses_go_to_the_ledger_once(tmp_path: Path, ledger: Ledger) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    used, unused = (record("key", f"key:{name}", Window.DAY) for name in ("a", "b"))
    now = time.time_ns()
    arena.restore_cell(arena.cell(used.id), Period(used.window), now, 1, now)
    uses = FirstUses(arena, ledger)
    arena.restore_cell(arena.cell("learned/sim/small"), Period(Window.DAY), now, 1, now)
    for _ in range(2):
        uses.note([used, unused])
        uses.note_all()
    with ledger.cursor() as cursor:
        assert cursor.execute("SELECT * FROM first_uses").fetchall() == [(used.id, now)]
    ledger.close()


def test_spend_of_many_owners_since_moments_of_their_own(ledger: Ledger) -> None:
    data = columns(500, seed=3)
    ledger.inserts.add(data, {"a": 1})
    events = rows(data)
    middle, late = events[250]["started_us"], events[400]["started_us"]
    wanted = [
        ("team:platform", 0), ("team:platform", middle), ("customer:acme", late),
        ("key:a'; DROP TABLE events; --", middle),
        ("provider:ide/sim", 0), ("team:nobody", 0), ("key:ide", late + 10**12),
    ]  # fmt: skip
    with ledger.cursor() as cursor:
        found = spent_since(cursor, wanted)
    assert found == [
        sum(event["cost_nano"] for event in events if event["started_us"] >= since and owns(owner, event))
        for owner, since in wanted
    ]
    assert found[4] > 0
    assert found[5:] == [0, 0]
    ledger.close()


def test_what_a_window_of_a_calendar_left_comes_back_too(tmp_path: Path, ledger: Ledger) -> None:
    """Of the window before, as much of it as lies behind the first use; of resets, those in their own window."""
    midnight = time.time_ns() // 1000 // DAY_US * DAY_US
    data = columns(4)
    data["started_us"][:] = array("q", [midnight - DAY_US - 1, midnight - DAY_US, midnight - 1, midnight])
    data["cost_nano"][:] = array("q", [5, 100, 250, 20])
    data["team"] = ["platform"] * 4
    resets = [Reset("team:platform/day/a", midnight - 1, 30), Reset("team:platform/day/a", midnight, 3)]
    ledger.inserts.add(data, {"a": 4}, resets)

    def rolling(name: str, **more: Any) -> BudgetRecord:
        owner = "team:platform"
        return BudgetRecord(1000, Window.DAY, 1, "team", owner, f"{owner}/day/{name}", zone="UTC", **more)

    first = (midnight - 7 * DAY_US) * 1000
    missing = [
        (rolling("a", rollover=True, increases=((2**62, 50),)), first),
        (rolling("b", rollover=True), (midnight - 1) * 1000),
        (rolling("c", rollover=True), midnight * 1000),
        (rolling("d"), first),
    ]
    arena = Arena(str(tmp_path / "arena.bin"), True)
    assert restore(arena, ledger, missing) == 4
    found = [standing(arena, budget) for budget, _ in missing]
    assert [each.spent for each in found] == [17, 20, 20, 20]
    assert [each.limit for each in found] == [1000 + 50 + 1000 - 320, 1000 + 750, 1000, 1000]
    assert {each.resets_at_ns for each in found} == {(midnight + DAY_US) * 1000}
