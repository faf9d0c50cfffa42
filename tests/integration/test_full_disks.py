"""Full disks, of the arena and its journals, of the ledger: money stays exact, traffic goes on, rows follow."""

import os
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastgate._core.arena import Arena, ArenaFull
from fastgate._core.budget import Hold
from tests.chaos.arena_images import Place
from tests.support.house import House, key, secret, wait_for
from tests.support.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")

BUDGET = "key:ide/month/default"
SETTINGS = {"keys": [key("ide", budgets=[{"limit_usd": "1000", "window": "month"}]), key("other")]}
LONG_TAGS = ",".join(f"tag{number}={'x' * 60}" for number in range(12))
"""So that few rows fill a segment of the journal."""


class HouseOnSmallDisk(House):
    """Its arena and its journals, or its state, are on ``disk``."""

    def __init__(self, folder: Path, disk: SmallDisk, *, arena: bool) -> None:
        self._arena_dir = (disk.path if arena else folder) / "arena"
        super().__init__(folder, SETTINGS, workers=1, simulator={})
        if not arena:
            self.state_dir = disk.path / "state"

    @property
    def arena_dir(self) -> Path:
        return self._arena_dir


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small", 24) as found:
        yield found


def client(name: str = "ide") -> httpx.Client:
    headers = {"authorization": f"Bearer {secret(name)}", "x-fastgate-tags": LONG_TAGS}
    return httpx.Client(headers=headers, trust_env=False, timeout=30)


def ask(house: House, by: httpx.Client) -> Decimal:
    body = {"model": "sim/sim-small", "max_tokens": 20, "messages": [{"role": "user", "content": 'sim: {"tokens": 3}'}]}
    answer = by.post(f"{house.openai_url}/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return Decimal(answer.headers["x-fastgate-cost-usd"])


def dropped(house: House) -> int:
    return int(house.admin("status")["journals"]["dropped_events"])


def test_rows_become_sums_while_the_journal_has_no_space(tmp_path: Path, disk: SmallDisk) -> None:
    with HouseOnSmallDisk(tmp_path, disk, arena=True) as house, client() as ide, client("other") as other:
        spent = ask(house, ide)
        served = 1
        disk.fill()
        while not dropped(house):
            spent += sum(ask(house, ide) for _ in range(100))
            served += 100
            assert served < 20_000, "the journal never ended"
        others = [ask(house, other) for _ in range(30)]
        refused = httpx.post(f"{house.openai_url}/chat/completions", json={}, headers=ide.headers, trust_env=False)
        assert refused.status_code == 400, "what has no row is answered all the same"
        assert Decimal(house.budget(BUDGET)["spent_usd"]) == spent
        assert Decimal(house.admin("spend")["total"]["cost_usd"]) < spent + sum(others)
        assert "events are kept as sums" in house.log.read_text()
        with pytest.raises(AssertionError, match="No space left"):  # a snapshot has no space either
            house.admin("config/reload", "POST")
        disk.empty()

        def whole() -> Any:
            return Decimal(house.admin("spend")["total"]["cost_usd"]) == spent + sum(others)

        wait_for(whole, 30, "the sums are in the ledger")
        house.settled()
        rows = house.requests()
        collapsed = [row for row in rows if row["route"] == "collapsed"]
        assert {row["key"] for row in collapsed} == {"ide", "other"}
        assert all(row["settlement"] == "exact" and row["model"] == "sim/sim-small" for row in collapsed)
        assert len(rows) + dropped(house) == served + len(others) + 1  # the one that was refused has no row, either
        by_key = {group["key"]: Decimal(group["cost_usd"]) for group in house.admin("spend", by="key")["groups"]}
        assert by_key == {"ide": spent, "other": sum(others)}
        assert Decimal(house.bill()["total"]["usd"]) == spent + sum(others)
        assert len({row["id"] for row in rows}) == len(rows)
        house.admin("config/reload", "POST")
        assert ask(house, ide)


def test_a_worker_that_is_killed_while_it_owes_rows_loses_none(tmp_path: Path, disk: SmallDisk) -> None:
    with HouseOnSmallDisk(tmp_path, disk, arena=True) as house, client() as ide:
        spent = ask(house, ide)
        disk.fill()
        while not dropped(house):
            spent += sum(ask(house, ide) for _ in range(100))
        house.kill_everything()
        disk.empty()
        house.start()
        wait_for(lambda: Decimal(house.admin("spend")["total"]["cost_usd"]) == spent, 30, "all is in the ledger")
        assert Decimal(house.budget(BUDGET)["spent_usd"]) == spent == Decimal(house.bill()["total"]["usd"])
        assert house.admin("status")["arena"]["counted"]


def test_the_ledgers_disk_is_full(tmp_path: Path, disk: SmallDisk) -> None:
    with HouseOnSmallDisk(tmp_path, disk, arena=False) as house, client() as ide:
        spent = ask(house, ide)
        house.settled()
        disk.fill()
        served = 1
        while not house.admin("status")["ledger"]["failures"]:
            spent += sum(ask(house, ide) for _ in range(100))
            served += 100
            assert served < 20_000, "the ledger never failed"
        spent += sum(ask(house, ide) for _ in range(100))
        served += 100
        assert Decimal(house.budget(BUDGET)["spent_usd"]) == spent
        assert "the ledger cannot be written, journals are kept" in house.log.read_text()
        disk.empty()
        wait_for(lambda: house.admin("status")["ledger"]["open"], 30, "the ledger is open again")
        house.drained(served)
        house.settled()
        rows = house.requests()
        assert len({row["id"] for row in rows}) == len(rows) == served
        assert sum(Decimal(row["cost_usd"]) for row in rows) == spent
        assert dropped(house) == 0


def test_the_arena_grows_until_its_disk_ends_and_again_when_there_is_space(tmp_path: Path, disk: SmallDisk) -> None:
    """Holds beyond what fits are refused whole; those that were taken are settled; nobody gets a signal."""
    place = Place(disk.path)
    taken = [place.hold(b"%016d" % 0, 10)]
    disk.fill()

    def hold_without_end() -> None:
        while True:
            taken.append(place.hold(b"%016d" % len(taken), 10))

    def name_without_end() -> None:
        for number in count():
            place.arena.cell(f"key:{number}/day/default")

    with pytest.raises(ArenaFull, match="no space left"):
        hold_without_end()
    assert len(taken) > 100, "a chunk of records"
    with pytest.raises(ArenaFull):
        name_without_end()
    disk.empty()
    taken.append(place.hold(b"%016d" % len(taken), 10))
    for held in taken:
        assert isinstance(held, Hold)
        held.void()
    assert place.owner.open_holds == 0
    Arena(str(disk.path / "arena.bin")).cell("key:new/day/default")
