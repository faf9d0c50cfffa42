"""`make locust` in a reduced form: money is right at the end, and what is wrong is found."""

import sys
from pathlib import Path

import pytest

from fastgate.simulator.process import Simulator
from loadtest.rehearsal import LOCUST
from tests.support.scenarios import ROOT, ran, scenarios


def test_locusts_users_are_served_and_billed_exactly_and_one_key_runs_dry(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "loadtest.rehearsal", "locust", "--scenarios", str(scenarios(tmp_path))]
    done = ran([*argv, "--users", "11", "--seconds", "30", "--requests", "130", "--dry-usd", "0.007"])
    assert done.returncode == 0, done.stdout + done.stderr
    for scenario in ("chat", "stream", "agent", "spend"):
        for dialect in ("openai", "anthropic"):
            assert f"{scenario} {dialect} " in done.stderr, scenario
    assert "first token" in done.stderr
    assert "longest gap" in done.stderr
    assert "key:dry/lifetime/default: USD 0.00" in done.stdout


@pytest.mark.parametrize(
    ("fail", "dry_key", "most_ms", "whys"),
    [
        ("cut=0.5", "", 60_000, ["Incomplete response"]),
        ("", "", 0.001, ["first_token_p95 is ", "chat_p95 is "]),
        ("", "users", 60_000, ["it has no 'x-fastgate-cost-usd'", "the budget was not spent"]),
    ],
    ids=["answers are cut", "thresholds are not kept", "nobody counts money"],
)
def test_locust_fails_where_users_are_not_well_served(
    tmp_path: Path, fail: str, dry_key: str, most_ms: float, whys: list[str]
) -> None:
    argv = [str(LOCUST), "-f", str(ROOT / "loadtest" / "locustfile.py"), "--headless", "--only-summary"]
    with Simulator(ttft_ms=5, fail=fail) as simulator:
        done = ran(
            [*argv, "--users", "10", "--spawn-rate", "100", "--run-time", "30"],
            URL=simulator.url,
            KEY="users",
            DRY_KEY=dry_key,
            REQUESTS="60",
            SCENARIOS=str(scenarios(tmp_path, "sim-small", most_ms)),
        )
    assert done.returncode == 1, done.stdout + done.stderr
    for why in whys:
        assert why in done.stderr
