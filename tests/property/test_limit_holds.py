"""Limits and budgets on one hold, against a list on paper: all or nothing, in each one's unit, window by window."""

import os
import tempfile
from dataclasses import dataclass, field
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, SETTLED_NONE, SETTLED_UNSETTLED, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import Usage
from fastgate.budgets.levels import levels_of, rules_of
from fastgate.wire.snapshot import BudgetRecord, Counted, LimitRecord, Window

NANO: Final = 1_000_000_000
START: Final = 1_790_000_000 * NANO
SECONDS: Final = {Window.SECOND: 1, Window.MINUTE: 60, Window.HOUR: 3600, Window.DAY: 86_400}
WINDOWS: Final = st.tuples(st.sampled_from(sorted(SECONDS)), st.integers(1, 3))
COUNTS: Final = st.integers(0, 60)
Amounts = dict[str, int]


@dataclass
class Rule:
    """One limit or budget on paper; ``counted`` as in a hold's ``amounts``."""

    record: BudgetRecord | LimitRecord
    counted: str
    anchor: int = 0

    def window(self, at: int) -> int:
        if not self.anchor or self.record.window == Window.LIFETIME:
            return 0
        return (at - self.anchor) // (SECONDS[Window(self.record.window)] * self.record.every * NANO)


@dataclass(eq=False)
class Entry:
    """A request that passed: when, through what, and what it takes now."""

    at: int
    rules: list[Rule]
    amounts: Amounts
    handle: Hold | None = field(repr=False)


def limit_of(number: int, counted: Counted, limit: int, window: tuple[Window, int]) -> Rule:
    kind, every = (Window.LIFETIME, 1) if counted is Counted.CONCURRENT else window
    record = LimitRecord(limit, counted, kind, every, "key", "key:k", f"key:k/limit/{number}")
    return Rule(record, counted.name.lower())


def budget_of(number: int, limit: int, window: tuple[Window, int]) -> Rule:
    return Rule(BudgetRecord(limit, *window, "key", "key:k", f"key:k/day/{number}"), "usd")


def taken(usd: int, input_tokens: int, output_tokens: int, *, is_open: int) -> Amounts:
    tokens = {"input_tokens": input_tokens, "output_tokens": output_tokens, "tokens": input_tokens + output_tokens}
    return {"usd": usd, "requests": 1, "concurrent": is_open, **tokens}


class Limits(RuleBasedStateMachine):
    @initialize(
        limits=st.lists(st.tuples(st.sampled_from(Counted), st.integers(0, 150), WINDOWS), min_size=1, max_size=6),
        budgets=st.lists(st.tuples(st.integers(0, 150), WINDOWS), max_size=2),
    )
    def start(
        self,
        limits: list[tuple[Counted, int, tuple[Window, int]]],
        budgets: list[tuple[int, tuple[Window, int]]],
    ) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.arena = Arena(f"{self.folder.name}/arena.bin", create=True)
        self.owner = Owner(self.arena, WORKER, os.getpid())
        self.journal = Journal(self.folder.name, self.owner.slot)
        self.rules_ = [limit_of(number, *each) for number, each in enumerate(limits)]
        self.rules_ += [budget_of(number, *each) for number, each in enumerate(budgets)]
        self.levels = levels_of(self.arena, rules_of(self.arena, [each.record for each in self.rules_]))
        self.now = START
        self.entries: list[Entry] = []

    def used(self, one: Rule) -> int:
        window = one.window(self.now)
        return sum(
            entry.amounts[one.counted]
            for entry in self.entries
            if one in entry.rules and one.window(entry.at) == window
        )

    @rule(usd=COUNTS, input_tokens=COUNTS, output_tokens=COUNTS, data=st.data())
    def take(self, usd: int, input_tokens: int, output_tokens: int, data: st.DataObject) -> None:
        which = data.draw(st.sets(st.integers(0, len(self.rules_) - 1)).map(sorted))
        rules = [self.rules_[i] for i in which]
        amounts = taken(usd, input_tokens, output_tokens, is_open=1)
        short = [at for at, one in enumerate(rules) if self.used(one) + amounts[one.counted] > one.record.limit]
        tokens = {"input_tokens": input_tokens, "output_tokens": output_tokens}
        levels = levels_of(self.arena, rules_of(self.arena, [one.record for one in rules]))
        got = hold(self.owner, self.journal, levels, Draft(key="k"), usd, self.now, os.urandom(16), **tokens)
        if short:
            assert got == short[0]
            return
        assert isinstance(got, Hold)
        for one in rules:
            one.anchor = one.anchor or self.now
        self.entries.append(Entry(self.now, rules, amounts, got))

    def opened(self, data: st.DataObject) -> tuple[Entry, Hold]:
        entry = data.draw(st.sampled_from([entry for entry in self.entries if entry.handle is not None]))
        handle, entry.handle = entry.handle, None
        assert handle is not None
        return entry, handle

    @precondition(lambda self: any(entry.handle is not None for entry in self.entries))
    @rule(usd=COUNTS, fresh=COUNTS, cached=COUNTS, text=COUNTS, reasoning=COUNTS, data=st.data())
    def settle(self, usd: int, fresh: int, cached: int, text: int, reasoning: int, data: st.DataObject) -> None:
        entry, handle = self.opened(data)
        usage = Usage(input=fresh, cache_read=cached, output=text, reasoning=reasoning)
        assert handle.settle(usd, usage, SETTLED_EXACT, OUTCOME_OK, 200)
        assert not handle.void()
        entry.amounts = taken(usd, fresh + cached, text + reasoning, is_open=0)

    @precondition(lambda self: any(entry.handle is not None for entry in self.entries))
    @rule(known=st.booleans(), data=st.data())
    def end_without_usage(self, known: bool, data: st.DataObject) -> None:
        entry, handle = self.opened(data)
        if known:
            assert handle.settle(0, None, SETTLED_NONE, OUTCOME_OK, 500)
            entry.amounts = taken(0, 0, 0, is_open=0)
        else:
            assert handle.settle(entry.amounts["usd"], None, SETTLED_UNSETTLED, OUTCOME_OK, 502)
            entry.amounts = {**entry.amounts, "concurrent": 0}

    @precondition(lambda self: any(entry.handle is not None for entry in self.entries))
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        entry, handle = self.opened(data)
        assert handle.void()
        assert not handle.settle(1, None, SETTLED_EXACT, OUTCOME_OK, 200)
        self.entries.remove(entry)

    @rule(seconds=st.sampled_from([0.2, 0.999_999_999, 1, 7, 61, 3601, 90_000]))
    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * NANO)

    @invariant()
    def the_arena_says_what_the_paper_says(self) -> None:
        for level, one in enumerate(self.rules_):
            limit, used, resets_at_ns = self.levels.standing(level, self.now)
            assert (limit, used) == (one.record.limit, self.used(one)), one
            if one.anchor and one.record.window != Window.LIFETIME:
                length = SECONDS[Window(one.record.window)] * one.record.every * NANO
                assert resets_at_ns == one.anchor + (one.window(self.now) + 1) * length
            else:
                assert resets_at_ns == 0

    def teardown(self) -> None:
        self.entries.clear()
        self.journal.close()
        self.folder.cleanup()


TestLimits = Limits.TestCase
TestLimits.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
