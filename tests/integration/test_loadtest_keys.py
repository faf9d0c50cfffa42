"""``make bench-keys`` in a reduced form: its figures are real, and a key that is not served makes it void."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest import keys

ROOT = Path(__file__).parents[2]
REDUCED = ["--keys", "20000", "--teams", "2000", "--created", "1000", "--requests", "500", "--swaps", "1"]


def test_every_figure_is_there_and_every_promise_is_checked(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    command = [sys.executable, "-m", "loadtest.keys", *REDUCED, "--json", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| yes |") + done.stdout.count("| NO |") == 7
    found = json.loads(kept.read_text())
    assert found["plan"]["keys"] == 20_000
    for figure in (
        "one_connection",
        "connections",
        "cpu_few",
        "cpu_many",
        "cpu_all",
        "met_few",
        "met_many",
        "private_bytes",
    ):
        assert found[figure] > 0, figure
    assert len(found["swap_seconds"]) == len(found["slowest_swap_ms"]) == len(found["slowest_quiet_ms"]) == 1


def test_a_promise_that_is_not_kept_is_told() -> None:
    found = keys.Found(600, 499, 50, 60, 70, 90, 160_000_000, [1, 11], [5, 6, 7], [16, 17, 18], 88)
    assert [bound.met for bound in found.bounds()] == [False] * 7
    found = keys.Found(600, 501, 50, 54, 70, 85, 149_000_000, [1, 9], [5, 6, 700], [14, 15, 16], 87)
    assert [bound.met for bound in found.bounds()] == [True] * 7


@pytest.mark.parametrize("wrong", [["--keys", "4999"], ["--keys", "5000", "--created", "4500"]])
def test_a_plan_that_makes_no_sense_is_refused(wrong: list[str]) -> None:
    command = [sys.executable, "-m", "loadtest.keys", *wrong]
    assert subprocess.run(command, capture_output=True, timeout=60, cwd=ROOT, check=False).returncode == 2
