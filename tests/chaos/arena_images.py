"""What a kill leaves of an arena and its journals, resolved and read back by rules of its own."""

import mmap
import os
import shutil
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xxhash import xxh64_digest

from fastgate._core.arena import Arena
from fastgate._core.budget import CACHE_MISS, MEANING_EXPLORE, OUTCOME_OK, SETTLED_EXACT, Hold, hold, reset
from fastgate._core.journal import Draft, Journal, SegmentReader, entry_note, segments_of
from fastgate._core.levels import OPEN, REQUESTS, TOKENS, Level, Levels
from fastgate._core.owner import WORKER, Owner, dead_slots
from fastgate._core.price import Usage
from fastgate._core.windows import Period
from fastgate.supervisor.recovery import Recovery

CELLS = ("key:k/lifetime/default", "team:t/lifetime/default", "customer:c/lifetime/default")
LIMITS = {"tokens": TOKENS, "requests": REQUESTS, "open": OPEN}
"""Cells that count what else a request is, by their units."""
LIFETIME = Period(0)
PLENTY = 10**12
USAGE = Usage(input=3)
SMALL_SEGMENT = 4096 + 1856
"""The smallest there is: a page and the longest event; five or six short events fill it."""

# Where the chunks begin and what they hold, as the layout says: read here without the code under test.
_SLOTS_AT, _SLOT, _SEQUENCE, _DONE = 4096, 128, 8, 64
_EPOCH = 1_577_836_800  # 2020, in Unix seconds: from then on windows are numbered
_DIRECTORY_AT, _CHUNKS_AT, _CHUNK, _RECORD, _RECORDS = 2_359_296, 2_621_440, 1_048_576, 2560, 2
_CELL, _CELLS = 320, 3276


@dataclass(frozen=True)
class Step:
    """One request of the victim. ``actual`` None: given back; ``fits`` false: its last budget has no room.

    ``grows``: what it takes more, after it has found no room for much more.
    """

    name: str
    amount: int
    actual: int | None
    sent: bool = True
    fits: bool = True
    error: str = ""
    grows: int = 0

    @property
    def id(self) -> bytes:
        return self.name.encode().ljust(16, b".")


STEPS = (
    Step("below", 100, 70),
    Step("given back", 90, None, sent=False),
    Step("above", 100, 130, error="upstream_error"),
    Step("full", 80, None, fits=False),
    Step("as held", 60, 60, error="x" * 40),
    Step("nothing", 50, 0),
    Step("grown", 30, 45, grows=20),
    Step("grown in vain", 30, None, sent=False, grows=10),
    Step("last", 40, 30),
)


