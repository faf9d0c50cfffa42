"""Schedules of whatever befalls hosts that share limits. ``Cluster`` says what must hold."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from redis import Redis

from fastgate._core import leases
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold
from fastgate._core.price import Usage
from fastgate.budgets.leases.grace import grace_of
from fastgate.budgets.leases.slips import Slip, Span
from fastgate.budgets.leases.store import QUIET_MS, LeaseStore, StoreAway
from fastgate.wire.snapshot import BudgetRecord, Counted, LimitRecord, Window
from tests.support.lease_hosts import MILLI, NANO, Entry, Host, Place, World

QUANTUM: Final = 1024
FOR_GOOD: Final = BudgetRecord(1000 * QUANTUM, Window.LIFETIME, 1, "team", "team:t", "team:t/lifetime/b")
MINUTES: Final = BudgetRecord(400 * QUANTUM, Window.MINUTE, 1, "key", "key:k", "key:k/minute/b")
REQUESTS: Final = LimitRecord(40, Counted.REQUESTS, Window.SECOND, 20, "key", "key:k", "key:k/limit/requests/20-second")
HOSTS: Final = 3


class Cluster(RuleBasedStateMachine):
    client: ClassVar["Redis[bytes]"]
    records: ClassVar[Sequence[BudgetRecord | LimitRecord]] = (REQUESTS, MINUTES, FOR_GOOD)

    @initialize(skews=st.lists(st.integers(-2000, 2000), min_size=HOSTS, max_size=HOSTS))
    def start(self, skews: list[int]) -> None:
        self.world = World(self.client)
        self.hosts = [
            Host(self.world, f"h{number}", self.records, skew_ns=skew * MILLI) for number, skew in enumerate(skews)
        ]
        self.entries: list[Entry] = []
        self.paper: dict[Place, int] = {}
        self.kept: dict[bytes, bytes] = {}
        self.some_are_gone = self.some_lost_power = self.store_was_replaced = False
        for _ in range(2):  # the store has learned all there is, so that what comes is not waited for
            for host in self.hosts:
                host.turn()
            self.world.now_ns += QUIET_MS * MILLI

    def _book(self, places: list[Place], amount: int) -> None:
        for record, window in places:
            taken = self.paper.get((record, window), 0) + (amount if record else 0)
            self.paper[record, window] = taken

    def _enter(self, host: Host, amount: int) -> bool:
        taken = host.ask(amount)
        if not isinstance(taken, Hold):
            return False
        places = [(number, taken.window(number)) for number in range(len(self.records))]
        self._book(places, amount)
        self.paper[places[0]] += 1
        self.entries.append(Entry(host, taken, places, amount))
        return True

    # ---- what hosts do

    @rule(number=st.integers(0, HOSTS - 1), amount=st.integers(1, 60_000))
    def request(self, number: int, amount: int) -> None:
        if not self.hosts[number].gone:
            self._enter(self.hosts[number], amount)

    @rule(number=st.integers(0, HOSTS - 1), amount=st.integers(1, 3_000), times=st.integers(2, 12))
    def burst(self, number: int, amount: int, times: int) -> None:
        for _ in range(0 if self.hosts[number].gone else times):
            self._enter(self.hosts[number], amount)

    @precondition(lambda self: self.entries)
    @rule(which=st.integers(0, 1 << 16), share=st.integers(0, 100))
    def settle(self, which: int, share: int) -> None:
        entry = self.entries.pop(which % len(self.entries))
        actual = entry.amount * share // 100
        entry.handle.settle(actual, Usage(), SETTLED_EXACT, OUTCOME_OK, 200)
        self._book(entry.places, actual - entry.amount)
        for place in entry.places:
            entry.host.settled[place] = entry.host.settled.get(place, 0) + actual

    @precondition(lambda self: self.entries)
    @rule(which=st.integers(0, 1 << 16))
    def void(self, which: int) -> None:
        entry = self.entries.pop(which % len(self.entries))
        entry.handle.void()
        self._book(entry.places, -entry.amount)
        self.paper[entry.places[0]] -= 1

    @precondition(lambda self: self.entries)
    @rule(which=st.integers(0, 1 << 16), amount=st.integers(1, 20_000))
    def grow(self, which: int, amount: int) -> None:
        entry = self.entries[which % len(self.entries)]
        if entry.handle.grow(amount, 0) is None:
            self._book(entry.places, amount)
            entry.amount += amount

    @rule(number=st.integers(0, HOSTS - 1))
    def turn(self, number: int) -> None:
        if not self.hosts[number].gone:
            self.hosts[number].turn()

    @rule(number=st.integers(0, HOSTS - 1))
    def restart_control(self, number: int) -> None:
        if not self.hosts[number].gone:
            self.hosts[number].restart()

    @precondition(lambda self: sum(host.gone for host in self.hosts) < HOSTS - 1)
    @rule(number=st.integers(0, HOSTS - 1), says_so=st.booleans())
    def depart(self, number: int, says_so: bool) -> None:
        host = self.hosts[number]
        if host.gone or any(entry.host is host for entry in self.entries):
            return
        host.gone = self.some_are_gone = True
        if says_so:
            with suppress(StoreAway):
                host.holder.leave()

    # ---- what befalls them

    @precondition(lambda self: not self.store_was_replaced)
    @rule(number=st.integers(0, HOSTS - 1), share=st.integers(0, 100))
    def lose_power(self, number: int, share: int) -> None:
        """Its open requests are billed, and no ledger ever says so."""
        host = self.hosts[number]
        if not host.gone:
            self.some_lost_power = True
            self.entries = [entry for entry in self.entries if entry.host is not host]
            host.lose_power(share)

    @rule(passed=st.one_of(st.integers(1, 200), st.integers(200, 5_000), st.integers(5_000, 70_000)))
    def pass_time(self, passed: int) -> None:
        self.world.now_ns += passed * MILLI

    @rule(number=st.integers(0, HOSTS - 1), fault=st.sampled_from(["", "", "lost", "unheard", "late", "twice", "echo"]))
    def disturb(self, number: int, fault: str) -> None:
        self.hosts[number].wire.fault = fault

    @precondition(lambda self: self.world.late)
    @rule(which=st.integers(0, 1 << 16), times=st.integers(1, 2))
    def arrive_late(self, which: int, times: int) -> None:
        wire, script, keys, arguments = self.world.late.pop(which % len(self.world.late))
        for _ in range(times):
            with suppress(StoreAway):  # spoilt meanwhile
                LeaseStore._call(wire, script, keys, *arguments)

    # ---- what befalls the store

    def _keys(self) -> list[bytes]:
        return list(self.client.scan_iter(match=f"fastgate:{{{self.world.cluster}}}:*", count=1000))

    @rule()
    def copy_store(self) -> None:
        self.kept = {key: self.client.dump(key) or b"" for key in self._keys()}

    @precondition(lambda self: not (self.some_are_gone or self.some_lost_power))
    @rule()
    def start_store_empty(self) -> None:
        self._replace_store({})

    @precondition(lambda self: not (self.some_are_gone or self.some_lost_power) and self.kept)
    @rule()
    def fail_over(self) -> None:
        """Another server takes over, which had not heard of the last writes."""
        self._replace_store(self.kept)

    @rule(name=st.sampled_from(["meta", "live", "known", "reported", "ends", "firsts"]))
    def spoil_store(self, name: str) -> None:
        """Somebody writes over what it keeps beside the windows."""
        self.client.set(f"fastgate:{{{self.world.cluster}}}:lease:{name}", "garbage")
        self.world.now_ns += MILLI

    def _replace_store(self, kept: dict[bytes, bytes]) -> None:
        self.store_was_replaced = True
        gone = self._keys()
        if gone:
            self.client.delete(*gone)
        for key, value in kept.items():
            self.client.restore(key, 0, value)
        self.world.run = uuid.uuid4().hex
        self.world.late.clear()  # what was on its way to a server went with it

    # ---- what must hold

    @invariant()
    def no_more_than_the_limit(self) -> None:
        for (number, window), taken in getattr(self, "paper", {}).items():
            assert taken <= self._most(number), (self.records[number].id, window, taken)

    @invariant()
    def no_more_may_be_used(self) -> None:
        hosts = getattr(self, "hosts", [])
        for number, record in enumerate(self.records):
            windows = {window for host in hosts for window in self._granted(host, number)}
            for window in windows:
                total = sum(self._granted(host, number).get(window, 0) for host in hosts)
                assert total <= self._most(number), (record.id, window, [self._granted(host, number) for host in hosts])

    def _most(self, number: int) -> int:
        """What may be used of a window: on each host its grace beyond the limit, whatever happens."""
        record = self.records[number]
        return record.limit + (HOSTS * record.grace if isinstance(record, BudgetRecord) else 0)

    @invariant()
    def all_cut_time_alike(self) -> None:
        """Hosts that counted a limit's windows from first uses of their own would have it once each.

        With a grace they may, as long as nobody can be asked.
        """
        for number, record in enumerate(self.records):
            if grace_of(record):
                continue
            hosts = [host for host in getattr(self, "hosts", []) if any(self._granted(host, number).values())]
            firsts = {host.arena.anchor(host.levels.rules[number].cell) for host in hosts}
            assert len(firsts) <= 1, (record.id, firsts)

    def _granted(self, host: Host, number: int) -> dict[int, int]:
        cell = host.levels.rules[number].cell
        return {window: amount for at, window, amount in leases.grants(host.arena) if at == cell}

    def teardown(self) -> None:
        if not hasattr(self, "hosts"):
            return
        for entry in self.entries:
            entry.handle.settle(0, Usage(), SETTLED_EXACT, OUTCOME_OK, 200)
            self._book(entry.places, -entry.amount)
        self.entries.clear()
        if not (self.some_are_gone or self.some_lost_power):
            self._heal()
        for host in self.hosts:
            host.folder.cleanup()

    def _heal(self) -> None:
        """All is well: each host gives back what it does not use, and one of them can use all that is left."""
        for host in self.hosts:
            host.wire.fault = ""
        self._go_on(80)
        for left in iter(self._left, 0):
            self.world.now_ns += 60 * NANO  # windows turn
            if not self._enter(self.hosts[0], left):  # others hear that it is lacking what they keep
                self._go_on(30)
                assert self._enter(self.hosts[0], left), (
                    left,
                    self.paper,
                    [list(map(shown, h.holder.slips)) for h in self.hosts],
                )
            entry = self.entries.pop()
            entry.handle.settle(entry.amount, Usage(), SETTLED_EXACT, OUTCOME_OK, 200)
        self.no_more_than_the_limit()

    def _go_on(self, turns: int) -> None:
        for _ in range(turns):
            self.world.now_ns += 100 * MILLI
            for host in self.hosts:
                host.turn()

    def _left(self) -> int:
        """Of what never ends; no more than a minute has, and 0 where it is only what rounding keeps."""
        window, _, _, _ = self.hosts[0].levels.windows(2, self.hosts[0].now())
        left = FOR_GOOD.limit - self.paper.get((2, window), 0) - HOSTS * QUANTUM
        return min(max(0, left), MINUTES.limit)


def shown(slip: Slip) -> tuple[Span, int, int]:
    return slip.span, slip.at_hand, slip.told.seen
