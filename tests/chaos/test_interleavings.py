"""Two and four processes on one arena, their stores in any order, kills between any two of them, recovery among them.

What each process did is known without the arena: it notes on a page of its own what it begins and what it has done.
"""

import mmap
import os
import random
import shutil
import struct
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal, SegmentReader, segments_of
from fastgate._core.levels import OPEN, REQUESTS, USD, Level, Levels
from fastgate._core.owner import WORKER, Owner, dead_slots
from fastgate._core.windows import Period
from tests.chaos.arena_images import USAGE, recovering, words
from tests.chaos.stores import traced

ROUNDS = int(os.environ.get("FASTGATE_CHAOS_ROUNDS", "8")) * 5
FIRST, NANO = 1_790_000_000_000_000_000, 1_000_000_000
LIFETIME, SECOND = Period(0), Period(1)
BUDGET = 250
REQUESTS_A_SECOND = 6
AT_ONCE = 4
REQUESTS_EACH = 5
TIMED, FOREVER, COUNTED, CONCURRENT = (
    "team:t/second/default",
    "customer:c/lifetime/default",
    "limit/second",
    "limit/open",
)
BEGUN, REFUSED, ENDED = 1, 2, 3


@dataclass(frozen=True)
class Request:
    """One request of a process. ``cost`` None: given back. Never above what is held."""

    name: str
    amount: int
    grows: int
    cost: int | None


class Notes:
    """What a process says of its requests, by their number, on a page that outlives it."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 4096)

    def __getitem__(self, number: int) -> int:
        return self._page[number]

    def __setitem__(self, number: int, said: int) -> None:
        self._page[number] = said

    def begin(self, number: int, now_ns: int) -> None:
        struct.pack_into("=q", self._page, 1024 + 8 * number, now_ns)
        self[number] = BEGUN

    def second(self, number: int, anchor_ns: int) -> int:
        """From 1 at ``anchor_ns``: in which it asked."""
        began: int = struct.unpack_from("=q", self._page, 1024 + 8 * number)[0]
        return max(0, began - anchor_ns) // NANO + 1


class Clock:
    """One for all processes, put forward by chance."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 4096)
        self.put_forward(FIRST)

    def now_ns(self) -> int:
        found: int = struct.unpack_from("=q", self._page)[0]
        return found

    def put_forward(self, ns: int) -> None:
        struct.pack_into("=q", self._page, 0, self.now_ns() + ns)


def requests_of(process: int, chance: random.Random) -> list[Request]:
    found = []
    for number in range(REQUESTS_EACH):
        amount, grows = chance.randrange(20, 120), chance.choice((0, 0, 30))
        cost = None if chance.random() < 0.25 else chance.randrange(amount + 1)
        found.append(Request(f"{process}-{number}", amount, grows, cost))
    return found


def live(folder: Path, requests: list[Request], notes: Notes, clock: Clock) -> Callable[[Callable[[], None]], None]:
    """A worker: holds, lets grow, settles late or at once, gives back."""

    def body(begin: Callable[[], None]) -> None:
        arena = Arena(str(folder / "arena.bin"))
        owner = Owner(arena, WORKER, os.getpid())
        journal = Journal(str(folder), owner.slot)
        levels = Levels(
            arena,
            [
                Level(arena.cell(CONCURRENT), AT_ONCE, LIFETIME, OPEN),
                Level(arena.cell(COUNTED), REQUESTS_A_SECOND, SECOND, REQUESTS),
                Level(arena.cell(TIMED), BUDGET, SECOND, USD),
                Level(arena.cell(FOREVER), 10**12, LIFETIME, USD),
            ],
        )
        begin()
        waiting: list[tuple[int, Hold]] = []
        for number, request in enumerate(requests):
            now, name = clock.now_ns(), request.name.encode().ljust(16)
            notes.begin(number, now)
            taken = hold(owner, journal, levels, Draft(key="k"), request.amount, now, name)
            if not isinstance(taken, Hold):
                notes[number] = REFUSED
                continue
            if request.cost is not None:
                taken.sent()
            if request.grows:
                taken.grow(request.grows, request.grows)
            waiting.append((number, taken))
            if number % 2:
                end(requests, notes, waiting)
        end(requests, notes, waiting)
        journal.close()
        owner.release()

    return body


def end(requests: list[Request], notes: Notes, waiting: list[tuple[int, Hold]]) -> None:
    for number, taken in waiting:
        cost = requests[number].cost
        if cost is None:
            taken.void()
        else:
            taken.settle(cost, USAGE, SETTLED_EXACT, OUTCOME_OK, 200)
        notes[number] = ENDED
    waiting.clear()