class Place:
    """An owner with its journal in a folder."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 20) -> None:
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.cells = [self.arena.cell(name) for name in CELLS]
        self.limits = [Level(self.arena.cell(name), PLENTY, LIFETIME, unit) for name, unit in LIMITS.items()]
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(str(folder), self.owner.slot, segment_bytes=segment_bytes)

    def hold(self, name: bytes, amount: int, *, fits: bool = True) -> Hold | int:
        """As many tokens are held as nano-USD."""
        limits = [PLENTY, PLENTY, PLENTY // 2 if fits else amount - 1]
        budgets = [Level(cell, limit, LIFETIME) for cell, limit in zip(self.cells, limits, strict=True)]
        levels = Levels(self.arena, [*self.limits, *budgets])
        draft, now = Draft(key="k", tags="a=b"), time.time_ns()
        return hold(self.owner, self.journal, levels, draft, amount, now, name, True, output_tokens=amount)

    def settle(self, name: bytes, amount: int, actual: int, error: str = "") -> None:
        taken = self.hold(name, amount)
        assert isinstance(taken, Hold)
        taken.sent()
        settle(taken, actual, error)

    def reset(self, name: bytes) -> int:
        """What was spent in the first cell is taken off it."""
        levels = Levels(self.arena, [Level(self.cells[0], PLENTY, LIFETIME)])
        return reset(self.owner, self.journal, levels, Draft(), time.time_ns(), name)


def settle(taken: Hold, actual: int, error: str) -> None:
    """What it saves is what it costs, so that the two can be compared."""
    taken.settle(
        actual, USAGE, SETTLED_EXACT, OUTCOME_OK, 200, error=error, cache=CACHE_MISS, saved=actual,
        meaning=MEANING_EXPLORE, given=entry_note("entry", 9_000, 7),
    )  # fmt: skip


def perform(place: Place, steps: Sequence[Step], marks: mmap.mmap) -> None:
    """All steps; ``marks`` says which was begun and which ended: the tracer reads it."""
    for number, step in enumerate(steps, 1):
        marks[0] = number
        taken = place.hold(step.id, step.amount, fits=step.fits)
        if isinstance(taken, Hold):
            if step.sent:
                taken.sent()
            if step.grows:
                assert taken.grow(PLENTY // 2, PLENTY // 2) == len(LIMITS) + 2
                assert taken.grow(step.grows, step.grows) is None
            if step.actual is None:
                taken.void()
            else:
                settle(taken, step.actual, step.error)
        else:
            assert not step.fits
        marks[1] = number


@dataclass(frozen=True)
class Outcome:
    """What is left when all dead owners are resolved: events as (name, cost, settlement), cells as (spent, held)."""

    events: tuple[tuple[str, int, str], ...]
    cells: tuple[tuple[int, int], ...]
    limits: tuple[int, ...]
    """What ``LIMITS`` have used."""

    def check(self) -> None:
        """What must be true whatever happened."""
        names = Counter(name for name, _, _ in self.events)
        assert max(names.values(), default=0) <= 1, f"twice in the journal: {names}"
        total = sum(cost for _, cost, _ in self.events)
        assert self.cells == ((total, 0),) * len(CELLS), f"{total} journaled, cells {self.cells}: {self.events}"
        tokens = sum(USAGE.prompt_total() if settlement == "exact" else cost for _, cost, settlement in self.events)
        assert self.limits == (tokens, len(self.events), 0), f"{self.limits}: {self.events}"


def resolved(folder: Path, *, stranger: bool = False) -> Outcome:
    """Resolves as the supervisor does; ``stranger``: another process changes the same cells before it gets to it."""
    if stranger:
        other = Place(folder)
        other.settle(b"stranger........", 25, 20)
        other.journal.close()
        other.owner.release()
    recovering(folder)(lambda: None)
    return read(folder)


def recovering(folder: Path) -> Callable[[Callable[[], None]], None]:
    """The supervisor, as a process to be traced: resolves whoever is dead."""

    def body(begin: Callable[[], None]) -> None:
        recovery = Recovery(folder)
        begin()
        recovery.resolve()
        recovery.close()

    return body


def live_on(folder: Path) -> None:
    """The slots that were resolved serve the next owners: nothing of their records or journals is in the way."""
    place = Place(folder)
    assert not dead_slots(place.arena)
    place.settle(b"afterwards......", 10, 5)
    place.journal.close()
    place.owner.release()


def read(folder: Path) -> Outcome:
    events = []
    for path in segments_of(str(folder)):
        found = SegmentReader(path).read(0, 100_000)
        if found is not None:
            names = [bytes.fromhex(name).rstrip(b".").decode() for name in found["request_id"]]
            events += zip(names, found["cost_nano"], found["settlement"], strict=True)
            check_marks(found)
            assert list(found["seq"]) == list(range(1, len(names) + 1)), "the sequence has a gap"
    arena = Arena(str(folder / "arena.bin"))
    cells = tuple(_amounts(folder, arena.cell(name)) for name in CELLS)
    return Outcome(tuple(sorted(events)), cells, tuple(_amounts(folder, arena.cell(name))[1] for name in LIMITS))


def check_marks(found: dict[str, Any]) -> None:
    """An end that was not taken has left nothing of what it said of the cache; a sum has no entry."""
    names = ("settlement", "cost_nano", "cache", "saved_nano", "semantic", "cache_entry", "cache_age_s")
    columns = (found[name] for name in names)
    for mark, cost, *said in zip(*columns, strict=True):
        whole, summed = ["miss", cost, "explore", "entry", 7], ["miss", cost, "explore", "", 0]
        assert said == ["", 0, "", "", 0] or (mark == "exact" and said in (whole, summed)), (mark, cost, said)


def _amounts(folder: Path, cell: int) -> tuple[int, int]:
    """Spent, and what is held above it: too much given back shows as less than nothing."""
    with (folder / "arena.bin").open("rb") as file:
        file.seek(_CHUNKS_AT + cell // _CELLS * _CHUNK + cell % _CELLS * _CELL)
        used, _, spent = struct.unpack("=qQq", file.read(24))
    return spent, used - spent


def words(folder: Path, cell: int, since_ns: int) -> dict[int, int]:
    """What a cell has used, by the second after ``since_ns`` with which its window ends.

    Of the one that is counted in, and of the one before it. Between the two swaps of a turn both are the same, and what
    was kept of the one before it is gone: by then that is two windows ago.
    """
    with (folder / "arena.bin").open("rb") as file:
        file.seek(_CHUNKS_AT + cell // _CELLS * _CHUNK + cell % _CELLS * _CELL)
        used, tag, _, _, kept, tag_kept = struct.unpack("=qQqQqQ", file.read(48))
    first = since_ns // 1_000_000_000 - _EPOCH
    return {(tag >> 34) - first: amount for tag, amount in ((tag_kept, kept), (tag, used)) if tag >> 34}


def rewrite(folder: Path, change: Callable[[int], int]) -> None:
    """Alters what is used and spent, in every cell where anything is."""
    with (folder / "arena.bin").open("r+b") as file:
        for at in range(_CHUNKS_AT, _CHUNKS_AT + _CHUNK, _CELL):
            file.seek(at)
            used, tag, spent, tag_of_spent = struct.unpack("=qQqQ", file.read(32))
            if tag and spent:
                file.seek(at)
                file.write(struct.pack("=qQqQ", change(used), tag, change(spent), tag_of_spent))


def charged(folder: Path, since_ns: int) -> Counter[int]:
    """What the journal has charged, by the second (from 1) after ``since_ns`` in which it was admitted."""
    found: Counter[int] = Counter()
    for path in segments_of(str(folder)):
        batch = SegmentReader(path).read(0, 100_000)
        if batch is not None:
            for started_us, cost in zip(batch["started_us"], batch["cost_nano"], strict=True):
                found[(started_us - since_ns // 1000) // 1_000_000 + 1] += cost
    return found


def unresolved(folder: Path) -> tuple[tuple[int, int], ...]:
    """State and step of every record that is not free, read without the code under test."""
    raw = (folder / "arena.bin").read_bytes()
    found = []
    for chunk in range((len(raw) - _CHUNKS_AT) // _CHUNK):
        if struct.unpack_from("=Q", raw, _DIRECTORY_AT + 8 * chunk)[0] & 0xFF == _RECORDS:
            for at in range(_CHUNKS_AT + chunk * _CHUNK, _CHUNKS_AT + (chunk + 1) * _CHUNK, _RECORD):
                progress = struct.unpack_from("=Q", raw, at)[0]
                if progress & 0xF:
                    found.append((progress & 0xF, progress >> 4 & 0xFF))
    return tuple(found)


def age(folder: Path, slot: int, sequence: int, done: int) -> None:
    """As if the owners of a free slot had made ``sequence`` changes, the last that others noticed being ``done``."""
    with (folder / "arena.bin").open("r+b") as file:
        for field, value in ((_SEQUENCE, sequence), (_DONE, done)):
            file.seek(_SLOTS_AT + slot * _SLOT + field)
            file.write(struct.pack("=Q", value))


class Images:
    """Copies of a folder, one at a time, each of a state that differs from the one before."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self.target = target
        self._last = b""
        self.taken = 0

    def changed(self, stops: Iterator[None]) -> Iterator[Path]:
        """For each stop that left something new: the folder of a copy, which lives until the next one."""
        for _ in stops:
            digest = b"".join(
                f"{path.name}/".encode() + xxh64_digest(path.read_bytes()) for path in sorted(self._source.iterdir())
            )
            if digest != self._last:
                self._last = digest
                self.taken += 1
                yield fresh_copy(self._source, self.target)


def fresh_copy(source: Path, target: Path) -> Path:
    """``target`` as a copy of ``source``; locks are not copied, so that all owners in it are dead."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target
