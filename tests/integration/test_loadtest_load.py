"""``make load`` in its smallest form: its figures are real, and what is promised is checked."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.figures import ALONE, BARE, FASTGATE, NGINX
from loadtest.offered import REQUESTS, STREAMS, Found, Offered, recovered
from loadtest.openloop import Times
from loadtest.profiles import PROFILES, Profile

ROOT = Path(__file__).parents[2]


def test_a_profile_offers_all_subjects_the_same_and_keeps_every_figure(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    command = [sys.executable, "-m", "loadtest.load", "smoke", "--share", "0.5", "--json", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    runs = json.loads(kept.read_text())["runs"]
    constant = [run for run in runs if run["kind"] == REQUESTS]
    assert {run["subject"]: run["count"] for run in constant} == dict.fromkeys((ALONE, NGINX, BARE, FASTGATE), 500)
    streamed = [run for run in runs if run["kind"] == STREAMS]
    assert {run["subject"]: run["count"] for run in streamed} == dict.fromkeys((ALONE, BARE, FASTGATE), 100 * 10)
    for run in runs:
        assert all(0 < times["p50"] <= times["p99"] <= times["longest"] for times in run["times"].values())
        assert {"load", "upstream"} <= run["cpu"].keys()
    assert done.stdout.count(f"| {FASTGATE} |") == 2
    assert {"name", "profile", "cores"} == json.loads(kept.read_text())["plan"].keys()
    charts = [Path(line.removeprefix("chart: ")) for line in done.stderr.splitlines() if line.startswith("chart: ")]
    assert len(charts) == 3
    for chart in charts:
        assert FASTGATE in chart.read_text()
        chart.unlink()


def times(p50: float, p99: float = 0.0) -> Times:
    return Times(1, p50, p50, p50, max(p50, p99), max(p50, p99), max(p50, p99))


ONE = Offered(FASTGATE, REQUESTS, 0, 5000, 1, {"subject": 50.0, "load": 10.0}, 0.0, 1, 0, {"latency": times(1, 2)}, {})


def offered(subject: str, number: int, p50: float, p99: float, *, rate: float = 5000) -> Offered:
    return replace(ONE, subject=subject, round=number, rate=rate, times={"latency": times(p50, p99)})


def streamed(subject: str, cpu: float, first: Times, delay: Times) -> Offered:
    return replace(ONE, subject=subject, kind=STREAMS, cpu={"subject": cpu}, times={"first": first, "delay": delay})


@pytest.mark.parametrize(("p50", "p99", "met"), [(299, 1099, [True, True]), (301, 1101, [False, False])])
def test_what_is_added_is_taken_within_a_round(p50: float, p99: float, met: list[bool]) -> None:
    pairs = [(100.0, 100.0, p50, p99), (5000.0, 9000.0, p50 + 4900, p99 + 8900), (100.0, 100.0, 9e5, 9e5)]
    found = Found()
    for number, (a, b, c, d) in enumerate(pairs):
        found.runs += [offered(ALONE, number, a, b), offered(FASTGATE, number, c, d)]
    assert [bound.met for bound in found.bounds(PROFILES["5k"])] == met
    assert not list(found.bounds(PROFILES["smoke"]))


@pytest.mark.parametrize(("more", "met"), [(-1, True), (1, False)])
def test_what_is_promised_of_streams(more: float, met: bool) -> None:
    found = Found(
        [
            streamed(ALONE, 1, times(100, 200), times(1)),
            streamed(BARE, 100, times(300, 400), times(1)),
            streamed(FASTGATE, 125 + more, times(400 + more, 1700 + more), times(20_000 + more)),
        ]
    )
    assert [bound.met for bound in found.bounds(PROFILES["streams"])] == [met] * 4


def test_the_knee_is_the_last_rate_that_was_kept_up_with() -> None:
    climb = [(2000, 500), (3000, 12_000), (4000, 900), (5000, 50_000), (6000, 90_000)]
    found = Found([offered(FASTGATE, 0, 100, p99, rate=rate) for rate, p99 in climb])
    assert found.knee(FASTGATE) == 4000
    assert Found([offered(NGINX, 0, 100, 11_000)]).knee(NGINX) == 0


SPIKE = PROFILES["spike"]


@pytest.mark.parametrize(
    ("after", "seconds"),
    [([100] * 100, 0.0), ([900, 900, 150, 900, 150, 150, 150], 0.4), ([900] * 98 + [100, 100], None)],
)
def test_a_burst_is_felt_until_three_rows_are_as_before(after: list[float], seconds: float | None) -> None:
    rows = [times(100)] * 100 + [times(5000)] * 30 + [times(p90) for p90 in after]
    assert recovered(replace(ONE, rows=rows), SPIKE) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_shorter_profile_still_has_whole_rows_of_each_phase(profile: Profile) -> None:
    for phase in profile.shortened(0.013).phases:
        assert phase.seconds >= profile.row_seconds
        assert phase.seconds / profile.row_seconds == pytest.approx(round(phase.seconds / profile.row_seconds))
