"""Counters of a lost arena's templates come back from the ledger, value by value, whatever a value is called."""

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastgate._core.arena import Arena
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import made_of
from fastgate.control.counters import FirstUses, lost, restore, standing
from fastgate.ledger.resets import Reset
from fastgate.ledger.store import Ledger
from fastgate.wire.snapshot import BudgetRecord, Window
from tests.support.ledger_rows import columns, rows

MINUTE_US = 60_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    yield ledger
    ledger.close()


def template(name: str, window: Window, every: int = 1) -> BudgetRecord:
    level, _, tag = name.partition(":")
    owner = f"tag:ide/{tag}=*" if tag else f"{level}:ide/*"
    return BudgetRecord(10**15, window, every, level, owner, f"{owner}/{window.name.lower()}/default")


def value(event: dict[str, Any], name: str) -> str:
    if name == "model":
        return str(event["upstream_model"])
    if not name.startswith("tag:"):
        return str(event[name])
    tags = dict(part.split("=", 1) for part in reversed(event["tags"].split(",")) if part)
    return tags.get(name.removeprefix("tag:"), "")


@pytest.mark.parametrize("name", ["user", "session", "model", "environment", "tag:feature", "tag:job"])
@pytest.mark.parametrize(("window", "every"), [(Window.LIFETIME, 1), (Window.HOUR, 3), (Window.DAY, 1)])
def test_to_the_nano_dollar(tmp_path: Path, ledger: Ledger, name: str, window: Window, every: int) -> None:
    now_us = time.time_ns() // 1000
    data = columns(600, seed=4)
    for position in range(600):  # one a minute, the last one now
        data["started_us"][position] = now_us - (599 - position) * MINUTE_US
    ledger.inserts.add(data, {"a": 600})
    one = template(name, window, every)
    since_us = data["started_us"][100]
    ledger.inserts.note_first_uses({one.id: since_us * 1000})
    arena = Arena(str(tmp_path / "arena.bin"), True)
    missing = lost(arena, ledger, {one.id: one}.get)
    assert missing == [(one, since_us * 1000)]
    restored = restore(arena, ledger, missing)
    mine = [event for event in rows(data) if event["key"] == "ide" and event["started_us"] >= since_us]
    first: dict[str, int] = {}
    for event in mine:
        if event["settlement"] != "none":
            first.setdefault(value(event, name), event["started_us"])
    assert restored == len(first) > 1
    for text, anchor in first.items():
        begin, _ = period_of(one).window(anchor * 1000, now_us * 1000)
        since = max(anchor, begin // 1000)
        expected = sum(e["cost_nano"] for e in mine if value(e, name) == text and e["started_us"] >= since)
        found = standing(arena, made_of(one, text))
        assert found.spent == expected
        assert arena.anchor(arena.cell(made_of(one, text).id)) == anchor * 1000
    assert arena.members(arena.cell(one.id)) == len(first)
    assert lost(arena, ledger, {one.id: one}.get) == []
    assert restore(arena, ledger, missing) == 0


def test_resets_are_taken_off(tmp_path: Path, ledger: Ledger) -> None:
    data = columns(50, seed=1)
    data["key"], data["user"] = ["ide"] * 50, ["ann"] * 50
    data["settlement"] = ["exact"] * 50
    one = template("user", Window.LIFETIME)
    reset = Reset(made_of(one, "ann").id, data["started_us"][30], 1000)
    ledger.inserts.add(data, {"a": 50}, [reset])
    arena = Arena(str(tmp_path / "arena.bin"), True)
    restore(arena, ledger, [(one, 1000)])
    assert standing(arena, made_of(one, "ann")).spent == sum(data["cost_nano"]) - 1000


def test_a_template_is_noted_for_all_that_it_made(tmp_path: Path, ledger: Ledger) -> None:
    """A million of them must not become a million rows, nor names in memory."""
    arena, now = Arena(str(tmp_path / "arena.bin"), True), time.time_ns()
    one = template("user", Window.DAY)
    counting = arena.cell(one.id)
    for number in range(30):
        cell = arena.member(made_of(one, str(number)).id, counting, 100)
        assert cell is not None
        arena.restore_cell(cell, period_of(one), now + number, 5, now)
    arena.restore_cell(counting, period_of(one), now, 0, now)
    uses = FirstUses(arena, ledger)
    uses.note_all()
    of_owner = defaultdict(tuple, {"each:ide": (one,)})
    batch = {"customer": [""], "team": [""], "key": ["ide"], "provider": ["sim"]}
    uses.note_batch({**batch, "started_us": [now], "settlement": ["exact"]}, of_owner.__getitem__, arena_is_new=False)
    with ledger.cursor() as cursor:
        assert cursor.execute("SELECT * FROM first_uses").fetchall() == [(one.id, now)]
