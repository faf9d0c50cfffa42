"""What thousands of rows needed at once goes back to the system, from the C library's heap and the database's."""

import subprocess
import sys
from pathlib import Path

_PRIVATE = """
def private():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    # Pages of libraries are private or not with whatever else runs.
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024
"""

_HEAP = """
from fastgate.ledger.heap import give_back
blocks = [bytearray(4000) for _ in range(20_000)]  # 80 MB in blocks that the C library takes from its heap
last = bytearray(4000)  # keeps what is below it in the heap
full = private()
del blocks
kept = private()
give_back()
print(full - kept, full - private())
"""

_LEDGER = """
import os, sys
from pathlib import Path
from fastgate.ledger.heap import give_back
from fastgate.ledger.store import Ledger
from tests.support.ledger_rows import columns
ledger = Ledger(Path(sys.argv[1]))
ledger.open()
batches = [columns(16_384, seed=seed) for seed in range(7)]
taken = 0
for number in range(6):
    for batch in batches:
        taken += 16_384
        ids = [os.urandom(16).hex() for _ in range(16_384)]
        ledger.inserts.add({**batch, "request_id": ids}, {"a": taken})
    ledger.inserts.checkpoint()
    full = private()
    give_back()
    print(full - ledger.memory() / 2**20, private() - ledger.memory() / 2**20)
"""


def run(script: str, *arguments: str) -> list[list[float]]:
    command = [sys.executable, "-c", _PRIVATE + script, *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [[float(word) for word in line.split()] for line in printed.splitlines()]


def test_free_pages_of_the_heap_go_back() -> None:
    [[before, after]] = run(_HEAP)
    assert before < 10, "the C library gave it back by itself: nothing is shown here"
    assert after > 70


def test_what_a_batch_needed_in_the_database_goes_back(tmp_path: Path) -> None:
    rounds = run(_LEDGER, str(tmp_path / "ledger.duckdb"))
    for before, after in rounds:  # MiB beside what the database counts
        assert before - after > 30
    assert rounds[-1][1] < rounds[2][1] * 1.05  # what the database takes for itself grows a little at first