@dataclass
class Crowd:
    """Workers that are run a few stores at a time, by chance; some are killed, and resolved while the others go on."""

    folder: Path
    chance: random.Random
    count: int
    requests: list[list[Request]] = field(default_factory=list)
    notes: list[Notes] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    supervisor: Generator[None, None, None] | None = None
    unresolved: bool = False
    running: list[Generator[None, None, None]] = field(default_factory=list)
    stops: int = 0
    kills: int = 0

    def run(self) -> None:
        arena = Arena(str(self.folder / "arena.bin"), create=True)
        self.cells = {name: arena.cell(name) for name in (TIMED, FOREVER, COUNTED, CONCURRENT)}
        for process in range(self.count):
            self.requests.append(requests_of(process, self.chance))
            self.notes.append(Notes())
            self._start(live(self.folder, self.requests[-1], self.notes[-1], self.clock))
        try:
            while self.running:
                self._turn(self.chance.choice(self.running))
        finally:
            for one in self.running:
                one.close()
        self.anchor_ns = arena.anchor(self.cells[TIMED])
        if dead_slots(arena):
            recovering(self.folder)(lambda: None)

    def _turn(self, one: Generator[None, None, None]) -> None:
        """Let one go on for a few stores; perhaps they were its last."""
        for _ in range(self.chance.choice((1, 1, 2, 3, 5, 30))):
            if next(one, self) is self:
                self._gone(one)
                return
            self.stops += 1
        self.watch()
        self.clock.put_forward(self.chance.randrange(NANO // (8 * self.count)))
        if self.chance.random() < 0.012:
            one.close()
            self.kills += 1
            self.unresolved = True
            self._gone(one)

    def _gone(self, one: Generator[None, None, None]) -> None:
        """There is one supervisor at most, and a next one where there is anything left to resolve."""
        self.running.remove(one)
        if one is self.supervisor:
            self.supervisor = None
        if self.unresolved and self.supervisor is None:
            self.unresolved = False
            self.supervisor = self._start(recovering(self.folder))

    def _start(self, body: Callable[[Callable[[], None]], None]) -> Generator[None, None, None]:
        process = traced(self.folder, body).stops()
        next(process)
        self.running.append(process)
        return process

    def watch(self) -> None:
        """At any moment, whatever is half done: no limit is passed."""
        for name, limit in ((TIMED, BUDGET), (COUNTED, REQUESTS_A_SECOND), (CONCURRENT, AT_ONCE)):
            found = words(self.folder, self.cells[name], FIRST)
            assert all(0 <= used <= limit for used in found.values()), f"{name}: {found}"

    def check(self) -> None:
        """Afterwards: nothing is held, each counter is the sum of its events, each event is what its process did."""
        events = journaled(self.folder)
        costs: dict[int, list[int]] = {}
        total = 0
        for requests, notes in zip(self.requests, self.notes, strict=True):
            for number, request in enumerate(requests):
                found = events.pop(request.name, None)
                assert found in allowed(request, notes[number]), f"{request}: {found}, noted {notes[number]}"
                if found is not None:
                    costs.setdefault(notes.second(number, self.anchor_ns), []).append(found[0])
                    total += found[0]
        assert not events
        self._check_seconds(costs)
        assert sum(words(self.folder, self.cells[FOREVER], FIRST).values()) == total
        assert sum(words(self.folder, self.cells[CONCURRENT], FIRST).values()) == 0

    def _check_seconds(self, costs: dict[int, list[int]]) -> None:
        """Who asked in one second and was counted when another had turned the window counts in the next."""
        for second, used in words(self.folder, self.cells[TIMED], self.anchor_ns).items():
            sums = {0}
            for cost in (*costs.get(second, ()), *costs.get(second - 1, ())):
                sums |= {found + cost for found in sums}
            assert used in sums, f"second {second}: {used} of {costs}"


def allowed(request: Request, noted: int) -> list[tuple[int, str] | None]:
    """How the journal may tell of a request of which that much is known."""
    if noted in (0, REFUSED) or request.cost is None:
        return [None]
    exact = (request.cost, "exact")
    unsettled = [(amount, "unsettled") for amount in (request.amount, request.amount + request.grows)]
    return [exact] if noted == ENDED else [None, exact, *unsettled]


def journaled(folder: Path) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for path in segments_of(str(folder)):
        batch = SegmentReader(path).read(0, 100_000)
        if batch is not None:
            for name, cost, settlement in zip(
                batch["request_id"], batch["cost_nano"], batch["settlement"], strict=True
            ):
                text = bytes.fromhex(name).decode().strip()
                assert text not in found, f"{text} is there twice"
                found[text] = (cost, settlement)
    return found


@pytest.mark.parametrize("count", [2, 4])
def test_any_order_of_stores(count: int) -> None:
    stops = kills = 0
    for seed in range(ROUNDS):
        folder = Path(tempfile.mkdtemp(prefix="fastgate-crowd-", dir="/dev/shm"))
        try:
            crowd = Crowd(folder, random.Random(f"{count}/{seed}"), count)
            crowd.run()
            crowd.check()
        except BaseException as error:
            error.add_note(f"{count} processes, seed {seed}")
            raise
        finally:
            shutil.rmtree(folder)
        stops, kills = stops + crowd.stops, kills + crowd.kills
    print(f"\n{count} processes, {ROUNDS} interleavings: {stops} stores and calls in turns, {kills} kills")
    assert kills > ROUNDS // 8
