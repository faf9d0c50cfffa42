"""The exact cache's store under kills: no answer is ever another question's, and no part of it is lost for good."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastgate._core.slab import Slab, create_slab
from tests.chaos.arena_images import Images
from tests.chaos.stores import traced
from tests.support.slabs import NOW_MS, get, has, put

SECONDS = float(os.environ.get("FASTGATE_CHAOS_ROUNDS", "8"))
PROCESSES = 6
MEGABYTES = 4
"""Fewer than there are processes: some find no segment of their own until others die."""
QUESTIONS = 2_000
MIB = 1 << 20


def filler(number: int) -> bytes:
    return b"filler %d" % number


def fill(slab: Slab) -> None:
    """Leave less space in a slab of one segment than any entry takes."""
    number = 0
    while (left := MIB - slab.counts()["bytes"]) > 192:
        assert put(slab, filler(number), min(left - 192, 200_000))
        number += 1


def still_works(path: Path) -> None:
    """All its segments take answers, and give them back."""
    slab = Slab(str(path))
    kept = slab.counts()["stored"]
    megabytes = slab.counts()["bytes"] // MIB + 2
    for number in range(8 * megabytes):
        fingerprint = b"afterwards %d" % number
        assert put(slab, fingerprint, 200_000)
        assert has(slab, fingerprint)
    counts = slab.counts()
    assert counts["stored"] == kept + 8 * megabytes
    assert counts["entries"] == len(list(slab.scan()))


class Sweep:
    """A segment that is full, and the store that has it swept: some are kept and move, others give way."""

    USED = tuple(b"used %d" % number for number in range(6))
    UNUSED = tuple(b"unused %d" % number for number in range(6))

    def __init__(self, folder: Path) -> None:
        self.path = folder / "slab.bin"
        create_slab(str(self.path), 1)

    def live(self, begin: Callable[[], None]) -> None:
        slab = Slab(str(self.path))
        for used, unused in zip(self.USED, self.UNUSED, strict=True):
            assert put(slab, unused, 40)
            assert put(slab, used, 200)
            assert has(slab, used)
        fill(slab)
        begin()
        assert put(slab, b"first", 300)


@pytest.fixture
def sweep(folder: Path) -> Sweep:
    return Sweep(folder / "live")


def found_in(slab: Slab, fingerprints: tuple[bytes, ...]) -> list[bytes]:
    return [fingerprint for fingerprint in fingerprints if has(slab, fingerprint)]


def test_killed_after_any_store(folder: Path) -> None:
    """Of an answer that is stored, found, replaced and removed: it is there whole, or it is not there."""
    path = folder / "live" / "slab.bin"
    create_slab(str(path), 1)

    def live(begin: Callable[[], None]) -> None:
        slab = Slab(str(path))
        assert put(slab, b"before", 700)
        begin()
        assert put(slab, b"question", 500)
        assert has(slab, b"question")
        assert put(slab, b"question", 900)
        assert put(slab, b"other", 80)
        assert slab.remove(slab.hash128(b"question"), b"question")

    sizes: list[int] = []
    for image in Images(path.parent, folder / "image").changed(traced(path.parent, live).stops()):
        slab = Slab(str(image / "slab.bin"))
        assert has(slab, b"before")
        hit = get(slab, b"question")
        size = len(hit.answer) if hit else 0
        if not sizes or sizes[-1] != size:
            sizes.append(size)
        del slab
        still_works(image / "slab.bin")
    assert sizes == [0, 500, 0, 900, 0]


def test_killed_in_a_sweep(folder: Path, sweep: Sweep) -> None:
    """What is kept stays or is lost with its segment; whoever comes next makes use of all of it."""
    seen = set()
    process = traced(sweep.path.parent, sweep.live)
    for image in Images(sweep.path.parent, folder / "image").changed(process.stops()):
        slab = Slab(str(image / "slab.bin"))
        used = found_in(slab, Sweep.USED)
        seen.add(len(used))
        assert put(slab, b"next", 100_000)
        assert has(slab, b"next")
        assert found_in(slab, Sweep.USED) in ([], used)
        del slab
        still_works(image / "slab.bin")
    assert seen >= {0, len(Sweep.USED)}


def traffic(path: Path, seed: int) -> None:
    """Asks and answers for ever, in sizes that keep sweeps coming."""
    slab, chance = Slab(str(path)), random.Random(seed)
    while True:
        fingerprint = b"question %d" % min(chance.randrange(QUESTIONS), chance.randrange(QUESTIONS))
        if get(slab, fingerprint) is None or chance.random() < 0.05:
            put(slab, fingerprint, chance.choice((30, 700, 3_000, 60_000)))
        if chance.random() < 0.02:
            slab.remove(slab.hash128(fingerprint), fingerprint)
        if chance.random() < 0.001:
            for entry in slab.scan():
                assert int(entry.usage) == entry.answer_bytes


def started(path: Path, seed: int) -> int:
    """The number of a process that does so until it is killed, or finds a wrong answer."""
    pid = os.fork()
    if pid == 0:
        try:
            traffic(path, seed)
        finally:
            os._exit(1)
    return pid


def struck(path: Path) -> Iterator[int]:
    """Processes that are killed one by one, and followed by others; how each ended."""
    chance = random.Random(20261127)
    running = [started(path, seed) for seed in range(PROCESSES)]
    seed, ends = PROCESSES, time.monotonic() + SECONDS
    while running:
        time.sleep(chance.random() * 0.02)  # the moment is what is random here
        pid = running.pop(chance.randrange(len(running)))
        os.kill(pid, signal.SIGKILL)
        yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if time.monotonic() < ends:
            running.append(started(path, seed))
            seed += 1


@pytest.mark.alone
def test_killed_at_moments_of_chance(folder: Path) -> None:
    path = folder / "live" / "slab.bin"
    create_slab(str(path), MEGABYTES)
    ends = list(struck(path))
    assert set(ends) == {-signal.SIGKILL}, "a process found a wrong answer"
    assert len(ends) > SECONDS * 10
    slab = Slab(str(path))
    counts = slab.counts()
    assert counts["evicted"] > 100
    assert counts["stored"] > 1000
    found = sum(has(slab, b"question %d" % number) for number in range(QUESTIONS))
    assert found > 20
    del slab
    still_works(path)


def test_readers_see_what_writers_store(folder: Path) -> None:
    """Without a kill: what one process has stored, another finds at once, as long as there is room."""
    path = folder / "live" / "slab.bin"
    create_slab(str(path), 8)
    pipes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            slab = Slab(str(path))
            for number in range(1000):
                assert put(slab, filler(number), 1000)
                os.write(pipes[1], b"%4d" % number)
            os._exit(0)
        finally:
            os._exit(1)
    slab = Slab(str(path))
    for _ in range(1000):
        assert has(slab, filler(int(os.read(pipes[0], 4))), now_ms=NOW_MS)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
