"""What was granted to a host is taken back while its workers use it: then they use no more than was left to them."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fastgate._core import leases
from fastgate._core.arena import Arena
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import CONTROL, Owner
from fastgate._core.windows import Period

SCRIPT: Final = Path(__file__).with_name("budget_worker.py")
HOLD: Final = 1000
WORKERS: Final = 3
ROUNDS: Final = 4000
LOOKS: Final = 20


@contextmanager
def workers(folder: Path, cell: int) -> Iterator[None]:
    """They hold and give back, all of them the same amount, as fast as they can."""
    command = [sys.executable, str(SCRIPT), str(folder), "0", str(HOLD), "0", f"{cell}:shared"]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(WORKERS)]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        yield
    finally:
        for process in running:
            process.kill()
            process.communicate()


def test_workers_use_no_more_than_was_left_to_them(tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), create=True)
    owner = Owner(arena, CONTROL, os.getpid())
    cell = arena.cell("team:t/lifetime/b")
    window, *_ = Levels(arena, [Level(cell, 0, Period(0), shared=True)]).windows(0, 1_800_000_000_000_000_000)
    highest = less = 0
    with workers(tmp_path, cell):
        rounds = 0
        deadline = time.monotonic() + 30  # on a machine that has much else to do they are seldom at it together
        while rounds < ROUNDS or (highest <= HOLD and time.monotonic() < deadline):
            rounds += 1
            leases.grant(arena, cell, window, WORKERS * HOLD)
            for _ in range(random.randrange(LOOKS)):
                highest = max(highest, (leases.used(arena, cell, window) or (0, 0))[0])
            wanted = random.randrange(WORKERS) * HOLD
            left = leases.take_back(owner, cell, window, wanted)
            assert left >= wanted
            for _ in range(LOOKS):
                used, _ = leases.used(arena, cell, window) or (0, 0)
                assert used <= left, f"{used} of {left} are used"
            less += left < WORKERS * HOLD
    used, _ = leases.used(arena, cell, window) or (0, 0)
    assert leases.at_hand(arena, cell, window) == leases.granted(arena, cell, window) - used
    assert leases.at_hand(arena, cell, window + 1) == 0
    assert highest > HOLD, "they did not use it at once"
    assert less > rounds // 10, "they never let go of it"
