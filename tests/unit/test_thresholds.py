"""Thresholds of budgets: each is told once per window, with the requests that reach it or not at all."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastgate._core.arena import Arena
from fastgate._core.leases import tell_others
from fastgate._core.levels import Levels
from fastgate.budgets.levels import level_at
from fastgate.budgets.periods import period_of
from fastgate.budgets.templates import made_of
from fastgate.control import thresholds
from fastgate.control.thresholds import LATE_NS, Thresholds
from fastgate.ledger import alerts
from fastgate.ledger.alerts import Alert
from fastgate.ledger.resets import Reset
from fastgate.ledger.store import Ledger
from fastgate.wire.snapshot import BudgetRecord, Window
from tests.support.ledger_rows import columns

TEAM = "team:platform"
DAY = 86_400_000_000
NOON = time.time_ns() // 1000 // DAY * DAY + DAY // 2
"""Microseconds, in UTC: a day's windows are known."""


class Host:
    def __init__(self, folder: Path, **more: Any) -> None:
        self.arena = Arena(str(folder / "arena.bin"), True)
        self.ledger = Ledger(folder / "ledger.duckdb")
        self.ledger.open()
        said = {"zone": "UTC", "alerts": (50, 80, 100), **more}
        self.record = BudgetRecord(1000, Window.DAY, 1, "team", TEAM, f"{TEAM}/day/default", **said)
        self.sequence = 0
        self.begin()
        self.use(NOON - DAY * 3)

    def begin(self) -> None:
        """As a control process that has just been started."""
        self.thresholds = Thresholds(self.arena, self.ledger)

    def use(self, at_us: int) -> None:
        cell = self.arena.cell(self.record.id)
        self.arena.restore_cell(cell, period_of(self.record), at_us * 1000, 0, at_us * 1000)

    def batch(self, *costs: tuple[int, int], resets: tuple[Reset, ...] = (), fails: bool = False) -> list[int]:
        """Requests by cost and microseconds after noon, into the ledger; the percents that they reach."""
        data = columns(max(1, len(costs)), seed=self.sequence)
        for position, (cost, at_us) in enumerate(costs or ((0, 0),)):
            data["cost_nano"][position], data["started_us"][position] = cost, NOON + at_us
            data["team"][position] = "platform"
        found = self.thresholds.of_batch(data, resets, lambda owner: (self.record,) if owner == TEAM else ())
        if not fails:
            self.sequence += 1
            self.ledger.inserts.add(data, {"a": self.sequence}, resets, found)
            self.thresholds.taken()
        return [alert.percent for alert in found]

    def kept(self) -> list[Alert]:
        with self.ledger.cursor() as cursor:
            return [alert for _, alert in alerts.page(cursor, None, 100)]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.ledger.close()


def test_each_is_told_once_in_each_window(host: Host) -> None:
    assert host.batch((499, 0)) == []
    assert host.batch((1, 1)) == [50]
    assert host.batch((200, 2), (100, 3), (400, 4)) == [80, 100]
    assert host.batch((5000, 5)) == []
    assert host.batch((850, DAY)) == [50, 80]
    midnight = NOON + DAY // 2
    assert host.kept() == [
        Alert(host.record.id, 80, midnight + DAY, NOON + DAY, 850, 1000),
        Alert(host.record.id, 50, midnight + DAY, NOON + DAY, 850, 1000),
        Alert(host.record.id, 100, midnight, NOON + 4, 1200, 1000),
        Alert(host.record.id, 80, midnight, NOON + 3, 800, 1000),
        Alert(host.record.id, 50, midnight, NOON + 1, 500, 1000),
    ]
    assert host.thresholds.counts == {("team", "50"): 2, ("team", "80"): 2, ("team", "100"): 1}


def test_late_requests_count_in_the_window_of_their_admission(host: Host) -> None:
    assert host.batch((400, -DAY), (400, 0)) == []
    assert host.batch((100, 1), (100, -DAY)) == [50, 50]


def test_another_process_goes_on_where_the_last_one_was_killed(host: Host) -> None:
    assert host.batch((600, 0), (450, -DAY)) == [50]
    host.begin()
    assert host.batch((100, -DAY), (250, 1)) == [50, 80]
    host.begin()
    assert host.batch((1, 2)) == []


def test_what_did_not_get_into_the_ledger_is_told_when_it_does(host: Host) -> None:
    assert host.batch((450, 0)) == []
    for _ in range(3):
        assert host.batch((60, 1), fails=True) == [50]
    assert host.kept() == []
    assert host.batch((60, 1)) == [50]
    assert [alert.spent for alert in host.kept()] == [510]


