"""All that one host leases: asks for more ahead of need, gives back what it does not need, and tells what it uses.

Only one thread may use a holder. Between two of its passes nothing happens but that workers use what was granted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import Final

from fastgate._core import leases
from fastgate._core.levels import REQUESTS, USD
from fastgate._core.owner import Owner
from fastgate._core.windows import ends_of
from fastgate.budgets.leases.grace import Lender, grace_of
from fastgate.budgets.leases.messages import Ask, Grant
from fastgate.budgets.leases.notes import Notes
from fastgate.budgets.leases.sizing import LATEST_NS, beat, peers_again
from fastgate.budgets.leases.slips import DRY_NS, Lease, Slip, Span
from fastgate.budgets.leases.store import LeaseStore, Membership, StoreAway
from fastgate.budgets.levels import level_at, levels_of
from fastgate.budgets.limits import is_limit
from fastgate.budgets.periods import period_of
from fastgate.wire.leasing import Want
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

MOST_AT_ONCE: Final = 200
"""Windows in one message: longer ones would keep others waiting."""
_AHEAD_NS: Final = 1_000_000_000
"""So long before a window ends the next one is leased, where it is used."""
_TOGETHER_NS: Final = 100_000_000
"""What is due within so long goes along with what is due."""
MOST_IDLE: Final = 10_000
"""Windows that are looked at though nothing happens in them, so that it shows what other hosts do there."""


class Holder:
    """``host``: its name among the hosts; its arena tells it from others of that name. ``clock``: Unix ns."""

    def __init__(
        self, owner: Owner, store: LeaseStore, host: str, notes: Notes, clock: Callable[[], int] = time_ns
    ) -> None:
        self._owner, self._arena, self._store = owner, owner.arena, store
        self._host, self._nonce, self._clock = host, str(owner.arena.created_ns), clock
        self._member: Membership | None = None
        self._sequence = 0
        self._leases: dict[int, Lease] = {}
        self._slips: dict[tuple[int, int], Slip] = {}
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
        self._was_away = False

    # ---- what is known

    @property
    def slips(self) -> Iterable[Slip]:
        """What is leased now."""
        return self._slips.values()

    def doubt(self) -> None:
        """Something else may be written of any limit by now: nothing is asked for until a worker says what."""
        for lease in self._leases.values():
            lease.known = False

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
                    continue
                slip = self._slips.get((want.cell, want.window)) or self._begin(lease, want.window, now_ns)
                if slip is not None:
                    slip.lack(want.missing, now_ns)
                    self._lend_while_learning(slip)
                elif not lease.slips:
                    del self._leases[want.cell]

    def count(self, records: Iterable[BudgetRecord]) -> None:
        """These soft budgets were spent from: the others are told what, and tell. Raises StoreAway."""
        now_ns = self._clock()
        with self._joined():
            for record in records:
                cell = self._arena.find(record.id)
                lease = None if cell is None else self._lease(cell, record, now_ns)
                if lease is not None:
                    self._present(lease, now_ns)

    def turn(self) -> int:
        """What is due now; returns when the next is, in Unix nanoseconds. Raises NameTaken, StoreAway."""
        now_ns = self._clock()
        with self._joined():
            if not self.learning:
                self._call_back()
            due = self._due(now_ns)
            crowded = len(self._slips) > MOST_IDLE
            self._exchange(((slip, slip.look(self._owner, now_ns, crowded=crowded)) for slip in due), now_ns)
            if now_ns - self.heard_at_ns >= beat(self.hosts):
                self._tell([], now_ns)
        for slip in due:
            self._look_ahead(slip, now_ns)
            if slip.is_over(self._arena, now_ns) or (crowded and slip.is_idle(now_ns)):
                self._forget(slip)
        if self._was_away:
            self._was_away = False
            self._tell_dry(self._leases, 0)
        soonest = min((slip.look_at_ns for slip in self._slips.values()), default=now_ns + LATEST_NS)
        return min(soonest, self.heard_at_ns + beat(self.hosts))

    def away(self, wants: Iterable[Want], until_ns: int) -> None:
        """The store does not answer, and is not asked until then: nobody need wait, unless a budget may be exceeded."""
        self._was_away = True
        for want in wants:
            self._note_grace(want)
        self._tell_dry({*self._leases, *(want.cell for want in wants)}, until_ns)
        for slip in self._slips.values():
            slip.wait_no_more()
            if slip.lease.grace:
                self._lend(slip)

    def leave(self) -> None:
        """Gives back all that is not used, and is no host any more. Raises StoreAway."""
        if self._member is None:
            return
        now_ns = self._clock()
        self._call_back()
        self._exchange(((slip, slip.give_up(self._owner, now_ns)) for slip in self._slips.values()), now_ns)
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
        lease = self._leases.get(cell)
        if lease is not None and lease.known:
            return lease
        levels = levels_of(self._arena, [(record, level_at(cell, record))])
        if lease is None or lease.levels is None:
            if period_of(record).calendar is None and not self._agree(record.id, cell, now_ns):
                return None
            lease = self._leases[cell] = lease or Lease(record.id, cell, levels.rules[0].unit)
        lease.levels, lease.known, lease.grace = levels, True, grace_of(record)
        lease.soft = isinstance(record, BudgetRecord) and record.soft
        return lease

    def _note_grace(self, want: Want) -> None:
        """What a request lacks that nobody can be asked for may be a window that this process has not leased yet."""
        lease = self._leases.get(want.cell) or Lease(want.record.id, want.cell, USD)
        lease.grace = grace_of(want.record)
        if not lease.grace or (want.cell, want.window) in self._slips:
            return
        levels = levels_of(self._arena, [(want.record, level_at(want.cell, want.record))])
        present, begins_ns, ends_ns, _ = levels.windows(0, self._clock())
        if present == want.window:
            self._leases[want.cell] = lease
            self._keep(Slip(self._arena, lease, Span(present, begins_ns, ends_ns), self._clock()))

    def _lend_while_learning(self, slip: Slip) -> None:
        """A store that learns grants nothing, for as long as a host is missing."""
        if self.learning and self._has_reported:
            self._lend(slip)

    def _lend(self, slip: Slip) -> None:
        """Where that is used up, too, another window may begin, of which a request has to say."""
        has_room = self._lender.lend(slip)
        leases.tell_dry(self._arena, slip.lease.cell, 0 if has_room else self._clock() + DRY_NS)

    def _is_lent(self, slip: Slip, now_ns: int) -> bool:
        """Whether more of it may be used than the store knows, of which it is told nothing."""
        if not (self._lender and self._lender.has_lent(slip)):
            return False
        slip.look_at_ns = now_ns + LATEST_NS
        return True

    def _call_back(self) -> None:
        """The store grants again: no more may be used than that."""
        if self._lender:
            for slip in self._slips.values():
                self._lender.call_back(slip)

    def _agree(self, id_: str, cell: int, now_ns: int) -> bool:
        """Count its windows from when all hosts do; false: nobody can tell yet."""
        assert self._member is not None
        first = self._store.first_use(self._member, id_, self._arena.anchor(cell) or now_ns)
        if first is not None:
            leases.set_anchor(self._arena, cell, first)
        return first is not None

    def _due(self, now_ns: int) -> list[Slip]:
        """With what is due soon, where anything is now: a message with many windows costs less than many messages."""
        soon_ns = now_ns + _TOGETHER_NS
        soon = [slip for slip in self._slips.values() if slip.look_at_ns <= soon_ns and not self._is_lent(slip, now_ns)]
        return soon if any(slip.look_at_ns <= now_ns for slip in soon) else []

    def _begin(self, lease: Lease, window: int, now_ns: int) -> Slip | None:
        """The slip of the window that counts now; None: ``window`` is another one, and nobody leases it any more."""
        assert lease.levels is not None
        if window != lease.levels.windows(0, now_ns)[0]:
            return None  # it is over, or an agreement on the first use has moved it
        return self._present(lease, now_ns)

    def _present(self, lease: Lease, now_ns: int) -> Slip:
        """The slip of the window that counts now."""
        assert lease.levels is not None
        present, begins_ns, ends_ns, _ = lease.levels.windows(0, now_ns)
        slip = self._slips.get((lease.cell, present))
        if slip is None:
            slip = Slip(self._arena, lease, Span(present, begins_ns, ends_ns), now_ns)
            self._keep(slip)
        return slip

    def _look_ahead(self, slip: Slip, now_ns: int) -> None:
        """The next window is leased before it begins, at the pace of this one."""
        lease = slip.lease
        if not lease.known or not slip.pace.per_second or not 0 < slip.span.ends_ns - now_ns <= _AHEAD_NS:
            return
        assert lease.levels is not None
        present, _, turns_ns, following = lease.levels.windows(0, now_ns)
        if present != slip.span.number or (lease.cell, following) in self._slips:
            return
        _, _, ends_ns, _ = lease.levels.windows(0, turns_ns)
        ahead = Slip(self._arena, lease, Span(following, turns_ns, ends_ns), now_ns)
        ahead.pace.per_second = slip.pace.per_second
        self._keep(ahead)

    def _join(self) -> None:
        self._member, self._sequence = self._store.join(self._host, self._nonce, self._peers.after(self._host)), 0
        self._has_reported = False
        for slip in self._slips.values():
            slip.untold()

    def _report(self, now_ns: int) -> None:
        """Tells all that this host has: the store may have forgotten it, and grants nothing before."""
        assert self._member is not None
        self._remember(now_ns)
        self._call_back()
        self._exchange(((slip, slip.look(self._owner, now_ns)) for slip in list(self._slips.values())), now_ns)
        self._store.report(self._member)
        self._has_reported = True

    def _remember(self, now_ns: int) -> None:
        """What this process has not leased itself, or has not looked at for long: it lies in the arena."""
        for cell, window, _ in leases.grants(self._arena):
            if (cell, window) in self._slips:
                continue
            id_ = self._arena.cell_id(cell)
            lease = self._leases.get(cell) or Lease(id_, cell, REQUESTS if is_limit(id_) else USD)
            slip = Slip(self._arena, lease, Span(window, 0, ends_of(window)), now_ns)
            if not slip.is_over(self._arena, now_ns):
                self._leases[cell] = lease
                self._keep(slip)

    def _forget(self, slip: Slip) -> None:
        """Until it is wanted, or the store has to be told all."""
        lease = slip.lease
        del self._slips[lease.cell, slip.span.number]
        lease.slips -= 1
        if not lease.slips:
            del self._leases[lease.cell]

    def _keep(self, slip: Slip) -> None:
        """From here on the arena knows it, so that a grant which nobody lives to hear of is found, and returns."""
        cell, window = slip.lease.cell, slip.span.number
        leases.grant(self._arena, cell, window, leases.granted(self._arena, cell, window))
        self._slips[cell, window] = slip
        slip.lease.slips += 1

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
        wait_ns = peers_again(said.hosts, changed=said.hosts != self.hosts)
        if now_ns - self._peers_at_ns >= wait_ns and not said.learning:  # a store that learns knows fewer than we do
            self._peers.keep(self._store.peers())
            self.hosts, self._peers_at_ns = said.hosts, now_ns
        for (slip, ask), granted in zip(asked, said.grants, strict=True):
            self._hear(slip, ask, granted, now_ns)

    def _hear(self, slip: Slip, ask: Ask, granted: Grant, now_ns: int) -> None:
        cell = slip.lease.cell
        got = granted.claim > max(ask.claim, may := leases.granted(self._arena, cell, slip.span.number))
        if granted.claim > may:
            leases.grant(self._arena, cell, slip.span.number, granted.claim)
        leases.tell_others(self._arena, cell, slip.span.number, granted.used_elsewhere, granted.spent_elsewhere)
        if got or (ask.want and slip.missing):  # else nobody waits
            leases.tell_dry(self._arena, cell, 0 if got else now_ns + DRY_NS)
        slip.hear(granted, ask, now_ns)
