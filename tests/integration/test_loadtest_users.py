"""``make bench-users`` in a reduced form: its figures are real, and a budget that is not there makes it void."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest import users
from loadtest.users import Found, Plan, Step

ROOT = Path(__file__).parents[2]


def test_every_figure_is_there_and_every_promise_is_checked(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    command = [sys.executable, "-m", "loadtest.users", "--users", "3000", "--seconds", "1", "--json", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| yes |") + done.stdout.count("| NO |") == 5
    found = json.loads(kept.read_text())
    assert sum(step["requests"] for step in found["steps"]) <= found["cells"]
    assert found["cells"] > 2500
    for figure in ("seconds", "worker_after", "control_after", "arena_bytes", "one_budget_seconds"):
        assert found[figure] > 0, figure


@pytest.mark.parametrize(("last", "arena", "met"), [(54.0, 290e6, True), (56.0, 310e6, False)])
def test_a_promise_that_is_not_kept_is_told(last: float, arena: float, met: bool) -> None:
    steps = [Step(0, 5, 90.0, 1, 1.0), Step(5, 5, 50.0, 1, 1.0), Step(95, 5, last, 1, 1.0)]
    found = Found(steps, arena_bytes=round(arena), cells=100)
    assert [bound.met for bound in found.bounds(Plan(100))][:2] == [met, met]


def test_a_plan_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(SystemExit):
        users.parser().parse_args(["--users", "10"])
