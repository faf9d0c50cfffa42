"""A stream's purse: filled ahead of need, by less near the limit; it waits for what others hold, not what is spent."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.events import EventScanner
from fastgate._core.journal import Draft, Journal
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.levels import OUTPUT, Level
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import PriceTable, Usage
from fastgate._core.windows import Period
from fastgate.budgets.holds import Terms
from fastgate.budgets.instalments import LEAST, SLICE, Instalments
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.gateway.binding import Binding
from fastgate.gateway.call import Call
from fastgate.gateway.legs import Leg
from fastgate.gateway.metering import GO_ON, SPENT, Purse
from fastgate.pricing import simulated
from fastgate.pricing.table import build_table
from fastgate.wire.failure import Failure, FailureCode
from fastgate.wire.request import ChatRequest
from fastgate.wire.snapshot import BudgetRecord, Window

NOW = 1_790_000_000 * 10**9
TOKEN = 600  # nano-USD of output
REQUEST = ChatRequest(model="m", stream=True, output_cap=64_000)
NOBODY = cast(Any, None)
MODEL = simulated.find("sim-small")
assert MODEL is not None
PRICES = PriceTable(build_table([MODEL]))


class House:
    """A worker that knows the key of the stream no more: so what was written when it came goes on to bind it."""

    wants = None

    @property
    def state(self) -> "House":
        return self

    def grant_of(self, _headers: object, _query: str, _now_ns: int) -> Any:
        raise Failure.invalid_key("is unknown")


class Stream:
    """One stream on a budget of ``limit`` nano-USD (or of so many tokens of output), with what others hold of it."""

    def __init__(self, folder: Path, limit: int, *, unit: int = 0) -> None:
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.owner = Owner(self.arena, WORKER, 1)
        self.journal = Journal(str(folder), self.owner.slot)
        record = BudgetRecord(limit, Window.LIFETIME, 1, "key", "key:k", "k")
        level = Level(self.arena.cell("k"), limit, Period(0, 1), unit=unit)
        self.binding = Binding(self.arena, [(record, level)], 0, 0, ())
        self.levels = self.binding.levels
        terms = Terms(
            PRICES,
            0,
            TokenRate(self.arena, "m"),
            OutputRate(self.arena, "m answers"),
            OutputRate(self.arena, "m thoughts"),
            capped=True,
            strict=False,
            default_cap=1,
            instalments=True,
        )
        call = Call(cast(Any, House()), OPENAI_CHAT, NOBODY, NOBODY, NOBODY, {}, "", NOW, bytes(16))
        call.bound, call.passed_ns = terms.bound(REQUEST, 0), NOW
        call.instalments = plan = Instalments.of(terms, call.bound, REQUEST)
        leg = Leg(NOBODY, b"", b"", "m", None, terms, self.binding, Draft(key="k"), {}, ())
        self.held = self.hold(terms.amount(call.bound, plan.first(), REQUEST, 0, NOW), plan.first())
        self.scanner = EventScanner(OPENAI_CHAT.table, whole=True)
        self.purse = Purse(call, leg, self.held, REQUEST, self.scanner)

    def hold(self, amount: int, tokens: int) -> Hold:
        taken = hold(
            self.owner, self.journal, self.levels, Draft(key="k"), amount, NOW, bytes(16), output_tokens=tokens
        )
        assert isinstance(taken, Hold)
        return taken

    def write(self, tokens: int, finish: str | None = None) -> None:
        """An event of so many bytes, which may be as many tokens."""
        choice = {"index": 0, "delta": {"content": "x" * tokens}, "finish_reason": finish}
        self.scanner.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")

    def left(self) -> int:
        left = self.levels.left(NOW)
        assert left is not None
        return left


def test_more_is_held_before_it_is_used(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 10**12)
    assert stream.held.output_tokens == SLICE
    used = 0
    while used < 20 * SLICE:
        used += 100
        stream.write(100)
        if stream.scanner.due:
            assert stream.purse.top_up() == GO_ON
        assert used + LEAST < stream.held.output_tokens <= used + SLICE
    assert not stream.scanner.due


def test_an_answer_that_is_over_needs_no_more(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 10**12)
    stream.write(2 * SLICE, "stop")
    assert stream.scanner.due
    assert stream.purse.top_up() == GO_ON
    assert stream.held.output_tokens == SLICE
    assert not stream.scanner.due


def test_reported_tokens_count_when_they_come(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 10**12)
    stream.scanner.feed(b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":5000}}\n\n')
    assert stream.scanner.due
    assert stream.purse.top_up() == GO_ON
    assert stream.held.output_tokens == 5000 + SLICE


def test_near_the_limit_instalments_are_small(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 4 * SLICE * TOKEN)
    stream.write(SLICE - LEAST)
    assert stream.purse.top_up() == GO_ON
    assert SLICE < stream.held.output_tokens < SLICE + SLICE // 2


def test_it_waits_for_what_others_hold(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 4 * SLICE * TOKEN)
    other = stream.hold(stream.left(), 0)
    stream.write(SLICE // 2)
    assert not stream.scanner.due  # half of the slice is still ahead
    stream.write(SLICE // 2 - LEAST)
    assert 0 < stream.purse.top_up() < 0.1
    assert 0 < stream.purse.top_up() < 0.1
    other.void()
    assert stream.purse.top_up() == GO_ON
    assert stream.held.output_tokens > SLICE


def test_it_does_not_wait_for_what_is_spent(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 4 * SLICE * TOKEN)
    left = stream.left()
    stream.hold(left, 0).settle(left, Usage(request=1), SETTLED_EXACT, OUTCOME_OK, 200)
    stream.write(SLICE - 2 * LEAST)
    assert stream.purse.top_up() in {GO_ON, SPENT}
    stream.write(LEAST)
    assert stream.purse.top_up() == SPENT
    assert stream.purse.code == FailureCode.BUDGET_EXCEEDED
    assert stream.held.output_tokens == SLICE


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("fastgate.gateway.metering.monotonic", lambda: clock[0])
    stream = Stream(tmp_path, 4 * SLICE * TOKEN)
    other = stream.hold(stream.left(), 0)
    stream.write(SLICE - LEAST)
    while (nap := stream.purse.top_up()) > 0:
        clock[0] += nap
    assert nap == SPENT
    assert clock[0] <= 2.1
    assert other.is_open


def test_limits_on_tokens_end_it_too(tmp_path: Path) -> None:
    stream = Stream(tmp_path, SLICE + LEAST, unit=OUTPUT)
    stream.write(SLICE - 1)
    assert stream.purse.top_up() == GO_ON
    assert stream.held.output_tokens == SLICE + LEAST
    stream.write(LEAST)
    assert stream.purse.top_up() == SPENT
    assert stream.purse.code == FailureCode.RATE_LIMITED
