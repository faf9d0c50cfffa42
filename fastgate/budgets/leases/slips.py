"""One window of one limit as this host leases it."""

from typing import Final, NamedTuple

from fastgate._core.arena import Arena
from fastgate._core.leases import granted, take_back, used
from fastgate._core.levels import Levels
from fastgate._core.owner import Owner
from fastgate.budgets.leases.messages import NOTHING_ELSEWHERE, NOTHING_TOLD, Ask, Elsewhere, Grant, Told
from fastgate.budgets.leases.sizing import HORIZON_NS, IDLE_NS, RISE_NS, Pace, next_look, surplus, wanted

_REPORT_NS: Final = 1_000_000_000
"""What changed is told within so long, where nothing is asked for anyhow; and what is at hand may be recalled."""
_ASK_AGAIN_NS: Final = 10_000_000_000
"""What others do is asked for so often where nothing changes here."""
DRY_NS: Final = 200_000_000
"""For so long nobody waits for more where there was none, and none is asked for unless a request lacks it."""
_LINGERS_NS: Final = 600_000_000_000
"""For so long after a window's end requests may be open that count in it."""
_IDLES_NS: Final = 60_000_000_000
_NOTHING: Final = (0, 0)
_Now = tuple[int, int, int]
"""What may be used, what is, and what of that is settled."""


class Lease:
    """What is the same for all windows of a limit: its counter, and what is written of it."""

    __slots__ = ("cell", "grace", "id", "known", "levels", "slips", "soft", "unit")

    def __init__(self, id_: str, cell: int, unit: int) -> None:
        self.id, self.cell, self.unit = id_, cell, unit
        self.levels: Levels | None = None
        """Of this limit alone, as it is written, not as it is shared. None: nobody has said yet."""
        self.grace = 0
        """What may be used beyond the slice of each window while the store grants nothing."""
        self.soft = False
        """Whether it is counted and told, and never in the way: nothing is leased of it."""
        self.slips = 0
        """How many of its windows are leased."""
        self.known = False
        """Whether ``levels`` is what is written by now: otherwise nothing is asked for until somebody says."""

    def first_ns(self, arena: Arena) -> int:
        """From when its windows are counted; 0: a calendar cuts them."""
        if self.levels is not None and self.levels.rules[0].period.calendar is not None:
            return 0
        return arena.anchor(self.cell)

    def limit(self, now_ns: int) -> int:
        """With its increases; 0: nobody has said."""
        return 0 if self.levels is None else self.levels.standing(0, now_ns)[0]


class Span(NamedTuple):
    """A window: its number, when it begins (0: nobody knows), and when it ends (0: never)."""

    number: int
    begins_ns: int
    ends_ns: int


