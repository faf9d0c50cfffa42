"""The thread that leases what workers use, and hears what they lack.

It alone speaks to Redis; workers find what it got in the arena. While it cannot, they go on with what they have.
"""

import logging
import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fastgate._core import leases
from fastgate._core.arena import Arena
from fastgate._core.levels import USD
from fastgate._core.owner import CONTROL, Owner
from fastgate.budgets.leases.holder import MOST_AT_ONCE, Holder
from fastgate.budgets.leases.messages import Elsewhere
from fastgate.budgets.leases.notes import Notes
from fastgate.budgets.leases.sizing import LONGEST_PAUSE_NS, pauses
from fastgate.budgets.leases.store import LAPSE_MS, SKEW_MS, LeaseStore, NameTaken, StoreAway
from fastgate.cache.unix_path import short
from fastgate.config.redis_finder import Finder
from fastgate.config.redis_urls import RedisGroup, RedisStore
from fastgate.control.host_name import HOST_FILE
from fastgate.wire.failure import shown
from fastgate.wire.leasing import LONGEST, StoreState, Want, want_of
from fastgate.wire.snapshot import BudgetRecord, LimitRecord

ANSWER_SECONDS: Final = 0.5
"""After so long Redis counts as away."""
FIRST_SECONDS: Final = 2.0
"""Workers are not let loose before Redis has been asked once: their first requests would wait in vain."""
LEAST_PAUSE_NS: Final = 50_000_000
"""Before it is asked again; the next ones are longer."""
_REFUSALS_SECONDS: Final = 10.0
"""After so long the other host of the name lives for certain. Then it keeps it, also while it is started anew."""
_FOR_GOOD: Final = 315_360_000.0
_NOT_ASKED: Final = "; until then Redis is not asked any more"
_CLOCKS_SECONDS: Final = 10.0
_AT_ONCE: Final = 1000
_WATCH_SECONDS: Final = 2.0
"""Sentinels are asked so often: well within what the store takes for the difference of clocks, see ``exchange.lua``."""
_BLIND_SECONDS: Final = 5.0
_LONGEST_WAIT: Final = 60.0
_LOOK_SECONDS: Final = 0.3
_MOST_LOOKS: Final = 16
_MOST_ERRORS: Final = 20
"""Different ones that are told before all is well again."""
_FOLLOWS_SECONDS: Final = 1.0
"""Within so long workers know what has changed."""

log = logging.getLogger("fastgate.control")


@dataclass(frozen=True)
class LeaseStatus:
    """How it stands. ``outstanding``: nano-USD that were granted to this host and are neither spent nor held.

    ``stranded``: nano-USD that hosts which are gone had leased, of windows that this host leases.
    """

    where: str
    """Redis, as messages call it."""
    host: str
    error: str
    """Why Redis cannot be asked; empty: it can."""
    name_taken: bool
    """Whether that is another host of its name."""
    learning: bool
    waits_for: tuple[str, ...]
    """Hosts that Redis waits for while it learns."""
    ahead_ms: int
    """By how much this host's clock is ahead of the store's."""
    hosts: int
    windows: int
    behind_seconds: float | None
    """Since the store has heard of this host last, and so others of what it spends; None: not since the start."""
    outstanding: int
    stranded: int
    failures: int
    warning: str
    """What somebody should look at though it leases; empty: nothing."""


@dataclass
class _Look:
    """Of somebody who waits so long until what he looks at is ``seen``."""

    left: list[BudgetRecord | LimitRecord]
    until: float
    seen: threading.Event


@dataclass(frozen=True)
class Place:
    """Where the store is, and among whom."""

    store: RedisStore
    ca_file: str | None
    cluster: str


