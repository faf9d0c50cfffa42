"""Simulated hosts: the real holder in a loop like the real one's, real counters, and requests that can wait."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import structs

from benchmarks.leases.clock import Clock, Process
from benchmarks.leases.redis import Line, Server, own_id
from fastgate._core import leases
from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal, segments_of
from fastgate._core.levels import Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate.budgets.leases.book import Book
from fastgate.budgets.leases.holder import Holder
from fastgate.budgets.leases.notes import Notes
from fastgate.budgets.leases.peers import Peers
from fastgate.budgets.leases.sizing import pauses
from fastgate.budgets.leases.store import StoreAway
from fastgate.budgets.levels import levels_of, rules_of
from fastgate.control.lease_thread import ANSWER_SECONDS, LEAST_PAUSE_NS
from fastgate.wire.leasing import Want
from fastgate.wire.snapshot import BudgetRecord

PATIENCE_NS: Final = 500_000_000
"""``lease_wait_ms``, as it is where nobody says otherwise."""
LOOK_NS: Final = 1_000_000
TELL_AGAIN_NS: Final = 10_000_000
"""As of :mod:`fastgate.gateway.leasing`."""
DATAGRAM_NS: Final = 100_000
"""From a worker to the control process."""
_Written = tuple[list[BudgetRecord], Levels]
_Ended = Callable[[Hold | int], None]
_REQUEST: Final = bytes(16)
_USAGE: Final = Usage()
_SEGMENTS: Final = 1000
"""After so many requests what the journal has is thrown away."""


class Counters:
    """All hosts' counters, in one arena: 10,000 of them would need more addresses than there are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.arena.set_counted()
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self._journal = Journal(str(folder), self.owner.slot)
        self._draft = Draft(key="k")
        self._held = 0

    def take(self, levels: Levels, amount: int, now_ns: int) -> Hold | int:
        """As a worker does."""
        self._held += 1
        if self._held % _SEGMENTS == 0:
            self._journal.prepare()
            for path in segments_of(str(self._folder), self.owner.slot)[:-2]:
                Path(path).unlink()
        taken: Hold | int = hold(self.owner, self._journal, levels, self._draft, amount, now_ns, _REQUEST, True)
        return taken


@contextmanager
def counters() -> Iterator[Counters]:
    """In memory, where the system has a folder for that."""
    with TemporaryDirectory(prefix="fg-sim-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Counters(Path(folder))


class _Book(Book):
    def remember(self, now_ns: int) -> None:
        """Nothing is forgotten: no control process is started anew, and others' counters lie in the same arena."""


class _Holder(Holder):
    def __init__(self, owner: Owner, line: Line, name: str, notes: Notes, clock: Callable[[], int]) -> None:
        super().__init__(owner, line, name, notes, clock)
        self._book = _Book(owner.arena)


class _Peers(Peers):
    def keep(self, names: Iterable[str]) -> None:
        """Hosts that know the same share it."""
        assert isinstance(names, tuple)
        self.known = names  # in order already


class Host:
    """``records``: what requests may be held against, the same on each host."""

    def __init__(self, clock: Clock, server: Server, counters: Counters, name: str, records: Sequence[BudgetRecord]):
        self._clock, self._counters = clock, counters
        self.name = name
        self._random = Random(name)
        self.gone = False
        self._records = records
        self._own: dict[tuple[int, ...], _Written] = {}
        self._wants: list[Want] = []
        self._listens = False
        line, notes = Line(server), Notes()
        notes.peers = _Peers()
        self.holder = _Holder(counters.owner, line, name, notes, lambda: clock.now_ns)
        line.process = self._process = Process(clock, self._control)

    def go(self) -> None:
        """Stops, and gives back what it does not use."""
        self.gone = True
        self._process.wake(self._clock.now_ns)

    # ---- requests

    def request(self, numbers: tuple[int, ...], amount: int, ended: _Ended) -> None:
        """One that is held against those records; ``ended`` hears of its hold, or which of them refused it."""
        of = self._own.get(numbers) or self._written(numbers)
        _Request(self, self._clock, self._counters, of, amount, ended=ended).try_()

    def want(self, want: Want) -> None:
        """Said by a request that waits."""
        self._wants.append(want)
        if self._listens:
            self._process.wake(self._clock.now_ns + DATAGRAM_NS)

    def _written(self, numbers: tuple[int, ...]) -> _Written:
        records = [self._renamed(self._records[number]) for number in numbers]
        arena = self._counters.arena
        self._own[numbers] = records, levels_of(arena, rules_of(arena, records, shared=True))
        return self._own[numbers]

    def _renamed(self, record: BudgetRecord) -> BudgetRecord:
        own = own_id(self.name, record.id)
        return structs.replace(record, id=own)

    # ---- the control process

    def _control(self) -> None:
        """As ``fastgate.control.lease_thread`` does it."""
        pause_ns, until_ns = LEAST_PAUSE_NS, self._clock.now_ns
        while not self.gone:
            wants = self._heard(until_ns)
            try:
                self.holder.want(wants)
                until_ns, pause_ns = self.holder.turn(), LEAST_PAUSE_NS
            except StoreAway:
                wait_ns, pause_ns = pauses(self.holder.hosts, pause_ns, self._random.random())
                until_ns = self._clock.now_ns + wait_ns
                self.holder.away(wants, until_ns + int(ANSWER_SECONDS * 1e9))
        try:
            self.holder.leave()
        except StoreAway:
            return

    def _heard(self, until_ns: int) -> list[Want]:
        if not self._wants and not self.gone:
            self._listens = True
            self._process.wait(max(until_ns, self._clock.now_ns))
            self._listens = False
        wants, self._wants = self._wants, []
        return wants


class _Request:
    """Of which a host's slice does not cover all may wait a moment, as :mod:`fastgate.gateway.leasing` says."""

    def __init__(
        self, host: Host, clock: Clock, counters: Counters, of: _Written, amount: int, *, ended: _Ended
    ) -> None:
        self._host, self._clock, self._counters = host, clock, counters
        (self._records, self._levels), self._amount, self._ended = of, amount, ended
        self._until_ns = clock.now_ns + PATIENCE_NS
        self._told: int | None = None
        self._told_at_ns = 0

    def try_(self) -> None:
        """And again, until it passes or need not wait any more."""
        now_ns = self._clock.now_ns
        verdict = self._counters.take(self._levels, self._amount, now_ns)
        if isinstance(verdict, Hold) or not self._waits(verdict, now_ns):
            self._ended(verdict)
        else:
            self._clock.at(now_ns + LOOK_NS, self.try_)

    def _waits(self, level: int, now_ns: int) -> bool:
        levels = self._levels
        if now_ns >= self._until_ns or leases.is_dry(levels.arena, levels.rules[level].cell, now_ns):
            return False
        if self._told != level or now_ns - self._told_at_ns >= TELL_AGAIN_NS:
            for number, rule in enumerate(levels.rules[level:], level):
                window = levels.windows(number, now_ns)[0]
                if number == level or leases.at_hand(levels.arena, rule.cell, window) < self._amount:
                    self._host.want(Want(rule.cell, window, self._amount, budget=self._records[number]))
            self._told, self._told_at_ns = level, now_ns
        return True


def settled(held: Hold, cost: int) -> None:
    """Its provider has answered."""
    held.settle(cost, _USAGE, SETTLED_EXACT, OUTCOME_OK, 200)
