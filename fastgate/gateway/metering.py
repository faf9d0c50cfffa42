"""Paying for a stream while it flows: its hold grows with its output, and where it cannot, the stream has to end.

The scanner watches for the one number at which the next instalment is due; between two of them a chunk costs nothing
more. Where a budget has no room the stream lives on what it is held for. When that runs out too, and others' holds are
in the way, the provider is paused for a while: they may settle for less. Where what is spent leaves nothing, it ends.
"""

from time import monotonic
from typing import Final

from fastgate._core.budget import CONTENDED, Hold
from fastgate._core.events import EventScanner
from fastgate._core.levels import USD
from fastgate.budgets.instalments import LEAST, NEVER
from fastgate.budgets.levels import rewritten
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.wire.failure import FailureCode
from fastgate.wire.request import ChatRequest

GO_ON: Final = 0.0
SPENT: Final = -1.0

LONGEST_WAIT: Final = 2.0
"""Seconds for which a stream waits that others' holds are in the way of."""
_SHORTEST_WAIT: Final = 0.1
_FIRST_NAP: Final = 0.004
_LONGEST_NAP: Final = 0.05
_PACE_OVER: Final = 0.05
"""Seconds at least over which a stream's pace is taken."""
_UNHEARD_SECONDS: Final = 0.5
"""What passes at most, on a busy host, between a provider's writing and its hearing of the end."""
_SHARE: Final = 64
"""What one instalment may take of what is left, that others find something too: the fraction's denominator."""
_TRY_AGAIN: Final = LEAST // 2
"""Tokens of output after which a refused instalment is asked for again."""


class Purse:
    """What one stream is held for. The relay asks it for more whenever its scanner says that more is ``due``."""

    __slots__ = (
        "_call", "_grant", "_held", "_leg", "_levels", "_nap", "_pace", "_patience", "_plan", "_refused", "_request",
        "_scanner", "_seen_at", "_seen_used", "_waiting_since",
    )  # fmt: skip

    def __init__(self, call: Call, leg: Leg, held: Hold, request: ChatRequest, scanner: EventScanner) -> None:
        plan = call.instalments
        assert plan is not None
        self._call, self._leg, self._held, self._request = call, leg, held, request
        self._scanner, self._plan, self._refused = scanner, plan, 0
        self._grant, self._levels = call.grant, leg.binding.levels
        self._seen_at, self._seen_used, self._pace = monotonic(), 0, 0.0
        self._waiting_since, self._patience, self._nap = 0.0, 0.0, 0.0
        scanner.watch(*plan.due(held.output_tokens, plan.low))

    def top_up(self) -> float:
        """``GO_ON``; seconds to pause the provider for and ask again; or ``SPENT``."""
        scanner, plan, held = self._scanner, self._plan, self._held
        if self._call.dialect.is_over(scanner, self._request):
            scanner.watch(NEVER, NEVER)
            return GO_ON
        used = plan.used(scanner.output_bytes, scanner.reported)
        self._note_pace(used)
        self._follow()
        reserve = self._reserve(used)
        refused = self._grow(used, reserve)
        ahead = held.output_tokens - used
        if refused is not None and refused != CONTENDED:
            self._tell(refused)
        if refused is None or ahead > reserve:
            self._waiting_since = 0.0
            scanner.watch(*plan.due(held.output_tokens, min(max(plan.low, reserve), ahead - _TRY_AGAIN)))
            return GO_ON
        if refused != CONTENDED:
            self._refused = refused
            if self._never_fits(refused):
                return SPENT
        return self._wait(ahead)

    @property
    def code(self) -> FailureCode:
        """Why it had to end."""
        money = self._levels.rules[self._refused].unit == USD
        return FailureCode.BUDGET_EXCEEDED if money else FailureCode.RATE_LIMITED

    def _follow(self) -> None:
        """What was written meanwhile of the budgets and limits that it is held for binds from here on."""
        grant = self._call.grant_by_now()
        if grant is None or grant is self._grant:
            return
        self._grant = grant
        self._levels = rewritten(self._levels, [grant.written(each.id) for each in self._leg.binding.records])
        self._held.bind(self._levels)

    def _reserve(self, used: int) -> int:
        """What has to be ahead for the stream to flow on: what the provider may write until it hears of its end.

        By its pace; less by how far the bound of what was used may lie above the truth: no event is less than a token.
        """
        surplus = used - self._plan.hidden - self._scanner.events
        return min(self._plan.most_reserve, LEAST + max(0, int(self._pace * _UNHEARD_SECONDS) - surplus))

    def _instalment(self, used: int, reserve: int) -> int:
        """Tokens to hold more: to a slice ahead, but a share of what is left, near the limit not before it must be."""
        held = self._held.output_tokens
        wanted, left = self._plan.wanted(used, held), self._levels.left(self._call.passed_ns)
        if wanted <= LEAST or left is None:
            return wanted
        share, cost = max(0, left) // _SHARE, self._price_of(wanted)
        fair = wanted if cost <= share else wanted * share // cost
        needed = used + reserve + LEAST - held
        return min(wanted, max(fair if fair >= LEAST else 0, needed if needed >= LEAST else 0))

    def _grow(self, used: int, reserve: int) -> int | None:
        """As ``Hold.grow``, until the reserve is ahead; with half as much and half of that before it is refused."""
        held, tokens = self._held, self._instalment(used, reserve)
        while tokens:
            refused = held.grow(self._price_of(tokens), tokens)
            if refused is None:
                tokens = self._instalment(used, reserve) if held.output_tokens - used <= reserve else 0
            elif tokens > LEAST:
                tokens = max(LEAST, tokens // 2)
            else:
                return refused
        return None

    def _price_of(self, tokens: int) -> int:
        """nano-USD that so much more output may cost."""
        call, held = self._call, self._held
        amount = self._leg.terms.amount(call.bound, held.output_tokens + tokens, self._request, call.tier, call.now_ns)
        return max(0, amount - held.amount)

    def _tell(self, level: int) -> None:
        """Where hosts share the level that is full, this one may get more of it."""
        wants, rule = self._call.worker.wants, self._levels.rules[level]
        if wants is not None and rule.shared:
            missing = self._price_of(self._plan.low) if rule.unit == USD else self._plan.low
            wants.tell(rule.cell, self._held.window(level), missing, self._leg.binding.records[level])

    def _never_fits(self, level: int) -> bool:
        """Whether a level would have no room for the smallest instalment even when all others gave back their holds."""
        money = self._levels.rules[level].unit == USD
        return self._held.spare(level) < (self._price_of(LEAST) if money else LEAST)

    def _note_pace(self, used: int) -> None:
        now = monotonic()
        if now - self._seen_at >= _PACE_OVER:
            self._pace = (used - self._seen_used) / (now - self._seen_at)
            self._seen_at, self._seen_used = now, used

    def _wait(self, ahead: int) -> float:
        """Others may settle soon. Not longer than what is ahead lasts at the stream's pace: the provider writes on."""
        now = monotonic()
        if not self._waiting_since:
            self._waiting_since, self._nap = now, _FIRST_NAP
            lasts = ahead / self._pace if self._pace > 0 else LONGEST_WAIT
            self._patience = min(LONGEST_WAIT, max(_SHORTEST_WAIT, lasts))
        if now - self._waiting_since >= self._patience:
            return SPENT
        self._nap = min(_LONGEST_NAP, self._nap * 1.5)
        return self._nap
