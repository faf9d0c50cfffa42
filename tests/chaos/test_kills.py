"""`kill -9` of anything under load: the service is soon back, and no settled money is lost or doubled."""

import asyncio
import json
import os
import random
import signal
import statistics
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.evidence import UNSURE, Evidence, Row, collect
from tests.chaos.traffic import Answer, Book, Traffic, ask, request
from tests.support.house import House, key, wait_for

ROUNDS = int(os.environ.get("FASTGATE_CHAOS_ROUNDS", "8"))
CONNECTIONS = 48
BACK_SECONDS = 3.0
KEYS = ("ide", "batch", "agent")
PLENTY = "1000000"
SETTINGS = {
    "customers": [{"id": "acme", "budgets": [{"limit_usd": PLENTY, "window": "month"}]}],
    "teams": [{"id": "platform", "customer": "acme", "budgets": [{"limit_usd": PLENTY, "window": "lifetime"}]}],
    "keys": [
        key(
            name,
            team="platform",
            budgets=[{"limit_usd": PLENTY, "window": "day"}],
            providers=[{"provider": "sim", "budgets": [{"limit_usd": PLENTY, "window": "lifetime"}]}],
        )
        for name in KEYS
    ],
}  # fmt: skip


class Killer:
    """Kills parts of a house and measures until it serves again."""

    def __init__(self, house: House, traffic: Traffic) -> None:
        self.house = house
        self.traffic = traffic
        self.seconds: list[float] = []
        self._chance = random.Random(20261121)
        self._probes = 0

    def strike(self, what: str) -> None:
        """After some load and at a moment of chance; returns when the service is back."""
        self.load(150)
        time.sleep(self._chance.random() * 0.2)  # the moment is what is random here
        {"worker": self.worker, "control": self.control, "supervisor": self.supervisor, "everything": self.everything}[
            what
        ]()

    def load(self, answers: int) -> None:
        """Waits until so many more requests were answered."""
        enough = len(self.traffic.book.answers) + answers
        wait_for(lambda: len(self.traffic.book.answers) >= enough, 30, "answers under load")

    def worker(self) -> None:
        self._child(f"worker {self._chance.randrange(self.house.workers)}")

    def control(self) -> None:
        failures = self.traffic.book.failures
        self._child("control", lambda: bool(self.house.admin("status")))
        assert self.traffic.book.failures == failures, "requests failed for want of a control plane"

    def supervisor(self) -> None:
        self.house.kill_supervisor()
        self._serve()

    def everything(self) -> None:
        self.house.kill_everything()
        self._serve()

    def _serve(self) -> None:
        began = time.monotonic()
        self.house.start()
        assert self.served()
        self._back(began)

    def _child(self, name: str, works: Callable[[], bool] | None = None) -> None:
        before, began = self._health(name), time.monotonic()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: self._is_another(name, before[0]), 30, f"{name} is back")
        assert (works or self.served)()
        self._back(began)

    def _is_another(self, name: str, before: int) -> bool:
        pid, state = self._health(name)  # one look: two could see two runs
        return state == "ready" and pid != before

    def _back(self, began: float) -> None:
        self.seconds.append(time.monotonic() - began)

    def _health(self, name: str) -> tuple[int, str]:
        children = json.loads((self.house.state_dir / "supervisor.json").read_bytes())["children"]
        return next((child["pid"], child["state"]) for child in children if child["name"] == name)

    def served(self) -> bool:
        """Whether a request on a new connection is answered; it is of the traffic's book, too."""
        self._probes += 1

        async def once() -> bool:
            connection = await asyncio.open_connection("127.0.0.1", self.house.port)
            try:
                return await ask(connection, *request(4_000_000 + 4 * self._probes, KEYS), self.traffic.book)
            finally:
                connection[1].close()

        return asyncio.run(once())


def schedule(rounds: int) -> Sequence[str]:
    kinds = ("worker", "control", "supervisor", "everything")
    order = [kinds[number % len(kinds)] for number in range(rounds)]
    random.Random(rounds).shuffle(order)
    return order


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_nothing_settled_is_lost_or_doubled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = schedule(ROUNDS)
    with House(tmp_path, SETTINGS, workers=2, simulator={"cancel_lag_ms": 5}) as house:
        with Traffic(house.port, CONNECTIONS, KEYS) as traffic:
            killer = Killer(house, traffic)
            for kind in kinds:
                killer.strike(kind)
            killer.load(50)
        evidence = collect(house, traffic.book, in_flight=CONNECTIONS * sum(kind != "control" for kind in kinds))
        with capsys.disabled():
            print("\n" + figures(evidence, killer.seconds))
    assert list(evidence.findings()) == []
    assert max(killer.seconds) < BACK_SECONDS