class Slip:
    """One window of ``lease``.

    What it was granted lies in the arena, so that nothing is forgotten with this process.
    """

    __slots__ = (
        "_high",
        "_high_before",
        "_high_since_ns",
        "_lacked",
        "_lacked_at_ns",
        "_limit",
        "_told",
        "_told_at_ns",
        "_waited_for",
        "at_hand",
        "dry",
        "elsewhere",
        "lease",
        "look_at_ns",
        "missing",
        "pace",
        "recalled",
        "span",
        "told",
    )

    def __init__(self, arena: Arena, lease: Lease, span: Span, now_ns: int) -> None:
        self.lease, self.span = lease, span
        now_used, _ = used(arena, lease.cell, span.number) or _NOTHING
        self.pace = Pace(now_ns, now_used)
        self.missing = self._waited_for = 0
        """What a request waits for, and all that do since the last look."""
        self.dry = False
        """Whether there was no more when it was asked for last."""
        self.told: Told = NOTHING_TOLD
        """What the store said of it last."""
        self.elsewhere: Elsewhere = NOTHING_ELSEWHERE
        self.at_hand = 0
        """What was granted and neither spent nor held, at the last look."""
        self.recalled = False
        self.look_at_ns = now_ns
        self._lacked = self._lacked_at_ns = 0
        self._limit = 0
        self._high = self._high_before = now_used
        self._high_since_ns = now_ns
        self._told: _Now | None = None
        self._told_at_ns = 0

    def lack(self, missing: int, now_ns: int) -> None:
        """A request waits for so much."""
        self.missing = max(self.missing, missing)
        self._waited_for += missing
        self._lacked = max(self.missing, self._lacked if now_ns - self._lacked_at_ns <= IDLE_NS else 0)
        self._lacked_at_ns = self.look_at_ns = now_ns

    def wait_no_more(self) -> None:
        """All who waited were refused."""
        self.missing = self._waited_for = 0

    def look(self, owner: Owner, now_ns: int, *, crowded: bool = False) -> Ask | None:
        """Gives back what is not needed; returns what there is to tell and ask, None: nothing.

        Of what is idle a few requests' worth is kept, unless others lack it, or there are too many such (``crowded``).
        """
        cell = self.lease.cell
        taken, spent = used(owner.arena, cell, self.span.number) or _NOTHING
        self.pace.note(now_ns, taken)
        self._note_high(now_ns, taken)
        target = self._target(now_ns, crowded=crowded)
        may = granted(owner.arena, cell, self.span.number)
        spare = max(0, may - taken) if self._has_fallen(now_ns) else self._spare(may, taken, target)
        if spare > 0 and not self._is_past(now_ns):  # of a window that is past nobody has a use for it
            may = take_back(owner, cell, self.span.number, may - spare)
        self.at_hand = max(0, may - taken)
        want = self._want(may - taken, target)
        self.look_at_ns = now_ns + next_look(may - taken, target)
        if not (want or self._is_due((may, taken, spent), now_ns)):
            return None
        need = max(0, self.missing - max(0, may - taken)) if want else 0
        return self._tell(owner.arena, (may, taken, spent), now_ns, want=want, need=need)

    def give_up(self, owner: Owner, now_ns: int) -> Ask:
        """Gives back all that is not used; returns what there is to tell."""
        may = take_back(owner, self.lease.cell, self.span.number, 0)
        taken, spent = used(owner.arena, self.lease.cell, self.span.number) or _NOTHING
        return self._tell(owner.arena, (may, taken, spent), now_ns)

    def hear(self, grant: Grant, ask: Ask, now_ns: int) -> None:
        """What came of what was asked. Requests that wait and got nothing are refused, or say again that they wait."""
        self.told, self.elsewhere, self.recalled = grant.told, grant.elsewhere, grant.recalled
        self.missing = 0
        if ask.want:
            self.dry = grant.claim <= ask.claim
            if grant.claim < ask.claim + ask.want:
                self.look_at_ns = max(self.look_at_ns, now_ns + DRY_NS)

    def untold(self) -> None:
        """Nobody knows whether the store heard of it: it is told again."""
        self._told = None

    def is_over(self, arena: Arena, now_ns: int) -> bool:
        """Whether there will be nothing to tell of it any more."""
        if not self._is_past(now_ns):
            return False
        return used(arena, self.lease.cell, self.span.number) is None or now_ns > self.span.ends_ns + _LINGERS_NS

    def is_idle(self, now_ns: int) -> bool:
        """Whether nothing has happened in it for long, and nothing is at hand."""
        return not self.at_hand and not self.missing and now_ns - self.pace.used_at_ns > _IDLES_NS

    def _is_past(self, now_ns: int) -> bool:
        return 0 < self.span.ends_ns <= now_ns

    def _has_fallen(self, now_ns: int) -> bool:
        """Whether the limit is less than at the last look: all hosts give back what was granted of the higher one."""
        before, self._limit = self._limit, self.lease.limit(now_ns)
        return self.lease.known and self._limit < before

    def _target(self, now_ns: int, *, crowded: bool) -> int:
        """What should be at hand."""
        if self.lease.soft:
            return 0
        if self._is_past(now_ns):
            return self.missing
        since = now_ns - self._lacked_at_ns
        lacked = 0 if crowded or (self.recalled and since > IDLE_NS) else self._lacked
        return self.pace.target(now_ns, lacked, rises=since <= RISE_NS)

    def _spare(self, may: int, taken: int, target: int) -> int:
        """What to give back: too little for a request where there is no more may do, with what others have of that."""
        if self.dry and self.missing > may - taken:
            return may - taken
        return surplus(may - max(taken, self._high, self._high_before), target, recalled=self.recalled)

    def _want(self, at_hand: int, target: int) -> int:
        """What to ask for."""
        if self.lease.soft:
            return 0
        waited_for, self._waited_for = self._waited_for, 0
        if self.missing <= at_hand:
            self.missing = 0  # it has come meanwhile
        return max(wanted(at_hand, target, self.missing), waited_for - at_hand, 0) if self.lease.known else 0

    def _tell(self, arena: Arena, now: _Now, now_ns: int, *, want: int = 0, need: int = 0) -> Ask:
        self._told, self._told_at_ns = now, now_ns
        lease, (may, taken, spent) = self.lease, now
        claim = max(may, taken)  # a settlement above its hold is in nobody's way, and is told
        return Ask(
            id=lease.id,
            unit=lease.unit,
            window=self.span.number,
            begins_ns=self.span.begins_ns,
            ends_ns=self.span.ends_ns,
            first_ns=lease.first_ns(arena),
            limit=lease.limit(now_ns),
            claim=claim,
            used=taken,
            spent=spent,
            want=want,
            need=need,
            told=self.told,
        )

    def _is_due(self, now: _Now, now_ns: int) -> bool:
        """Whether something is to be told: at once what was given back, the rest before long."""
        if self._told is None:
            return True
        silent = now_ns - self._told_at_ns
        quiet = now == self._told and not self.at_hand  # else others may lack it
        return now[0] < self._told[0] or silent >= (_ASK_AGAIN_NS if quiet else _REPORT_NS)

    def _note_high(self, now_ns: int, taken: int) -> None:
        """The most that was used of late: what holds give back they may soon take again."""
        if now_ns - self._high_since_ns >= HORIZON_NS:
            self._high_before, self._high, self._high_since_ns = self._high, taken, now_ns
        self._high = max(self._high, taken)
