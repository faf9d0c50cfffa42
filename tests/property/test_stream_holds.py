"""Streams of many shapes, held for in instalments, by each tokenizer of the simulator: their holds cover their bills.

Nothing is sent: a request has a size and a prompt, its answer is read in pieces as the gateway reads them, and the hold
is taken, grown and settled in an arena, as it is there.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastgate._core.arena import Arena
from fastgate._core.budget import OUTCOME_OK, SETTLED_EXACT, Hold, hold
from fastgate._core.journal import Draft, Journal
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.levels import Level, Levels
from fastgate._core.owner import WORKER, Owner
from fastgate._core.price import PriceTable, Usage
from fastgate._core.windows import Period
from fastgate.budgets.holds import Terms
from fastgate.budgets.instalments import Instalments
from fastgate.pricing import simulated
from fastgate.pricing.table import build_table
from fastgate.simulator.tokens import TOKENIZERS, Prompt, Tokenizer
from fastgate.wire.request import ChatRequest
from fastgate.wire.usage import Tier

NOW = 1_790_000_000 * 10**9
PLENTY = 10**17
KNOWN = 100
MODEL = simulated.find("sim-small")
assert MODEL is not None
PRICES = PriceTable(build_table([MODEL]))
TEXTS = (
    "The quick brown fox jumps over the lazy dog. ",
    '{"a": [1, 2.5, null], "b": {"c": "d"}}\n',
    "数据不会说谎，",
    "🙂✨",
)
CAPS = (256, 1000, 4096, 16_000, 64_000)
FRAME = 150  # bytes of a body around its prompt


@dataclass
class Asked:
    """One request and what its answer is made of."""

    request: ChatRequest
    size: int
    prompt: int
    pieces: list[str]
    reasoning: int


def asked(rng: random.Random, tokenizer: Tokenizer) -> Asked:
    text = rng.choice(TEXTS) * rng.randrange(1, 200)
    cap = rng.choice(CAPS)
    piece = rng.choice(TEXTS)[: rng.randrange(1, 40)]
    pieces = [piece] * min(rng.randrange(1, 600), cap // max(1, tokenizer.text(piece)))
    shown = sum(tokenizer.text(each) for each in pieces)
    prompt = tokenizer.prompt(Prompt([text], ["user"], messages=1))
    return Asked(
        ChatRequest(model="m", stream=True, output_cap=cap),
        len(text.encode()) + FRAME,
        prompt,
        pieces,
        cap - shown if tokenizer.uses_the_cap else 0,
    )


class Ledger:
    """One budget without an end, and what the requests on it came to."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, *, strict: bool) -> None:
        self.tokenizer = tokenizer
        self.arena = Arena(str(folder / "arena.bin"), create=True)
        self.owner = Owner(self.arena, WORKER, 1)
        self.journal = Journal(str(folder), self.owner.slot)
        self.period = Period(0, 1)
        self.cell = self.arena.cell("key:k/lifetime/default")
        self.levels = Levels(self.arena, [Level(self.cell, PLENTY, self.period)])
        self.terms = Terms(
            PRICES,
            0,
            TokenRate(self.arena, "m"),
            OutputRate(self.arena, "m answers"),
            OutputRate(self.arena, "m thoughts"),
            capped=True,
            strict=strict,
            default_cap=16_384,
            max_output=131_072,
            instalments=not strict,
        )
        self.count = 0

    def serve(self, one: Asked) -> int:
        """Hold, meter, settle; nano-USD by which it cost more than was held."""
        terms, request = self.terms, one.request
        bound = terms.bound(request, one.size)
        plan = Instalments.of(terms, bound, request) if terms.instalments else None
        first = plan.first() if plan else bound.output_tokens
        self.count += 1
        amount = terms.amount(bound, first, request, Tier.STANDARD, NOW)
        identity = self.count.to_bytes(16, "big")
        tokens = {"input_tokens": bound.input_tokens, "output_tokens": first}
        held = hold(self.owner, self.journal, self.levels, Draft(key="k"), amount, NOW, identity, True, **tokens)
        assert isinstance(held, Hold)
        size = 0
        for piece in one.pieces:
            size += len(piece.encode())
            if plan and size >= plan.due(held.output_tokens, plan.low)[0]:
                more = plan.wanted(plan.used(size, 0), held.output_tokens)
                cost = terms.amount(bound, held.output_tokens + more, request, Tier.STANDARD, NOW) - held.amount
                assert held.grow(max(0, cost), more) is None
        shown = sum(self.tokenizer.text(piece) for piece in one.pieces)
        usage = Usage(input=one.prompt, output=shown, reasoning=one.reasoning, request=1)
        cost = PRICES.cost(0, usage, NOW)
        over = max(0, cost - held.amount)
        assert held.output_tokens <= bound.output_tokens
        assert held.settle(cost, usage, SETTLED_EXACT, OUTCOME_OK, 200)
        terms.rate.observe(one.prompt, one.size)
        terms.output_rate(request).observe(shown, size, one.reasoning)
        return over


@pytest.fixture(params=list(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]


def requests(tokenizer: Tokenizer, seed: int, count: int) -> Iterator[Asked]:
    rng = random.Random(seed)
    return (asked(rng, tokenizer) for _ in range(count))


@pytest.mark.parametrize("seed", [1, 2])
def test_learned_holds_are_hardly_ever_too_small(tmp_path: Path, tokenizer: Tokenizer, seed: int) -> None:
    """Under 1 in 10,000 after 100 requests; each overrun, of the first ones too, is booked and counted."""
    ledger = Ledger(tmp_path, tokenizer, strict=False)
    over = [ledger.serve(one) for one in requests(tokenizer, seed, KNOWN + 5_000)]
    assert not any(over[KNOWN:])
    _, held, overrun, _ = ledger.arena.read_cell(ledger.cell, ledger.period, NOW)
    assert (held, overrun) == (0, sum(over))


def test_an_overrun_is_booked_and_counted(tmp_path: Path) -> None:
    """A model that was never seen to reason reasons through its whole cap."""
    ledger = Ledger(tmp_path, TOKENIZERS["byte"], strict=False)
    request = ChatRequest(model="m", stream=True, output_cap=64_000)
    over = ledger.serve(Asked(request, 200, 50, ["hello"], 63_000))
    spent, held, overrun, _ = ledger.arena.read_cell(ledger.cell, ledger.period, NOW)
    assert 0 < over == overrun < spent
    assert held == 0
    assert ledger.serve(Asked(request, 200, 50, ["hello"], 63_000)) == 0


def test_a_strict_hold_is_never_too_small(tmp_path: Path, tokenizer: Tokenizer) -> None:
    ledger = Ledger(tmp_path, tokenizer, strict=True)
    assert not any(ledger.serve(one) for one in requests(tokenizer, 3, 2_000))
