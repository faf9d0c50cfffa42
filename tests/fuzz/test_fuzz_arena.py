"""An arena altered anywhere or cut anywhere is refused, or works within its bounds; it never takes the process down."""

import atexit
import shutil
import struct
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest

from fastgate._core.arena import Arena, ArenaError, CorruptArena, NewerArena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.inspection import inspect
from fastgate._core.journal import Draft, Journal
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner, dead_slots, owners
from fastgate._core.recovery import recover
from fastgate._core.windows import Period
from tests.fuzz.harness import TARGETS, main, run, target

PAGE = 4096
NAMES = [f"key:k{number}/lifetime/default" for number in range(3)]
EXTREMES = (
    b"\xff" * 4,
    b"\xff" * 8,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x00" * 8,
    b"\x01\x00\x00\x00",
    bytes(PAGE),
)


@cache
def folder() -> Path:
    """Where this process works, in memory."""
    path = Path(tempfile.mkdtemp(prefix="fastgate-fuzz-arena-", dir="/dev/shm"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def filled(path: Path) -> None:
    """Three budgets; settled, held, sent and given back by an owner that is gone."""
    arena = Arena(str(path / "arena.bin"), create=True)
    levels = Levels(arena, [Level(arena.cell(name), 10**9, Period(kind)) for kind, name in enumerate(NAMES)])
    owner = Owner(arena, WORKER)
    journal = Journal(str(path), owner.slot, segment_bytes=65_536)
    taken = [hold(owner, journal, levels, Draft(key="k"), 100, time.time_ns(), bytes([i]) * 16) for i in range(4)]
    holds = [each for each in taken if isinstance(each, Hold)]
    holds[0].settle(70, None, SETTLED_EXACT, OUTCOME_OK, 200, error="upstream_error")
    holds[1].void()
    holds[2].sent()
    shutil.copytree(path, folder() / "seed")  # as a kill would leave it, with two holds open


@cache
def layout() -> tuple[bytes, tuple[int, ...], int]:
    """The pages of the seed that hold anything, one after the other; where each lies; the size of the file."""
    source = folder() / "source"
    source.mkdir()
    filled(source)
    raw = (folder() / "seed" / "arena.bin").read_bytes()
    places = tuple(at for at in range(0, len(raw), PAGE) if any(raw[at : at + PAGE]))
    return b"".join(raw[at : at + PAGE] for at in places), places, len(raw)


def spread(data: bytes) -> Path:
    """A folder with the arena that ``data`` stands for: its pages at their places; cut where it ends early."""
    pages, places, size = layout()
    here = folder() / "one"
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(folder() / "seed", here, ignore=shutil.ignore_patterns("arena.bin"))
    with (here / "arena.bin").open("wb") as file:
        for number, at in enumerate(places):
            if piece := data[number * PAGE : (number + 1) * PAGE]:
                file.seek(at)
                file.write(piece)
        if len(data) >= len(pages):
            file.truncate(size)
    return here


@target("arena", seeds=[layout()[0]], tokens=EXTREMES)
def check_arena(data: bytes) -> None:
    here = spread(data)
    try:
        arena = Arena(str(here / "arena.bin"))
        inspect(arena)
    except (CorruptArena, NewerArena):
        return
    try:
        work(arena, here)
    except (ArenaError, OverflowError):
        return


def work(arena: Arena, here: Path) -> None:
    """What a host does with an arena that it found."""
    now = time.time_ns()
    owners(arena)
    arena.statistics()
    for number, name in arena.scan(0, 1000)[0]:
        assert arena.cell(name) == number
        for window in range(8):
            arena.read_cell(number, Period(window), now)
    me = Owner(arena, WORKER)
    for slot in dead_slots(arena):
        recover(arena, me, slot, str(here))
    journal = Journal(str(here), me.slot, segment_bytes=65_536)
    levels = Levels(
        arena, [Level(arena.cell(name), 1 << 62, Period(0)) for name in (*NAMES, "team:new/lifetime/default")]
    )
    taken = hold(me, journal, levels, Draft(key="k"), 1, now, bytes(16))
    if isinstance(taken, Hold):
        taken.settle(1, None, SETTLED_EXACT, OUTCOME_OK, 200)


def test_for_a_short_while() -> None:
    assert run(TARGETS["arena"], seed=1, rounds=1500) == 1500


def test_the_seed_itself_works() -> None:
    here = spread(layout()[0])
    arena = Arena(str(here / "arena.bin"))
    inspect(arena)
    work(arena, here)
    spent, held, _, _ = arena.read_cell(arena.cell(NAMES[0]), Period(0), time.time_ns())
    assert (spent, held) == (70 + 100 + 1, 0)


def altered(at: int, value: bytes) -> None:
    here = spread(layout()[0])
    with (here / "arena.bin").open("r+b") as file:
        file.seek(at)
        file.write(value)
    inspect(Arena(str(here / "arena.bin")))


CELLS, RECORDS, RECORD = 2_621_440, 3_670_016, 2560
"""Where the seed's cells and its holds begin; the fourth hold is open."""


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\0"),
        (8, b"\0"),
        (32, struct.pack("=Q", 5)),
        (32, struct.pack("=Q", 1)),
        (40, struct.pack("=Q", 2)),
        (40, struct.pack("=Q", 1 << 40)),
        (56, struct.pack("=Q", 5000)),
        (4096, b"\7"),
        (2_359_296, b"\3"),
        (2_359_296 + 8 * 9, b"\1"),
        (CELLS + 320 + 72, b"\1"),
        (CELLS + 320 + 80, struct.pack("=I", 4_000_000)),
        (CELLS + 320 + 88, b"K"),
        (RECORDS + 3 * RECORD, b"\x0f"),
        (RECORDS + 3 * RECORD + 8, b"\xff" * 8),
        (RECORDS + 3 * RECORD + 608, b"\6"),
        (RECORDS + 3 * RECORD + 950, b"\5"),
        (RECORDS + 3 * RECORD + 152, b"\x39"),
        (RECORDS + 3 * RECORD + 160, struct.pack("=I", 4_000_000)),
    ],
)
def test_what_leads_nowhere_is_refused(at: int, value: bytes) -> None:
    with pytest.raises(CorruptArena):
        altered(at, value)


if __name__ == "__main__":
    main(["arena"])
