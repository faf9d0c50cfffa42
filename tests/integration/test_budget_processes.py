"""One arena, several real processes: limits hold, nobody is rejected wrongly, no kill loses anything."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgate._core.arena import Arena
from fastgate._core.journal import SegmentReader, segments_of
from fastgate._core.owner import SUPERVISOR, Owner, dead_slots
from fastgate._core.recovery import recover
from fastgate._core.windows import Period

SCRIPT = Path(__file__).with_name("budget_worker.py")


class Workers:
    """Processes of budget_worker.py on one arena."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), str(self.folder), *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def go(self) -> None:
        for process in self.running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def finish(self) -> list[dict[str, int]]:
        return [json.loads(process.communicate(timeout=60)[0]) for process in self.running]

    def journaled(self) -> list[int]:
        costs: list[int] = []
        for path in segments_of(str(self.folder)):
            after = 0
            reader = SegmentReader(path)
            while (batch := reader.read(after, 10_000)) is not None:
                costs += batch["cost_nano"]
                after = batch["seq"][-1]
        return costs

    def spent(self, cell: int) -> tuple[int, int]:
        return self.arena.read_cell(cell, Period(0), time.time_ns())[:2]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    group = Workers(tmp_path)
    yield group
    for process in group.running:
        process.kill()
        process.communicate()


def test_a_limit_is_reached_exactly_by_four_processes(workers: Workers) -> None:
    team, key = workers.arena.cell("team:t/lifetime/default"), workers.arena.cell("key:k/lifetime/default")
    for _ in range(4):
        workers.start(5000, 100, 100, f"{key}:{10**12}", f"{team}:{1_234_500}")
    workers.go()
    counts = workers.finish()
    assert sum(count["passed"] for count in counts) == 12_345
    assert workers.spent(team) == (1_234_500, 0)
    assert sum(workers.journaled()) == 1_234_500


def test_a_spent_key_beside_a_fitting_one_costs_it_nothing(workers: Workers) -> None:
    """The team has room for exactly what the fitting key asks: holds about to be taken back must not be in its way."""
    team = workers.arena.cell("team:t/lifetime/default")
    fitting, spent = workers.arena.cell("key:fits/lifetime/default"), workers.arena.cell("key:spent/lifetime/default")
    rounds = 20_000
    customer = workers.arena.cell("customer:c/lifetime/default")
    limit = rounds * 100
    # The spent one passes its key and its team and fails at the last level only, so that it does take and give back.
    first = workers.start(rounds, 100, 100, f"{fitting}:{limit}", f"{team}:{limit}")
    hammer = [workers.start(0, 99, 0, f"{spent}:{10**15}", f"{team}:{limit}", f"{customer}:98") for _ in range(2)]
    workers.go()
    result = json.loads(first.communicate(timeout=60)[0])
    for process in hammer:
        assert process.poll() is None
        process.kill()
        process.wait()
    workers.running.remove(first)
    assert result["rejected"] == 0
    assert result["passed"] + result["contended"] == rounds
    assert result["passed"] > rounds * 0.9


def test_kill_at_any_moment_loses_and_doubles_nothing(workers: Workers) -> None:
    """Under full load: every committed row is settled once, every settled amount has its row, no hold stays."""
    cells = [workers.arena.cell(f"{owner}/lifetime/default") for owner in ("key:k", "team:t", "customer:c")]
    supervisor = Owner(workers.arena, SUPERVISOR, os.getpid())
    chance = random.Random(20261121)
    specs = [f"{cell}:{10**15}" for cell in cells]
    states: dict[str, int] = {"void": 0, "unsettled": 0, "finished": 0}
    for _ in range(25):
        pair = [workers.start(0, 70, 50, *specs) for _ in range(2)]
        workers.go()
        workers.running.clear()
        for process in pair:
            # A moment that no two rounds share; nothing waits for anything to have happened.
            time.sleep(chance.random() * 0.02)
            process.kill()
            process.communicate()
        for slot in dead_slots(workers.arena):
            for state, count in recover(workers.arena, supervisor, slot, str(workers.folder)).items():
                states[state] += count
    total = sum(workers.journaled())
    assert total > 0
    for cell in cells:
        assert workers.spent(cell) == (total, 0)
    assert states["unsettled"] <= 50