def test_a_reset_takes_off_and_tells_nothing_twice(host: Host) -> None:
    assert host.batch((500, 0)) == [50]
    assert host.batch(resets=(Reset(host.record.id, NOON + 1, 500),)) == []
    assert host.batch((790, 2)) == []
    host.begin()
    assert host.batch((10, 3)) == [80]


def test_percents_are_of_the_limit_in_force(tmp_path: Path) -> None:
    """With increases while they last, and with what the window before left."""
    host = Host(tmp_path, rollover=True, increases=(((NOON + 10) * 1000, 2000),))
    assert host.batch((300, -DAY)) == []
    assert host.batch((1800, 0)) == []
    assert host.batch((50, 1)) == [50]
    assert host.kept()[0].limit == 1000 + 2000 + 700
    assert host.batch((1, 10)) == [80, 100]
    assert host.kept()[0].limit == 1700
    host.ledger.close()


def test_an_edit_is_followed_in_the_window_that_is_open(host: Host) -> None:
    assert host.batch((300, 0)) == []
    host.record = BudgetRecord(400, Window.DAY, 1, "team", TEAM, host.record.id, zone="UTC", alerts=(60, 75))
    assert host.batch((1, 1)) == []
    host.thresholds.forget()
    assert host.batch((1, 2)) == [60, 75]
    assert [alert.limit for alert in host.kept()] == [400, 400]


class Beside:
    """A host beside others, in a window of now."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.now_us = time.time_ns() // 1000
        host.thresholds = Thresholds(host.arena, host.ledger, lambda: True)
        self.levels = Levels(host.arena, [level_at(host.arena.cell(host.record.id), host.record)])

    def others(self, spent: int, later: int = 0) -> None:
        """They tell what they have spent; ``later``: of a window as many days on."""
        now_ns = time.time_ns() + later * DAY * 1000
        tell_others(
            self.host.arena, self.host.arena.cell(self.host.record.id), self.levels.windows(0, now_ns)[0], 0, spent
        )

    def spend(self, cost: int) -> list[int]:
        return self.host.batch((cost, self.now_us - NOON))

    def late(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
        """What is told without a request, so much later."""
        now_ns = time.time_ns()
        monkeypatch.setattr(thresholds, "time_ns", lambda: now_ns + int(seconds * 1e9))
        found = self.host.thresholds.of_others()
        if found:
            self.host.ledger.inserts.add({}, {}, (), found)
            self.host.thresholds.taken()
        return [alert.percent for alert in found]


@pytest.fixture
def beside(host: Host) -> Beside:
    return Beside(host)


def test_what_other_hosts_have_spent_counts(beside: Beside) -> None:
    assert beside.spend(300) == []
    beside.others(199)
    assert beside.spend(1) == [50]
    beside.others(500)
    assert beside.spend(1) == [80]
    assert [(alert.percent, alert.spent) for alert in beside.host.kept()] == [(80, 802), (50, 500)]
    beside.others(900, later=1)
    assert beside.spend(1) == [], "of another window nothing is added"


def test_what_others_spend_is_told_a_little_later_without_a_request(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beside.spend(300) == []
    assert beside.late(monkeypatch, 0) == []
    beside.others(500)
    assert beside.late(monkeypatch, 2) == [50, 80]
    assert beside.late(monkeypatch, 4) == []
    assert [alert.spent for alert in beside.host.kept()] == [800, 800]
    assert beside.host.thresholds.counts == {("team", "50"): 1, ("team", "80"): 1}
    beside.host.begin()
    assert beside.host.thresholds.of_others() == [], "it was told"


def test_who_spends_nothing_tells_nothing(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    beside.others(900)
    assert beside.late(monkeypatch, 0) == []
    assert beside.spend(1) == [50, 80]
    beside.others(1000)
    assert beside.late(monkeypatch, LATE_NS / 1e9 + 1) == []


class Shared:
    """Requests of one key with thresholds for each user and each project."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.arena = Arena(str(folder / "arena.bin"), True)
        self.ledger = Ledger(folder / "ledger.duckdb")
        self.ledger.open()
        self.templates = tuple(
            BudgetRecord(1000, Window.DAY, 1, level, owner, f"{owner}/day/default", alerts=(50, 80), **more)
            for level, owner in (("user", "user:ide/*"), ("tag", "tag:ide/project=*"))
        )
        self.sequence = 0
        self.begin()

    def begin(self) -> None:
        self.thresholds = Thresholds(self.arena, self.ledger)

    def use(self, value: str, at_us: int) -> None:
        for template in self.templates:
            cell, at_ns = self.arena.cell(made_of(template, value).id), (NOON + at_us) * 1000
            self.arena.restore_cell(cell, period_of(template), at_ns, 0, at_ns)

    def batch(self, *costs: tuple[str, int, int]) -> list[tuple[str, int]]:
        """Requests by user, which is their project, too, cost, and microseconds after noon; what users reach."""
        data = columns(len(costs), seed=self.sequence)
        for position, (user, cost, at_us) in enumerate(costs):
            data["cost_nano"][position], data["started_us"][position] = cost, NOON + at_us
            data["key"][position], data["user"][position], data["settlement"][position] = "ide", user, "exact"
            data["tags"][position] = f"a=1,project={user},z=x" if user else "projects=x"
        found = self.thresholds.of_batch(data, (), lambda owner: self.templates if owner == "each:ide" else ())
        self.sequence += 1
        self.ledger.inserts.add(data, {"a": self.sequence}, (), found)
        self.thresholds.taken()
        told = {level: [(each.budget.split("/")[1].split("=")[-1], each.percent) for each in found
                        if each.budget.startswith(level)] for level in ("user:", "tag:")}  # fmt: skip
        assert told["user:"] == told["tag:"]
        return told["user:"]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    shared = Shared(tmp_path, zone="UTC")
    yield shared
    shared.ledger.close()


