"""`kill -9` of anything under load: the service is soon back, and no settled money is lost or doubled."""

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.arena_images import rewrite
from tests.chaos.evidence import UNSURE, Evidence, Row, collect
from tests.chaos.killer import Killer, schedule
from tests.chaos.traffic import Answer, Book, Traffic
from tests.support.house import House, key

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


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_nothing_settled_is_lost_or_doubled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = schedule(ROUNDS)
    with House(tmp_path, SETTINGS, workers=2, simulator={"cancel_lag_ms": 5}) as house:
        with Traffic(house.port, CONNECTIONS, KEYS) as traffic:
            killer = Killer(house, traffic.book, KEYS)
            for kind in kinds:
                killer.load(150)
                killer.strike(kind)
            killer.load(50)
        in_flight = CONNECTIONS * sum(kind != "control" for kind in kinds)
        evidence = collect(house, traffic.book, min(traffic.book.failures, in_flight))
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
    """As if settled twice: a nano-USD more in every cell that was used."""
    rewrite(house.arena_dir, lambda amount: amount + 1)


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
            Killer(house, traffic.book, KEYS).load(200)
            house.kill_everything()
            sabotage(house)
            house.start()
        evidence = collect(house, traffic.book, min(traffic.book.failures, CONNECTIONS))
    assert any(finding in line for line in evidence.findings())


ROW = Row("a", frozenset({"key:k"}), "exact", False, 7, ("m", 1, 2))
CUT = Row("b", frozenset({"key:k"}), "unsettled", True, 9, ("m", 0, 0))
SOUND = Evidence(
    Book([Answer("a", False, 7)], failures=1), [ROW, CUT], {"key:k": (16, 0)}, [(ROW.what, 7), (("m", 3, 4), 5)], 0, 1
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
        {"book": Book([Answer("a", False, 7)], failures=1, refused=["503"])},
        {"open_records": 1},
        {"most_unsure": 0},
        {"rows": [ROW, CUT, replace(ROW, id="c", settlement="none", cost=0)]},
    ],
)
def test_each_contradiction_is_found(wrong: dict[str, object]) -> None:
    assert list(SOUND.findings()) == []
    assert list(replace(SOUND, **wrong).findings())
