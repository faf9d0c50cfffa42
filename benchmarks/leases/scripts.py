"""What the store decides: the Lua scripts of ``fastgate/budgets/leases`` once more, in Python.

A test has both decide the same and compares their answers. Not modelled is that windows are forgotten an hour after
their end, and hosts after a day: no simulation lasts so long.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

HUNGER_MS: Final = 1000
SKEW_MS: Final = 5000
ITEM: Final = 13
MARKS: Final = 1 << 48
OTHERS: Final = 8

Who = tuple[str, int, str]
"""A host, its incarnation, and the epoch that it speaks of."""
_Said = tuple[int, int, int, int, str]
"""What a host said last of a window: its claim, what it used and spent of it, its mark, in which epoch."""


@dataclass(slots=True)
class Member:
    """What is remembered of a host."""

    nonce: str
    incarnation: int = 0
    sequence: int = 0


@dataclass(slots=True)
class Back:
    """Who told of a window in an epoch: those who had been told of it before, and some others."""

    epoch: str = ""
    sure: int = 0
    others: list[int] = field(default_factory=list)

    def add(self, me: int, *, was_told: bool) -> None:
        if was_told:
            self.sure = (self.sure + me) % MARKS
        elif len(self.others) < OTHERS:
            self.others.append(me)

    def may_be(self, wanted: int) -> bool:
        """Whether that stands for those who had been told, with some of the others."""
        sums = {self.sure}
        for other in self.others:
            sums |= {(each + other) % MARKS for each in sums}
        return wanted in sums


@dataclass(slots=True)
class Row:
    """What is remembered of a window; see ``exchange.lua``."""

    claimed: int = 0
    used: int = 0
    lost: int = 0
    version: int = 0
    seen: tuple[int, int] | None = None
    holders: int = 0
    back: Back = field(default_factory=Back)
    hungry: int = 0
    spent: int = 0
    hosts: dict[str, _Said] = field(default_factory=dict)


class _Deleted(Exception):
    """Of what was told of a window nothing is here."""


class Scripts:
    """One server's memory. Each method is a script; ``now`` in milliseconds never goes back."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._epoch = ""
        self.learning: int | None = None
        """Since when it waits for hosts to say what they have."""
        self._quiet_until = 0
        self._members: dict[str, Member] = {}
        self._live: dict[str, int] = {}
        """When each was heard of, the longest ago first."""
        self._lapsed: dict[str, int] = {}
        self.known: set[str] = set()
        self.reported: set[str] = set()
        self.rows: dict[str, Row] = {}
        self._firsts: dict[str, int] = {}
        self._peers: tuple[str, ...] | None = None

    def join(self, host: str, nonce: str, now: int, lapse: int, quiet: int, *peers: str) -> Sequence[Any]:
        member = self._members.get(host)
        seen = self._live.get(host, self._lapsed.get(host, 0))
        if member is not None and member.nonce != nonce and seen + lapse > now:
            return (b"taken",)
        if not self._epoch:
            self._epoch = f"{self._run}:{now}"
            self.known, self.reported = set(self.live()), set()
            self.learning, self._quiet_until = now, now + quiet
        if self.learning is not None:
            self.known.add(host)
            self.known.update(peers)
        incarnation = 1 if member is None else member.incarnation + 1
        self._members[host] = Member(nonce, incarnation)
        self._hear(host, now)
        return b"joined", self._epoch.encode(), incarnation

    def reports(self, host: str, incarnation: int, epoch: str) -> int:
        if not self._knows(host, incarnation, epoch):
            return 0
        self.known.add(host)
        self.reported.add(host)
        return 1

    def first(self, who: Who, id_: str, proposed: int, now: int) -> Sequence[Any]:
        if not self._knows(*who):
            return (b"join",)
        if self.learning is None:
            self._firsts.setdefault(id_, now * 1_000_000 if proposed / 1e6 > now else proposed)
        return b"first", self._firsts.get(id_)

    def exchange(
        self, who: Who, sequence: int, now: int, lapse: int, *, windows: Sequence[str], told: Sequence[Any]
    ) -> Sequence[Any]:
        host, incarnation, epoch = who
        if not self._knows(host, incarnation, epoch):
            return (b"join",)
        member = self._members[host]
        if sequence <= member.sequence:
            return (b"late",)
        member.sequence = sequence
        self._hear(host, now)
        self._lapse(now - lapse)
        if self.learning is not None and now >= self._quiet_until and self.known <= self.reported:
            self.learning = None
        try:
            answers = list(self._answers(windows, host, now, told))
        except _Deleted:
            self._epoch = ""
            return (b"join",)
        return b"done", int(self.learning is not None), len(self._live), *answers

    def live(self) -> tuple[str, ...]:
        """All that are heard of, in order: the same object as before, where they are the same."""
        if self._peers is None:
            self._peers = tuple(sorted((*self._lapsed, *self._live)))
        return self._peers

    def leave(self, host: str) -> None:
        self._live.pop(host, None)
        self._lapsed.pop(host, None)
        self._peers = None

    def _knows(self, host: str, incarnation: int, epoch: str) -> bool:
        member = self._members.get(host)
        return epoch == self._epoch and member is not None and member.incarnation == incarnation

    def _hear(self, host: str, now: int) -> None:
        if self._live.pop(host, None) is None and self._lapsed.pop(host, None) is None:
            self._peers = None
        self._live[host] = now

    def _lapse(self, before: int) -> None:
        """Those that were heard of by then, and not since, do not live."""
        while (host := next(iter(self._live))) and self._live[host] <= before:
            self._lapsed[host] = self._live.pop(host)

    def _answers(self, windows: Iterable[str], host: str, now: int, told: Sequence[Any]) -> Iterator[Sequence[int]]:
        for number, key in enumerate(windows):
            item = told[number * ITEM : number * ITEM + ITEM]
            if item[12]:
                self._firsts.setdefault(item[11], item[12])
            row = self.rows.get(key)
            if row is None:
                row = self.rows[key] = Row()
            yield self._window(row, host, now, item)

    def _window(self, row: Row, host: str, now: int, item: Sequence[int]) -> Sequence[int]:
        limit, claim, used, spent, want, need, version, seen, holders, begins = item[:10]
        me = mark(host, self._members[host].nonce)
        if version > row.version and self.learning is None:
            raise _Deleted
        if host not in row.hosts:
            row.holders = (row.holders + me) % MARKS
        had, had_used, had_spent, had_mark, had_epoch = row.hosts.get(host, (0, 0, 0, me, ""))
        row.claimed += claim - had
        row.used += used - had_used
        row.spent += spent - had_spent
        if had_epoch != self._epoch:
            row.lost = max(0, row.lost - max(0, claim - had))
            if row.back.epoch != self._epoch:
                row.back = Back(self._epoch)
            row.back.add(me, was_told=version > 0)
        if had_mark != me:
            row.lost += max(0, had - claim)
        if self.learning is not None and version > row.version:
            row.version, row.seen = version, (seen, holders)
        elif row.seen is not None and self.learning is None:
            if not row.back.may_be(row.seen[1]):
                row.lost = max(row.lost, row.seen[0] - row.claimed)
            row.seen = None
        if want > 0 and (self.learning is None or begins > self.learning + SKEW_MS):
            give = self._given(limit - row.claimed - row.lost, want, need)
            claim, row.claimed = claim + give, row.claimed + give
            row.hungry = row.hungry if give else now + HUNGER_MS
        if self.learning is None:
            row.version += 1
            version, seen, holders = row.version, row.claimed + row.lost, 0 if row.lost else row.holders
        row.hosts[host] = claim, used, spent, me, self._epoch
        recalled = row.hungry > now and want == 0
        return claim, version, seen, holders, row.used - used, row.spent, int(recalled), row.lost

    def _given(self, left: int, want: int, need: int) -> int:
        hosts = len(self._live)
        share = math.floor(left / (2 * (hosts - 1))) if hosts > 1 else left
        give = min(want, max(share, need), left)
        return 0 if give < need else max(0, give)


@cache
def mark(host: str, nonce: str) -> int:
    """What stands for it in a sum that stands for a set of hosts."""
    return int(hashlib.sha1(f"{host} {nonce}".encode(), usedforsecurity=False).hexdigest()[:12], 16)
