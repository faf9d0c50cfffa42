"""A process that takes and settles holds as fast as it can; run by test_budget_processes.py.

argv: folder, rounds (0: until killed), hold, cost, ``cell:limit`` ... (``cell:shared`` where hosts share it). Prints
what it was granted and refused as JSON.
"""

import json
import os
import sys
import time

from fastgate._core.arena import Arena
from fastgate._core.budget import CONTENDED, OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.windows import Period

WIDE = 1 << 60
"""What hosts share has a limit, too, which is not what binds here."""


def main() -> None:
    folder, rounds, amount, cost = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    pairs = [spec.split(":") for spec in sys.argv[5:]]
    arena = Arena(f"{folder}/arena.bin")
    owner = Owner(arena, WORKER, os.getpid())
    journal = Journal(folder, owner.slot, segment_bytes=64 << 10)
    levels = Levels(arena, [level(int(cell), limit) for cell, limit in pairs])
    draft = Draft(key="k")
    counts = {"passed": 0, "rejected": 0, "contended": 0}
    print("ready", flush=True)
    sys.stdin.readline()
    turn = 0
    while not rounds or turn < rounds:
        turn += 1
        taken = hold(owner, journal, levels, draft, amount, time.time_ns(), os.urandom(16))
        if isinstance(taken, Hold):
            if turn % 3 == 0:
                taken.sent()
            taken.settle(cost, None, SETTLED_EXACT, OUTCOME_OK, 200)
            counts["passed"] += 1
        else:
            counts["contended" if taken == CONTENDED else "rejected"] += 1
    journal.close()
    owner.release()
    print(json.dumps(counts), flush=True)


def level(cell: int, limit: str) -> Level:
    return Level(cell, WIDE if limit == "shared" else int(limit), Period(0), shared=limit == "shared")


main()
