"""A kill between any two stores: what was begun is afterwards whole or absent, in the counters and in the journal."""

import mmap
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import SUPERVISOR, Owner, dead_slots
from fastgate._core.recovery import recover
from fastgate._core.windows import Period
from tests.chaos.arena_images import (
    CELLS,
    LIFETIME,
    SMALL_SEGMENT,
    STEPS,
    USAGE,
    Images,
    Outcome,
    Place,
    age,
    charged,
    fresh_copy,
    live_on,
    perform,
    read,
    recovering,
    resolved,
    unresolved,
    words,
)
from tests.chaos.stores import traced

HISTORY = (11, 22, 33)
TURNING = "key:turning/second/default"
RANKS = {None: 0, "unsettled": 1, "exact": 2}
CHAINS = int(os.environ.get("FASTGATE_CHAOS_ROUNDS", "8")) * 3


class Victim:
    """A process that settles, gives back and is refused, and can be stopped at every store.

    ``segment_bytes`` decides when its journal moves to the next segment, ``prepared`` whether that one is there
    already; ``changes`` is how many it has made since others last met one of them.
    """

    def __init__(self, folder: Path, segment_bytes: int, *, prepared: bool, changes: int = 0) -> None:
        self.folder = folder / "live"
        self.images = Images(self.folder, folder / "image")
        self.marks = mmap.mmap(-1, 4096)
        self._segment_bytes = segment_bytes
        self._prepared = prepared
        self._changes = changes

    def killed_everywhere(self) -> Iterator[Path]:
        process = traced(self.folder, self._live)
        yield from self.images.changed(process.stops())
        assert process.stores > 500, "too few stores were seen: is the tracer blind?"

    def _live(self, begin: Callable[[], None]) -> None:
        before = Place(self.folder)  # an owner that died long ago, with a lower slot
        for number, cost in enumerate(HISTORY):
            before.settle(b"history-%d......." % number, 100, cost)
        if self._changes:
            age(self.folder, before.owner.slot + 1, self._changes, done=1)
        place = Place(self.folder, self._segment_bytes)
        if self._prepared:
            place.journal.prepare()
        begin()
        perform(place, STEPS, self.marks)

    def check(self, outcome: Outcome) -> dict[str, int]:
        """Whole or absent; returns how far each request got (see ``RANKS``)."""
        outcome.check()
        events = {name: (cost, settlement) for name, cost, settlement in outcome.events}
        begun, ended = self.marks[0], self.marks[1]
        ranks = {}
        for number, step in enumerate(STEPS, 1):
            found = events.get(step.name)
            allowed: list[tuple[int, str] | None] = [None]
            if step.actual is not None and step.fits and number <= begun:
                exact = (step.actual, "exact")
                unsettled = [(amount, "unsettled") for amount in (step.amount, step.amount + step.grows)]
                allowed = [exact] if number <= ended else [None, *unsettled, exact]
            assert found in allowed, f"{step.name}: {found}, not one of {allowed}"
            ranks[step.name] = RANKS[found[1] if found else None]
        for number, cost in enumerate(HISTORY):
            assert events[f"history-{number}"] == (cost, "exact")
        return ranks


@pytest.mark.parametrize(
    ("segment_bytes", "prepared", "changes"),
    [(1 << 20, False, 0), (SMALL_SEGMENT, False, 0), (SMALL_SEGMENT, True, 0), (1 << 20, False, 40_000_000)],
    ids=["roomy", "next segment made at once", "next segment prepared", "after millions of changes"],
)  # fmt: skip
def test_killed_after_any_store(folder: Path, segment_bytes: int, prepared: bool, changes: int) -> None:
    victim = Victim(folder, segment_bytes, prepared=prepared, changes=changes)
    reached = {step.name: 0 for step in STEPS}
    for image in victim.killed_everywhere():
        crowded = fresh_copy(image, folder / "crowded")
        ranks = victim.check(resolved(image))
        # A request never falls back: once it is final, every later kill finds it final.
        assert all(ranks[name] >= reached[name] for name in ranks), f"{reached}, then {ranks}"
        reached = ranks
        live_on(image)
        read(image).check()
        outcome = resolved(crowded, stranger=True)
        assert victim.check(outcome) == ranks
        assert ("stranger", 20, "exact") in outcome.events
    assert reached == {step.name: 2 if step.actual is not None else 0 for step in STEPS}
    assert victim.images.taken > 300