class LeaseThread:
    """The thread, as long as the store stays the same. When this is made the store has been asked, or is away."""

    def __init__(
        self,
        arena: Arena,
        place: Place,
        host: str,
        notes: Notes,
        path: Path,
        *,
        find: Callable[[str], BudgetRecord | None],
    ) -> None:
        self.place, self.host, self._path = place, host, path
        self.failures = 0
        self._error = ""
        self._errors: set[str] = set()
        self._refused_since: float | None = None
        self._pause_ns = LEAST_PAUSE_NS
        self._without: Callable[[list[Want], int], None] | None = None
        self._ahead_ms, self._clocks_due = 0, 0.0
        self._warnings: Mapping[str, str] = {}
        self._arena, self._find = arena, find
        self._owner = Owner(arena, CONTROL, os.getpid())
        self._finder = Finder(place.store, place.ca_file, place.cluster, ANSWER_SECONDS)
        self._watching = Finder(place.store, place.ca_file, place.cluster, ANSWER_SECONDS, often=True)
        self._store = LeaseStore(lambda: self._finder.client(single=True), place.cluster)
        self._holder = Holder(self._owner, self._store, host, notes)
        self._doubts: list[float] = []
        self._soft: dict[str, BudgetRecord] = {}
        self._looks: deque[_Look] = deque()
        self._ending = threading.Event()
        self._asked = threading.Event()
        path.unlink(missing_ok=True)
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with short(path) as name:
            self._line.bind(name)
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self._thread.start()
        self._watch = threading.Thread(target=self._look_for_another, name="leases-watch", daemon=True)
        if isinstance(place.store, RedisGroup) and place.store.service:  # nodes of a cluster know by themselves
            self._watch.start()
        self._asked.wait(FIRST_SECONDS)

    def doubt(self) -> None:
        """Something else may be written of limits, which workers know before long."""
        now = time.monotonic()
        self._doubts = [now, now + _FOLLOWS_SECONDS]

    def count(self, records: Iterable[BudgetRecord]) -> None:
        """Soft budgets, for the next turn."""
        for record in records:
            self._soft[record.id] = record

    def look(self, records: Sequence[BudgetRecord | LimitRecord]) -> None:
        """Somebody looks at these: waits a moment until it is known what other hosts have of them. From any thread."""
        if self._without is not None or len(self._looks) >= _MOST_LOOKS:
            return  # what was heard before is known
        look = _Look(list(records), time.monotonic() + _LOOK_SECONDS, threading.Event())
        self._looks.append(look)
        self._wake()
        look.seen.wait(_LOOK_SECONDS)

    def _wake(self) -> None:
        """Where there is no room for one more datagram, it is awake."""
        with suppress(OSError), short(self._path) as name, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto(b"", name)

    def stop(self) -> None:
        """Gives back what is not used, where Redis answers."""
        self._ending.set()
        self._wake()
        self._thread.join()
        if self._watch.is_alive():
            self._watch.join()
        with suppress(StoreAway):
            self._holder.leave()
        leases.tell_store(self._arena, StoreState.GRANTS)
        self._store.close()
        self._line.close()
        self._path.unlink(missing_ok=True)
        self._owner.release()

    def elsewhere(self, id_: str) -> Elsewhere | None:
        """What other hosts have of a limit, as the store said last; None: it has not. From any thread."""
        return self._holder.elsewhere(id_)

    def status(self, failures: int) -> LeaseStatus:
        """As of the last turn."""
        slips, now_ns = list(self._holder.slips), time.time_ns()
        money = [slip for slip in slips if slip.lease.unit == USD]
        return LeaseStatus(
            where=self._finder.where,
            host=self.host,
            error=self._error,
            name_taken=self._refused_since is not None,
            learning=self._holder.learning,
            waits_for=tuple(self._holder.waits_for),
            ahead_ms=self._ahead_ms,
            hosts=self._holder.hosts,
            windows=len(slips),
            behind_seconds=_age(self._holder.heard_at_ns),
            outstanding=sum(slip.at_hand for slip in money),
            stranded=sum(slip.elsewhere.stranded for slip in money if not 0 < slip.span.ends_ns <= now_ns),
            failures=failures + self.failures,
            warning="; ".join(self._warnings.values()),
        )

    def _run(self) -> None:
        due = 0.0
        while not self._ending.is_set():
            wants = list(self._heard(due - time.monotonic()))
            if self._watching.epoch > self._finder.epoch:
                self._holder.part()
                due = 0.0
            if self._without is None or due <= time.monotonic():
                wait = self._turn(wants)
                due = time.monotonic() + (0.0 if self._looks and self._without is None else wait)
            leases.tell_store(self._arena, self._state())
            if self._without is not None:
                self._without(wants, time.time_ns() + int((due - time.monotonic() + ANSWER_SECONDS) * 1e9))
            self._asked.set()

    def _revise(self) -> None:
        """Where something else may be written of limits by now."""
        if self._doubts and self._doubts[0] <= time.monotonic():
            self._doubts = self._doubts[1:]
            self._holder.doubt(self._find)

    def _state(self) -> StoreState:
        """As of the last turn."""
        if self._refused_since is not None:
            return StoreState.REFUSES
        if self._without is not None:
            return StoreState.AWAY
        return StoreState.LEARNS if self._holder.learning else StoreState.GRANTS

    def _turn(self, wants: list[Want]) -> float:
        """Asks the store; returns in how many seconds it is due again. ``_without`` says what to do until then."""
        try:
            self._revise()
            self._holder.want(wants)
            self._holder.count(self._counted())
            wait = max(0.0, (self._holder.turn() - time.time_ns()) / 1e9)
            self._show()
            self._compare_clocks()
        except NameTaken:
            return self._refused()
        except StoreAway as error:
            self._said(f"Redis at {self._finder.where} cannot be asked: {shown(str(error))}")
            self._without, self._refused_since = self._holder.away, None
            wait_ns, self._pause_ns = pauses(self._holder.hosts, self._pause_ns, random.random())
            return wait_ns / 1e9
        except Exception as error:  # whatever it is, this host must not stop leasing for good, nor silently
            if self._said(f"{type(error).__name__}: {shown(str(error))}"):
                log.exception("leases")
            self._without, self._refused_since = self._holder.away, None
            return LONGEST_PAUSE_NS / 1e9
        self._said("")
        self._without, self._refused_since, self._pause_ns = None, None, LEAST_PAUSE_NS
        return wait

    def _show(self) -> None:
        """A part of what somebody looks at, so that no request waits long for it. Raises StoreAway."""
        while self._looks and self._looks[0].until <= time.monotonic():
            self._looks.popleft()
        if self._looks:
            look = self._looks[0]
            some, look.left = look.left[:MOST_AT_ONCE], look.left[MOST_AT_ONCE:]
            self._holder.show(some)
            if not look.left:
                self._looks.popleft()
                look.seen.set()

    def _refused(self) -> float:
        """Another host has its name. Nobody is asked any more where that one lives for certain."""
        now, lapse = time.monotonic(), LAPSE_MS / 1000
        self._refused_since = self._refused_since or now
        is_certain = now - self._refused_since > _REFUSALS_SECONDS
        if now - self._refused_since < lapse / 2:
            self._said(
                f"the name {self.host} was in use within {lapse:g} s by other counters: another host's, or this one's"
                " before they were lost. It asks again"
            )
        else:
            self._said(
                f"another host goes by the name {self.host}: was the state folder copied? Then delete the file"
                f" '{HOST_FILE}' in it, and start this host anew{_NOT_ASKED if is_certain else ''}"
            )
        self._holder.disown()
        self._without = self._holder.refuse
        return _FOR_GOOD if is_certain else LAPSE_MS / 1000

    def _counted(self) -> Iterator[BudgetRecord]:
        """The soft budgets that were spent from since the last turn; another thread may add some meanwhile."""
        for id_ in list(self._soft):
            yield self._soft.pop(id_)

    def _compare_clocks(self) -> None:
        """Now and then. Hosts' clocks say to which window a request belongs."""
        if time.monotonic() >= self._clocks_due:
            self._clocks_due = time.monotonic() + _CLOCKS_SECONDS
            self._ahead_ms = ahead_ms = self._holder.ahead_ms()
            told = f"this host's clock is {ahead_ms / 1000:+,.1f} s ahead of Redis', and so are its windows"
            self._warn("clock", told if abs(ahead_ms) > SKEW_MS else "")

    def _look_for_another(self) -> None:
        """Whether sentinels have put another server in the place of the one that has it, which may not know yet."""
        from redis.exceptions import RedisError

        seen_at = time.monotonic()
        while not self._ending.wait(_WATCH_SECONDS):
            try:
                self._watching.find()
            except (RedisError, OSError) as error:
                if time.monotonic() - seen_at >= _BLIND_SECONDS:
                    self._warn("sentinels", f"it would not be noticed if another Redis took over: {shown(str(error))}")
            else:
                seen_at = time.monotonic()
                self._warn("sentinels", "")
        self._watching.close()

    def _warn(self, of: str, told: str) -> None:
        """Told once, until it is over: empty."""
        if told and of not in self._warnings:
            log.warning("leases: %s", told)
        self._warnings = {**self._warnings, of: told} if told else {k: v for k, v in self._warnings.items() if k != of}

    def _heard(self, seconds: float) -> Iterator[Want]:
        """What workers said, after at most so long."""
        self._line.settimeout(min(max(seconds, 0.0005), _LONGEST_WAIT))
        for _ in range(_AT_ONCE):
            try:
                datagram = self._line.recv(LONGEST)
            except (TimeoutError, BlockingIOError):
                return
            self._line.setblocking(False)
            with suppress(ValueError, msgspec.MsgspecError):
                yield want_of(datagram)

    def _said(self, error: str) -> bool:
        """Each error is told once until all is well again, however long it lasts. Returns whether it was."""
        self.failures += bool(error)
        is_new = bool(error) and error not in self._errors and len(self._errors) < _MOST_ERRORS
        if is_new:
            self._errors.add(error)
            log.warning("leases: %s", error)
        elif self._error and not error:
            self._errors.clear()
            log.warning("leases: Redis at %s answers again", self._finder.where)
        self._error = error
        return is_new


def _age(at_ns: int) -> float | None:
    return max(0, time.time_ns() - at_ns) // 1_000_000 / 1000 if at_ns else None