def figures(evidence: Evidence, seconds: Sequence[float]) -> str:
    book, marks = evidence.book, [row.settlement for row in evidence.rows]
    unsure = ", ".join(f"{marks.count(mark)} {mark}" for mark in UNSURE)
    return (
        f"{len(seconds)} kills; {len(book.answers) + book.failures} requests, {book.failures} cut; {len(marks)} rows: "
        f"{marks.count('exact')} exact, {unsure}; back within {max(seconds):.2f} s "
        f"(median {statistics.median(seconds):.2f}); "
        f"bill {sum(cost for _, cost in evidence.bill)} nano-USD, ledger {sum(row.cost for row in evidence.rows)}, "
        f"of it {evidence.total(*UNSURE)} unsure"
    )


def forget_journals(house: House) -> None:
    """As if events were lost between the journal and the ledger."""
    for path in house.arena_dir.glob("journal-*.seg"):
        path.unlink()


def forget_arena(house: House) -> None:
    """As if holds were not resolved: what was in the air at the kill is booked nowhere."""
    (house.arena_dir / "arena.bin").unlink()


def overcount(house: House) -> None:
    """As if settled twice: a nano-USD more in every cell that was used (layout: `_core/layout.pxd`)."""
    with (house.arena_dir / "arena.bin").open("r+b") as file:
        for at in range(2_621_440, 2_621_440 + 1_048_576, 256):
            file.seek(at)
            used, tag, spent = struct.unpack("=qQq", file.read(24))
            if tag and spent:
                file.seek(at)
                file.write(struct.pack("=qQq", used + 1, tag, spent + 1))


@pytest.mark.parametrize(
    ("sabotage", "finding"),
    [
        (forget_journals, "was answered and is not in the ledger"),
        (forget_arena, "rows that may stand for it"),
        (overcount, "has spent"),
    ],
)
def test_sabotage_between_kill_and_restart_is_found(
    tmp_path: Path, sabotage: Callable[[House], None], finding: str
) -> None:
    with House(tmp_path, SETTINGS, workers=2, simulator={}) as house:
        with Traffic(house.port, CONNECTIONS, KEYS) as traffic:
            Killer(house, traffic).load(200)
            house.kill_everything()
            sabotage(house)
            house.start()
        evidence = collect(house, traffic.book, in_flight=CONNECTIONS)
    assert any(finding in line for line in evidence.findings())


ROW = Row("a", frozenset({"key:k"}), "exact", False, 7, ("m", 1, 2))
CUT = Row("b", frozenset({"key:k"}), "unsettled", True, 9, ("m", 0, 0))
SOUND = Evidence(
    Book([Answer("a", False, 7)], failures=1), [ROW, CUT], {"key:k": (16, 0)}, [(ROW.what, 7), (("m", 3, 4), 5)], 0, 48
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": [ROW, ROW, CUT]},
        {"rows": [CUT]},
        {"rows": [replace(ROW, cost=8), CUT]},
        {"rows": [replace(ROW, settlement="unsettled"), CUT]},
        {"rows": [ROW, replace(CUT, settlement="none")]},
        {"rows": [ROW]},
        {"budgets": {"key:k": (17, 0)}},
        {"budgets": {"key:k": (15, 0)}},
        {"budgets": {"key:k": (16, 1)}},
        {"bill": []},
        {"bill": [*SOUND.bill, (("m", 5, 6), 1)]},
        {"bill": [(ROW.what, 7), (("m", 3, 4), 10)]},
        {"bill": [(ROW.what, 6), (("m", 3, 4), 5)]},
        {"book": Book([Answer("a", False, 7)], failures=0)},
        {"book": Book([Answer("a", False, 7)], failures=1, refused=["503"])},
        {"open_records": 1},
        {"in_flight": 0},
    ],
)
def test_each_contradiction_is_found(wrong: dict[str, object]) -> None:
    assert list(SOUND.findings()) == []
    assert list(replace(SOUND, **wrong).findings())
