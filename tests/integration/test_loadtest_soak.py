"""``make soak`` in a reduced form: each trouble really comes, the ledger equals the bills, and growth is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest import soak
from loadtest.soak import Found, Idle

ROOT = Path(__file__).parents[2]
REDUCED = [
    "--requests",
    "2000",
    "--leavers",
    "20",
    "--dawdlers",
    "10",
    "--failures",
    "2",
    "--rounds",
    "1",
    "--bursts",
    "1",
    "--idle-seconds",
    "0",
]


def test_every_trouble_comes_and_every_promise_is_checked(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    command = [sys.executable, "-m", "loadtest.soak", *REDUCED, "--json", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| yes |") + done.stdout.count("| NO |") == 4
    first, last = json.loads(kept.read_text())["idle"]
    assert last["requests"] - first["requests"] == 2000 + 20 + 10
    assert last["failures"] - first["failures"] >= 2
    assert last["reloads"] - first["reloads"] == 1
    assert all(size > 1 << 20 for size in last["bytes"].values())


@pytest.mark.parametrize(("worker", "ledger", "met"), [(104, 512, [True] * 4), (106, 513, [False, True, True, False])])
def test_growth_is_told_and_the_ledgers_is_its_own(worker: int, ledger: int, met: list[bool]) -> None:
    before = Idle(0, 0, 0, 0, {soak.WORKER: 100, soak.CONTROL: 10**9, soak.SUPERVISOR: 100, soak.LEDGER: 0}, 0)
    grown = {**before.bytes, soak.WORKER: worker, soak.LEDGER: ledger << 20, soak.CONTROL: 10**9 + (ledger << 20)}
    found = Found([before, Idle(1, 1, 1, 1, grown, 1)])
    assert [bound.met for bound in found.bounds()] == met


def test_a_plan_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(SystemExit):
        soak.parser().parse_args(["--rounds", "0"])