def interesting(folder: Path, victim: Victim) -> list[Path]:
    """A copy of the first image of each kind: by how far the requests in the air had got."""
    seen: dict[object, Path] = {}
    for image in victim.killed_everywhere():
        kind = (unresolved(image), victim.marks[0])
        if unresolved(image) and kind not in seen:
            seen[kind] = fresh_copy(image, folder / f"kind-{len(seen)}")
    return list(seen.values())


def test_killed_while_it_recovers(folder: Path) -> None:
    """Recovery ended after any of its own stores and begun again gives what it gives when it is left in peace."""
    victim = Victim(folder, SMALL_SEGMENT, prepared=True)
    kinds = interesting(folder, victim)
    assert len(kinds) > 30
    taken = 0
    chosen = random.Random(7).sample(kinds, min(len(kinds), CHAINS // 3))
    for kind in chosen:
        expected = resolved(fresh_copy(kind, folder / "calm"))
        expected.check()
        images = Images(kind, folder / "image")
        for image in images.changed(traced(kind, recovering(kind)).stops()):
            assert resolved(image) == expected
            live_on(image)
        taken += images.taken
    assert taken > 12 * len(chosen)


def test_killed_again_and_again(folder: Path) -> None:
    """Three recoveries in a row die at moments of chance, while other processes go on changing the same cells."""
    chance = random.Random(11)
    kinds = interesting(folder, Victim(folder, SMALL_SEGMENT, prepared=True))
    for _ in range(CHAINS):
        here = fresh_copy(chance.choice(kinds), folder / "live")
        expected = resolved(fresh_copy(here, folder / "calm"))
        for _ in range(3):
            last = chance.randrange(300)
            process = traced(here, recovering(here)).stops()
            for stop, _ in enumerate(process):
                if stop == last:
                    break
            process.close()
        outcome = resolved(here, stranger=True)
        outcome.check()
        assert [event for event in outcome.events if event[0] != "stranger"] == list(expected.events)


def test_what_a_supervisor_began_is_told_from_what_its_successors_did(folder: Path) -> None:
    """It dies while it resolves a worker; another worker dies; the next dies early; the third has the first's slot."""
    live = folder / "live"

    def workers(begin: Callable[[], None]) -> None:
        first = Owner(Arena(str(live / "arena.bin"), create=True), SUPERVISOR)
        places = [Place(live), Place(live)]
        holds = [place.hold(b"worker-%d........" % number, 100) for number, place in enumerate(places)]
        assert all(isinstance(taken, Hold) for taken in holds)
        first.release()
        begin()
        os._exit(0)  # nothing is given back

    def resolve_the_second(begin: Callable[[], None]) -> None:
        arena = Arena(str(live / "arena.bin"))
        supervisor = Owner(arena, SUPERVISOR)
        begin()
        recover(arena, supervisor, 2, str(live))

    assert list(traced(live, workers).stops())
    for image in Images(live, folder / "image").changed(traced(live, resolve_the_second).stops()):
        arena = Arena(str(image / "arena.bin"))
        successor = Owner(arena, SUPERVISOR)
        recover(arena, successor, dead_slots(arena)[0], str(image))
        del successor, arena
        assert resolved(image) == Outcome((), ((0, 0),) * 3, (0,) * 3)


def test_killed_while_the_arena_is_made(folder: Path) -> None:
    """From an empty folder to the first settlement; whatever is found is used, or made again."""
    live = folder / "live"

    def first(begin: Callable[[], None]) -> None:
        begin()
        Place(live).settle(b"first...........", 50, 40)

    images = Images(live, folder / "image")
    ranks = []
    for image in images.changed(traced(live, first).stops()):
        outcome = resolved(image)
        outcome.check()
        ranks.append(RANKS[outcome.events[0][2] if outcome.events else None])
        live_on(image)
        read(image).check()
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_killed_while_one_of_several_is_settled(folder: Path) -> None:
    """The event of the one that was being settled is not overwritten by those of the others that are resolved."""
    live = folder / "live"

    def body(begin: Callable[[], None]) -> None:
        place = Place(live)
        holds = [place.hold(b"one-of-three-%d.." % number, 50) for number in range(3)]
        for taken in holds:
            assert isinstance(taken, Hold)
            taken.sent()
        begin()
        for taken in reversed(holds):
            assert isinstance(taken, Hold)
            taken.settle(30, USAGE, SETTLED_EXACT, OUTCOME_OK, 200)

    seen = set()
    for image in Images(live, folder / "image").changed(traced(live, body).stops()):
        outcome = resolved(image)
        outcome.check()
        seen.add(tuple(cost for _, cost, _ in outcome.events))
        live_on(image)
    assert seen == {(50, 50, 50), (50, 50, 30), (50, 30, 30), (30, 30, 30)}


def test_killed_while_windows_turn(folder: Path) -> None:
    """A late change lands in the window in which its hold was taken, be it the present one, the one before or none."""
    live, first = folder / "live", 1_790_000_000_000_000_000

    def body(begin: Callable[[], None]) -> None:
        place = Place(live)
        levels = Levels(place.arena, [Level(place.arena.cell(TURNING), 200, Period(1))])

        def take(name: str, second: int, amount: int) -> Hold:
            now = first + second * 1_000_000_000
            taken = hold(place.owner, place.journal, levels, Draft(key=name), amount, now, name.encode().ljust(16))
            assert isinstance(taken, Hold)
            taken.sent()
            return taken

        def settle(taken: Hold, cost: int) -> None:
            taken.settle(cost, USAGE, SETTLED_EXACT, OUTCOME_OK, 200)

        long, early, unused = take("long", 0, 30), take("early", 0, 50), take("unused", 0, 20)
        begin()
        in_time = take("in time", 1, 30)
        settle(early, 20)
        assert in_time.grow(15, 0) is None
        settle(in_time, 40)
        unused.void()
        late = take("late", 1, 60)
        last = take("last", 2, 70)
        assert late.grow(25, 0) is None
        settle(late, 10)
        assert long.grow(10, 0) == 0, "nobody counts that window any more"
        settle(long, 5)
        settle(last, 90)

    turned = set()
    for image in Images(live, folder / "image").changed(traced(live, body).stops()):
        resolved(image)
        arena = Arena(str(image / "arena.bin"))
        found, costs = words(image, arena.cell(TURNING), first), charged(image, first)
        turned.add(tuple(sorted(found)))
        for window, used in found.items():
            assert used == costs[window], f"window {window}: {found}, {costs}"
        live_on(image)
    assert turned == {(1,), (1, 2), (2,), (2, 3)}


def test_killed_while_a_budget_is_reset(folder: Path) -> None:
    """The counter says what the events say, the reset's among them; what was held meanwhile is not touched by it."""
    live = folder / "live"

    def body(begin: Callable[[], None]) -> None:
        place = Place(live)
        place.settle(b"before..........", 50, 70)
        held = place.hold(b"meanwhile.......", 90)
        assert isinstance(held, Hold)
        held.sent()
        begin()
        assert place.reset(b"reset...........") == 70
        held.settle(40, None, SETTLED_EXACT, OUTCOME_OK, 200)

    seen = set()
    for image in Images(live, folder / "image").changed(traced(live, body).stops()):
        outcome = resolved(image)
        costs = {name: cost for name, cost, _ in outcome.events}
        whole = sum(costs.values())
        assert outcome.cells == ((whole, 0), *((whole - costs.get("reset", 0), 0),) * 2), outcome
        assert len(costs) == len(outcome.events)
        seen.add((costs.get("reset"), costs["meanwhile"]))
        live_on(image)
    assert seen == {(None, 90), (-70, 90), (-70, 40)}


def test_killed_while_counters_are_restored(folder: Path) -> None:
    """A cell whose first use is set is whole; one whose is not is restored again."""
    live, anchor = folder / "live", 1_790_000_000_000_000_000
    now = anchor + 5

    def restore(place: Arena) -> bool:
        return place.restore_cell(place.cell(CELLS[0]), LIFETIME, anchor, 700, now)

    def body(begin: Callable[[], None]) -> None:
        arena = Arena(str(live / "arena.bin"), create=True)
        arena.cell(CELLS[0])
        begin()
        assert restore(arena)

    again = []
    for image in Images(live, folder / "image").changed(traced(live, body).stops()):
        arena = Arena(str(image / "arena.bin"))
        again.append(arena.anchor(arena.cell(CELLS[0])) == 0)
        assert restore(arena) == again[-1]
        assert not restore(arena)
        assert arena.read_cell(arena.cell(CELLS[0]), LIFETIME, now) == (700, 0, 0, 0)
    assert again.count(True) == len(again) - 1
    assert len(again) == 4
