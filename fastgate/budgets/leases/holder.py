"""All that one host leases: asks for more ahead of need, gives back what it does not need, and tells what it uses.

Only one thread may use a holder. Between two of its passes nothing happens but that workers use what was granted.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import Final

from fastgate._core import leases
from fastgate._core.arena import Arena
from fastgate._core.levels import USD
from fastgate._core.owner import Owner
from fastgate.budgets.leases.book import Book
from fastgate.budgets.leases.grace import Lender, grace_of
from fastgate.budgets.leases.looks import used
from fastgate.budgets.leases.messages import Ask, Elsewhere, Grant
from fastgate.budgets.leases.notes import Notes
from fastgate.budgets.leases.sizing import LATEST_NS, PER_HOST_NS, RISE_NS, beat, peers_again
from fastgate.budgets.leases.slips import DRY_NS, Lease, Slip, Span
from fastgate.budgets.leases.store import LeaseStore, Membership, StoreAway
from fastgate.budgets.levels import level_at, levels_of
from fastgate.budgets.periods import period_of
from fastgate.wire.leasing import Want
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

MOST_AT_ONCE: Final = 200
"""Windows in one message: longer ones would keep others waiting."""
_MISSING_NS: Final = 1_000_000_000
"""So long a store learns before it is asked for whom it waits; longer where hosts are many."""
_TOGETHER_NS: Final = 100_000_000
"""What is due within so long goes along with what is due."""


def nonce_of(arena: Arena) -> str:
    """Tells it from any other, and from a copy of its file."""
    file = os.stat(arena.path)
    return f"{arena.created_ns}-{file.st_dev}-{file.st_ino}"


class Holder:
    """``host``: its name among the hosts; its arena tells it from others of that name. ``clock``: Unix ns."""

    def __init__(
        self, owner: Owner, store: LeaseStore, host: str, notes: Notes, clock: Callable[[], int] = time_ns
    ) -> None:
        self._owner, self._arena, self._store = owner, owner.arena, store
        self._host, self._nonce, self._clock = host, nonce_of(owner.arena), clock
        self._member: Membership | None = None
        self._sequence = 0
        self._book = Book(owner.arena)
        self._peers = notes.peers
        self._lender = Lender(owner, notes.loans, clock)
        self._has_reported = False
        self._peers_at_ns = 0
        self.heard_at_ns = 0
        """When the store answered last; 0: never."""
        self.hosts = 0
        """How many live, as the store said last."""
        self.learning = False
        """Whether the store waits until it knows again what hosts have."""
        self.waits_for: Sequence[str] = ()
        """Hosts of which the store has not heard that yet, as far as it was asked."""
        self._waits_at_ns = clock()
        self._was_away = False

    # ---- what is known

    @property
    def slips(self) -> Iterable[Slip]:
        """What is leased now."""
        return self._book.slips

    def doubt(self, find: Callable[[str], BudgetRecord | None]) -> None:
        """Something else may be written of any limit by now, as ``find`` says by its id.

        Of what it does not know nothing is asked for until a worker says what is written.
        """
        self._book.doubt()
        now_ns = self._clock()
        for slip in () if self._book.is_crowded else self._book.slips:
            lease, before = slip.lease, slip.lease.limit(now_ns)
            if lease.unit != USD or lease.levels is None:
                continue
            if not lease.known and (record := find(lease.id)) is not None:
                self._know(lease, record)
            if lease.limit(now_ns) < before:
                slip.look_at_ns = 0

    def elsewhere(self, id_: str) -> Elsewhere | None:
        """What other hosts have of a limit now; None: the store has not said. From any thread."""
        cell = self._arena.find(id_)
        lease = None if cell is None else self._book.lease(cell)
        if lease is None or (levels := lease.levels) is None:
            return None
        slip = self._book.slip(lease.cell, levels.windows(0, self._clock())[0])
        return None if slip is None else slip.elsewhere

    # ---- what is done

    def want(self, wants: Iterable[Want]) -> None:
        """Requests wait for these. Raises StoreAway."""
        now_ns = self._clock()
        with self._joined():
            for want in wants:
                if self._arena.find(want.record.id) != want.cell:
                    continue
                lease = self._lease(want.cell, want.record, now_ns)
                if lease is None:
                    leases.tell_dry(self._arena, want.cell, now_ns + DRY_NS)
                    slip = self._note_grace(want)
                else:
                    slip = self._book.slip(want.cell, want.window) or self._book.begin(lease, want.window, now_ns)
                    if slip is not None:
                        self._book.use(slip)
                        slip.lack(want.missing, now_ns)
                if slip is not None:
                    self._lend_while_learning(slip)

    def count(self, records: Iterable[BudgetRecord]) -> None:
        """These soft budgets were spent from: the others are told what, and tell. Raises StoreAway."""
        now_ns = self._clock()
        with self._joined():
            for record in records:
                cell = self._arena.find(record.id)
                lease = None if cell is None else self._lease(cell, record, now_ns)
                if lease is not None:
                    self._book.use(self._book.present(lease, now_ns))

    def show(self, records: Sequence[BudgetRecord | LimitRecord]) -> None:
        """Somebody looks at these: what others have of them is asked for. No use begins by that. Raises StoreAway."""
        now_ns = self._clock()
        if not self._arena.counted:
            return
        with self._joined():
            slips = []
            for record in used(self._arena, self._store, records, now_ns):
                cell = self._arena.find(record.id)
                lease = None if cell is None else self._lease(cell, record, now_ns)
                if lease is not None and (slip := self._book.show(lease, now_ns)) is not None:
                    slips.append(slip)
            self._exchange(((slip, slip.look(self._owner, now_ns)) for slip in slips), now_ns)

    def turn(self) -> int:
        """What is due now; returns when the next is, in Unix nanoseconds. Raises NameTaken, StoreAway."""
        now_ns = self._clock()
        with self._joined():
            if not self.learning:
                self._call_back()
            due = self._due(now_ns)
            crowded = self._book.is_crowded
            self._exchange(((slip, slip.look(self._owner, now_ns, crowded=crowded)) for slip in due), now_ns)
            if now_ns - self.heard_at_ns >= beat(self.hosts):
                self._tell([], now_ns)
        for slip in due:
            self._book.look_ahead(slip, now_ns)
        self._book.forget(due, now_ns, crowded=crowded)
        if self._was_away:
            self._was_away = False
            self._lender.forget_told()
            self._tell_dry(self._book.cells, 0)
        return min(self._book.next_look(now_ns + LATEST_NS), self.heard_at_ns + beat(self.hosts))

    def ahead_ms(self) -> int:
        """By how much this host's clock is ahead of the store's, to some milliseconds. Raises StoreAway."""
        with self._joined():
            return self._store.ahead_ms()

    def away(self, wants: Sequence[Want], until_ns: int) -> None:
        """The store does not answer, and is not asked until then: nobody need wait, unless a budget may be exceeded."""
        for want in wants:
            self._note_grace(want)
        self.refuse(wants, until_ns)
        for slip in self._book.slips:
            if slip.lease.grace:
                self._lend(slip)
            slip.wait_no_more()

    def part(self) -> None:
        """Another server has what hosts share by now: it is joined anew."""
        self._member = None

    def refuse(self, wants: Sequence[Want], until_ns: int) -> None:
        """The store is not asked until then, and nobody need wait."""
        self._was_away = True
        self._tell_dry({*self._book.cells, *(want.cell for want in wants)}, until_ns)

    def disown(self) -> None:
        """Another host has its name: what was granted by that, as a copied arena has it, is not this one's."""
        self._book.remember(self._clock())
        for slip in self._book.slips:
            leases.take_back(self._owner, slip.lease.cell, slip.span.number, 0)

    def leave(self) -> None:
        """Gives back all that is not used, and is no host any more. Raises StoreAway."""
        if self._member is None:
            return
        now_ns = self._clock()
        self._call_back()
        self._exchange(((slip, slip.give_up(self._owner, now_ns)) for slip in self._book.slips), now_ns)
        self._store.leave(self._member)
        self._member = None

    # ---- within

    @contextmanager
    def _joined(self) -> Iterator[None]:
        """Speaks to the store as one of its hosts.

        Who answers after a failure may know less than who answered before: then it joins again.
        """
        try:
            if self._member is None:
                self._join()
            if not self._has_reported and self._arena.counted:
                self._report(self._clock())
            yield
        except StoreAway:
            self._member = None
            raise

    def _lease(self, cell: int, record: BudgetRecord | LimitRecord, now_ns: int) -> Lease | None:
        """As ``record`` says; None: nobody can tell yet from when its windows are counted."""
        lease = self._book.lease(cell)
        if lease is not None and lease.known:
            return lease
        if lease is None or lease.levels is None:
            if period_of(record).calendar is None and not self._agree(record.id, cell, now_ns):
                return None
            lease = lease or Lease(record.id, cell, level_at(cell, record).unit)
        self._know(lease, record)
        return lease

    def _know(self, lease: Lease, record: BudgetRecord | LimitRecord) -> None:
        """This is what is written of it."""
        lease.levels = levels_of(self._arena, [(record, level_at(lease.cell, record))])
        lease.known, lease.grace = True, grace_of(record)
        lease.soft = isinstance(record, BudgetRecord) and record.soft

    def _note_grace(self, want: Want) -> Slip | None:
        """What a request lacks that nobody can be asked for may be a window that this process has not leased yet.

        None: there is no grace, or the window is over.
        """
        lease = self._book.lease(want.cell) or Lease(want.record.id, want.cell, USD)
        lease.grace, now_ns = grace_of(want.record), self._clock()
        if not lease.grace:
            return None
        slip = self._book.slip(want.cell, want.window)
        if slip is None:
            levels = levels_of(self._arena, [(want.record, level_at(want.cell, want.record))])
            present, begins_ns, ends_ns, _ = levels.windows(0, now_ns)
            if present != want.window:
                return None
            slip = self._book.keep(lease, Span(present, begins_ns, ends_ns), now_ns)
        self._book.use(slip)
        slip.lack(want.missing, now_ns)
        return slip

    def _lend_while_learning(self, slip: Slip) -> None:
        """A store that learns grants nothing, for as long as a host is missing."""
        if self.learning and self._has_reported:
            self._lend(slip)

    def _lend(self, slip: Slip) -> None:
        """Where that is too little, too, another window may begin, of which a request has to say."""
        is_enough = self._lender.lend(slip) >= max(1, slip.missing)
        leases.tell_dry(self._arena, slip.lease.cell, 0 if is_enough else self._clock() + DRY_NS)

    def _is_lent(self, slip: Slip, now_ns: int) -> bool:
        """Whether more of it may be used than the store knows, of which it is told nothing."""
        if not (self._lender and self._lender.has_lent(slip)):
            return False
        slip.look_at_ns = now_ns + LATEST_NS
        return True

    def _call_back(self) -> None:
        """The store grants again: no more may be used than that."""
        if self._lender:
            for slip in self._book.slips:
                self._lender.call_back(slip)

    def _agree(self, id_: str, cell: int, now_ns: int) -> bool:
        """Count its windows from when all hosts do; false: nobody can tell yet."""
        assert self._member is not None
        first = self._store.first_use(self._member, id_, self._arena.anchor(cell) or now_ns)
        if first is None:
            self.learning = True
            return False
        leases.set_anchor(self._arena, cell, first)
        return True

    def _due(self, now_ns: int) -> list[Slip]:
        """With what is due soon, where anything is now: a message with many windows costs less than many messages."""
        soon = [slip for slip in self._book.due(now_ns, RISE_NS) if not self._is_lent(slip, now_ns)]
        due = [slip for slip in soon if slip.look_at_ns <= now_ns]
        within_ns = RISE_NS if any(slip.missing for slip in due) else _TOGETHER_NS
        return [slip for slip in soon if slip.look_at_ns <= now_ns + within_ns] if due else []

    def _join(self) -> None:
        self._member, self._sequence = self._store.join(self._host, self._nonce, self._peers.after(self._host)), 0
        self._has_reported = False
        for slip in self._book.slips:
            slip.untold()

    def _report(self, now_ns: int) -> None:
        """Tells all that this host has: the store may have forgotten it, and grants nothing before."""
        assert self._member is not None
        self._book.remember(now_ns)
        self._call_back()
        self._exchange(((slip, slip.look(self._owner, now_ns)) for slip in self._book.slips), now_ns)
        self._store.report(self._member)
        self._has_reported = True

    def _tell_dry(self, cells: Iterable[int], until_ns: int) -> None:
        for cell in cells:
            leases.tell_dry(self._arena, cell, until_ns)

    def _exchange(self, asked: Iterable[tuple[Slip, Ask | None]], now_ns: int) -> None:
        """Tells and asks, in as many messages as it takes."""
        some = [(slip, ask) for slip, ask in asked if ask is not None]
        for begin in range(0, len(some), MOST_AT_ONCE):
            self._tell(some[begin : begin + MOST_AT_ONCE], now_ns)

    def _tell(self, asked: Sequence[tuple[Slip, Ask]], now_ns: int) -> None:
        """One message. Where no answer is heard all is told again, by which what it may have granted returns."""
        assert self._member is not None
        self._sequence += 1
        try:
            said = self._store.exchange(self._member, self._sequence, [ask for _, ask in asked])
        except StoreAway:
            for slip, _ in asked:
                slip.untold()
            raise
        self.heard_at_ns, self.learning = now_ns, said.learning
        self._note_missing(now_ns)
        wait_ns = peers_again(said.hosts, changed=said.hosts != self.hosts)
        if now_ns - self._peers_at_ns >= wait_ns and not said.learning:  # a store that learns knows fewer than we do
            self._peers.keep(self._store.peers())
            self.hosts, self._peers_at_ns = said.hosts, now_ns
        for (slip, ask), granted in zip(asked, said.grants, strict=True):
            self._hear(slip, ask, granted, now_ns)

    def _note_missing(self, now_ns: int) -> None:
        """Now and then, for whoever has to find out why nothing is granted."""
        if not self.learning:
            self.waits_for, self._waits_at_ns = (), now_ns
        elif now_ns - self._waits_at_ns >= max(_MISSING_NS, self.hosts * PER_HOST_NS):
            self.waits_for, self._waits_at_ns = self._store.missing(), now_ns

    def _hear(self, slip: Slip, ask: Ask, granted: Grant, now_ns: int) -> None:
        cell = slip.lease.cell
        got = granted.claim > max(ask.claim, may := leases.granted(self._arena, cell, slip.span.number))
        if granted.claim > may:
            leases.grant(self._arena, cell, slip.span.number, granted.claim)
        leases.tell_others(self._arena, cell, slip.span.number, granted.elsewhere.used, granted.elsewhere.spent)
        if got or (ask.want and slip.missing):  # else nobody waits
            stranded = not got and granted.elsewhere.strands(ask.limit - ask.spent, slip.missing)
            leases.tell_dry(self._arena, cell, 0 if got else now_ns + DRY_NS, stranded=stranded)
        slip.hear(granted, ask, now_ns)