def test_each_value_of_a_template_has_its_own(shared: Shared) -> None:
    for user in ("ann", "bob", "a/b", ""):
        shared.use(user, -DAY)
    assert shared.batch(("ann", 499, 0), ("bob", 500, 1), ("a/b", 799, 2), ("", 800, 3)) == [
        ("bob", 50), ("a%2Fb", 50), ("-", 50), ("-", 80),
    ]  # fmt: skip
    assert shared.batch(("ann", 1, 4), ("bob", 299, 5)) == [("ann", 50)]
    shared.begin()
    assert shared.batch(("a/b", 1, 6), ("bob", 1, 7), ("bob", 500, DAY)) == [("a%2Fb", 80), ("bob", 80), ("bob", 50)]
    with shared.ledger.cursor() as cursor:
        [(_, first), *_] = alerts.page(cursor, None, 9, budget="user:ide/ann/day/default")
        assert len(alerts.page(cursor, None, 9, owner="user:ide/bob")) == 3
    assert (first.spent, first.limit, first.at_us) == (500, 1000, NOON + 4)
    assert shared.thresholds.counts == {("user", "50"): 1, ("user", "80"): 2, ("tag", "50"): 1, ("tag", "80"): 2}


def test_what_is_used_after_all_that_the_ledger_has_is_told_likewise(tmp_path: Path) -> None:
    """The ledger is not asked for it; but where a window before may have left something, it is."""
    shared = Shared(tmp_path, zone="UTC", rollover=True)
    shared.use("old", 0)
    shared.use("ann", 0)
    assert shared.batch(("old", 1, 5)) == []
    for user in ("new", "bob"):
        shared.use(user, 10)
    assert shared.batch(("new", 500, 11), ("bob", 999, DAY), ("ann", 600, 12)) == [("new", 50), ("ann", 50)]
    assert shared.batch(("new", 300, 13), ("bob", 1, DAY + 1)) == [("new", 80), ("bob", 50)]
    shared.ledger.close()


def test_after_a_loss_of_the_arena_a_value_s_window_begins_with_its_first_request(tmp_path: Path) -> None:
    """The ledger has the first use of the template only; what a batch has of it need not be in order."""
    shared = Shared(tmp_path)
    shared.ledger.inserts.note_first_uses({template.id: (NOON - DAY) * 1000 for template in shared.templates})
    assert shared.batch(("ann", 300, 5), ("ann", 100, 0), ("bob", 400, 7)) == []
    shared.begin()
    assert shared.batch(("ann", 100, DAY - 1), ("ann", 499, DAY), ("bob", 100, DAY)) == [("ann", 50), ("bob", 50)]
    with shared.ledger.cursor() as cursor:
        ends = {alert.budget: alert.ends_us for _, alert in alerts.page(cursor, None, 9)}
    assert ends["user:ide/ann/day/default"] == NOON + DAY
    assert ends["user:ide/bob/day/default"] == NOON + 7 + DAY
    shared.ledger.close()


def test_pages_of_what_was_told(host: Host) -> None:
    host.batch((1000, 0), (1000, -DAY))
    with host.ledger.cursor() as cursor:
        first = alerts.page(cursor, None, 4)
        assert [number for number, _ in first] == [6, 5, 4, 3]
        assert [number for number, _ in alerts.page(cursor, 3, 4, owner=TEAM)] == [2, 1]
        assert alerts.page(cursor, None, 4, owner="team:plat") == []
        assert len(alerts.page(cursor, None, 9, budget=host.record.id)) == 6
