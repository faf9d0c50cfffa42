"""The first promise, by the provider's own bill: whatever fails or is killed, no budget is ever above its limit."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.arena_images import rewrite
from tests.chaos.evidence import UNSURE, Evidence, collect
from tests.chaos.killer import Killer, schedule
from tests.chaos.storm import LEARNED, MODEL, REASONING, Storm
from tests.support.house import House, key, wait_for

REQUESTS = int(os.environ.get("FASTGATE_STORM_REQUESTS", "16000"))
KILLS = int(os.environ.get("FASTGATE_STORM_KILLS", "10"))
CONNECTIONS = 64
WORKERS = 4
COST = 155_000
"""nano-USD, about, of a request of a key whose budgets are strict."""
FAILURES = {
    "429": 0.006, "500": 0.006, "503": 0.006, "cut": 0.008, "stall": 0.003, "hang": 0.003, "noheaders": 0.005,
    "early": 0.004, "garbage": 0.004, "gzip": 0.003, "slow": 0.001, "bighead": 0.0005, "endless": 0.0005,
}  # fmt: skip
SILENT = ("hang", "noheaders", "early", "garbage", "bighead")
"""After which the provider may have billed, and has not said what."""
STRICT = ("free", "small", "first", "second")
KEYS = (*STRICT, LEARNED)
FAR = 1000
"""Times what it will spend: the limit of the key that is held for by experience."""


def budget(requests: float, bound: str = "strict") -> dict[str, Any]:
    limit = f"{Decimal(round(requests * COST)) / 10**9:f}"
    return {"limit_usd": limit, "window": "lifetime", "bound": bound}


def settings(requests: int, url: str) -> dict[str, Any]:
    """Strict and near their limits: a customer for three quarters of what its keys ask for, a team for half, a key for
    a third. Beside them a key that is held for by experience, far from its limit.
    """
    each = requests / len(KEYS)
    times = {"connect": 2, "first_byte": 1.5, "idle": 1.5, "total": 6}
    return {
        "providers": {
            f"at-{name}": {
                "type": "sim",
                "base_url": url,
                "keys": [{"name": "k", "value": f"upstream-{name}"}],
                "timeout_seconds": times,
            }
            for name in KEYS
        },
        "disconnect": {"read_seconds": 0.05},  # so that most streams of those who leave are cancelled
        "customers": [{"id": "acme", "budgets": [budget(len(STRICT) * each * 0.75)]}],
        "teams": [{"id": "open", "customer": "acme"}, {"id": "tight", "customer": "acme", "budgets": [budget(each)]}],
        "models": {
            MODEL: {"targets": [{"provider": f"at-{name}", "model": MODEL} for name in STRICT]},
            REASONING: {"targets": [{"provider": f"at-{LEARNED}", "model": REASONING}]},
        },
        "keys": [
            *(
                key(
                    name,
                    team="tight" if name in ("first", "second") else "open",
                    budgets=[budget(each / 3)] if name == "small" else [],
                    providers=[{"provider": f"at-{name}"}],
                )
                for name in STRICT
            ),
            key(LEARNED, budgets=[budget(FAR * each, "learned")], providers=[{"provider": f"at-{LEARNED}"}]),
        ],
    }


BUDGETS: Mapping[str, Sequence[str]] = {
    "customer:acme": STRICT,
    "team:tight": ("first", "second"),
    "key:small": ("small",),
    f"key:{LEARNED}": (LEARNED,),
}
"""Whose requests each budget pays for."""


class Auditor:
    """Reads the provider's bill throughout: what is on it for a budget's keys must be within the budget's limit."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._limits = {
            owner: next(Decimal(each["limit_usd"]) for each in things["budgets"])
            for owner, things in _owners(house.settings).items()
            if things.get("budgets")
        }
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auditor")
        self.found: list[str] = []
        self.looks = 0
        self.fullest = Decimal(0)

    def __enter__(self) -> "Auditor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(0.2):
            self.look()

    def look(self) -> None:
        """Once."""
        billed = {group["key"]: Decimal(group["usd"]) for group in self._house.bill()["by_key"]}
        self.looks += 1
        for owner, names in BUDGETS.items():
            spent = sum((billed.get(f"upstream-{name}", Decimal(0)) for name in names), Decimal(0))
            self.fullest = max(self.fullest, spent / self._limits[owner])
            if spent > self._limits[owner]:
                self.found.append(f"{owner} is billed {spent} of {self._limits[owner]}")


def _owners(settings: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"customers": "customer", "teams": "team", "keys": "key"}
    return {f"{level}:{thing['id']}": thing for kind, level in kinds.items() for thing in settings[kind]}


def simulator() -> dict[str, Any]:
    return {"cancel_lag_ms": 5, "fail": ",".join(f"{name}={share}" for name, share in FAILURES.items())}


class Skies(House):
    """A house whose keys each have a provider of their own, so that the provider's bill tells them apart."""

    def __init__(self, folder: Path, requests: int) -> None:
        super().__init__(folder, {}, workers=WORKERS, simulator=simulator())
        self._requests = requests

    def write_config(self, _: Mapping[str, Any]) -> None:
        self.settings = settings(self._requests, self.simulator.url)
        super().write_config(self.settings)


def findings(house: House, storm: Storm, auditor: Auditor, kills: int) -> tuple[Evidence, list[str]]:
    """What is known at the end, and everything that is wrong."""
    house.settled()
    auditor.look()
    budgets = house.admin("budgets")["items"]
    overruns = [each["id"] for each in budgets if each["owner"] != f"key:{LEARNED}" and Decimal(each["overrun_usd"])]
    unbilled = house.bill()["unbilled"]
    cut = sum(charge["outcome"] != "complete" for charge in house.simulator.charges())
    in_flight = CONNECTIONS * kills
    silent = sum(unbilled.get(kind, 0) for kind in SILENT)
    evidence = collect(house, storm.book, in_flight + silent + cut + storm.book.left, free=True)
    wrong = [*auditor.found, *(f"{each} has overrun" for each in overruns), *evidence.findings()]
    wrong += uncovered(house, evidence)
    unsettled = sum(row.settlement == "unsettled" for row in evidence.rows)
    if unsettled > in_flight + silent + cut:
        wrong.append(f"{unsettled} are unsettled; {in_flight} in the air, {silent} without an answer, {cut} cut")
    return evidence, wrong


def uncovered(house: House, evidence: Evidence) -> Iterator[str]:
    """Keys that are billed more than is booked of theirs: each alone, so that no key's caution hides another's want."""
    for group in house.bill()["by_key"]:
        name = group["key"].removeprefix("upstream-")
        booked = sum(row.cost for row in evidence.rows if f"key:{name}" in row.owners)
        if Decimal(group["usd"]).scaleb(9) > booked:
            yield f"{name} is billed {group['usd']}, and booked are {booked} nano-USD"


@pytest.mark.timeout(900)
def test_no_budget_is_ever_above_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = schedule(KILLS)
    with Skies(tmp_path, REQUESTS) as house:
        began = time.monotonic()
        with Storm(house.port, REQUESTS, CONNECTIONS, KEYS) as storm, Auditor(house) as auditor:
            killer = Killer(house, storm.book, None)
            for number, kind in enumerate(kinds):
                due = REQUESTS * (number + 1) // (KILLS + 1)
                wait_for(lambda due=due: storm.book.asked >= due or storm.over, 600, "requests under load")
                killer.strike(kind)
            wait_for(lambda: storm.over, 600, "the end of the storm")
        seconds = time.monotonic() - began
        wrong_kills = sum(kind != "control" for kind in kinds)
        evidence, wrong = findings(house, storm, auditor, wrong_kills)
        with capsys.disabled():
            print("\n" + figures(evidence, storm, auditor, len(kinds), seconds))
    assert wrong == []
    assert storm.book.statuses[402] > REQUESTS // 50, "no budget came to its end"
    assert auditor.fullest > Decimal("0.85"), "what is unsure counts in budgets, and is on no bill"


def figures(evidence: Evidence, storm: Storm, auditor: Auditor, kills: int, seconds: float) -> str:
    book, marks = storm.book, [row.settlement for row in evidence.rows]
    unsure = ", ".join(f"{marks.count(mark)} {mark}" for mark in UNSURE)
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(book.statuses.items()))
    return (
        f"{book.asked} requests in {seconds:.0f} s, {kills} kills: {statuses}, {book.left} left, {book.failures} cut; "
        f"{marks.count('exact')} exact, {unsure}; bill {sum(cost for _, cost in evidence.bill)} nano-USD, ledger "
        f"{sum(row.cost for row in evidence.rows)}, of it {evidence.total(*UNSURE)} unsure; bill read {auditor.looks} "
        f"times, at most {float(auditor.fullest):.2%} of a limit"
    )


def test_counters_that_are_wiped_at_a_restart_are_found(tmp_path: Path) -> None:
    """What the storm is there to find: with them, budgets are spent once more."""
    count = 1600
    with Skies(tmp_path, count) as house:
        with Storm(house.port, 2 * count, CONNECTIONS, KEYS) as storm, Auditor(house) as auditor:
            wait_for(lambda: storm.book.statuses[402] > 100, 120, "budgets at their ends")
            house.kill_everything()
            rewrite(house.arena_dir, lambda _: 0)
            house.start()
            wait_for(lambda: storm.over, 120, "the end of the storm")
        _, wrong = findings(house, storm, auditor, kills=1)
    assert any("is billed" in each for each in wrong), wrong
    assert any("has spent" in each for each in wrong), wrong
