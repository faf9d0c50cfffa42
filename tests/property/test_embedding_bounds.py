"""What is held for embeddings, against a second opinion: what the simulator bills for the same bytes.

Inputs of every form, with escapes and spaces that no library writes, are refused, or held for at no less than any of
the simulator's tokenizers makes of them; before anything was learned by a learned bound, too.
"""

import json
import random
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate._core.body import splice
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.price import PriceTable
from fastgate.budgets.holds import Terms, asked_tier, why_unbounded
from fastgate.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from fastgate.pricing.simulated import MODELS, find
from fastgate.pricing.table import build_table
from fastgate.simulator import openai_embeddings
from fastgate.simulator.tokens import TOKENIZERS
from fastgate.wire.failure import Failure
from tests.property.test_strict_bounds import Forms, Rates, billed

TABLE: Final = PriceTable(build_table([model for name in MODELS if (model := find(name)) is not None]))
AT_NS: Final = 1_790_000_000 * 10**9
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
TOKENS: Final = st.lists(st.integers(0, 200_000), min_size=1, max_size=20)
INPUTS: Final = (
    TEXTS | st.lists(TEXTS, min_size=1, max_size=12) | TOKENS | st.lists(TOKENS, min_size=1, max_size=6) | st.just([""])
)
BESIDE: Final = st.fixed_dictionaries(
    {},
    optional={
        "dimensions": st.integers(1, 64), "encoding_format": st.sampled_from(["float", "base64"]), "user": TEXTS,
        "input_type": st.sampled_from(["query", None]),
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> Rates:
    arena = Arena(str(tmp_path_factory.mktemp("arena") / "arena"), create=True)
    return TokenRate(arena, "p/m"), OutputRate(arena, "p/m answers"), OutputRate(arena, "p/m thoughts")


def check(body: bytes, rates: Rates, *, strict: bool) -> bool:
    """Whether it was held for, and billed no more."""
    try:
        found, request = OPENAI_EMBEDDINGS.parse(body)
    except Failure:
        return False
    if strict and why_unbounded(request, None):
        return False
    terms = Terms(TABLE, MODELS.index(request.model), *rates, capped=False, strict=strict, default_cap=16_384)
    bound = terms.bound(request, len(body))
    assert (bound.output_tokens, bound.cap) == (0, None)
    amount = terms.amount(bound, 0, request, asked_tier(request), AT_NS)
    sent = splice(body, OPENAI_EMBEDDINGS.edits(found, request, output_cap=bound.cap))
    assert sent == body
    for tokenizer in TOKENIZERS.values():
        bill = billed(openai_embeddings, sent, tokenizer)
        if bill is None:
            return False
        tokens, nano = bill
        assert tokens <= bound.input_tokens, tokenizer.name
        assert nano <= amount, tokenizer.name
    return True


def document(seed: int, given: Any, beside: dict[str, Any]) -> bytes:
    """A request's body in one of its many forms."""
    forms = Forms(random.Random(seed))
    return forms.value({"model": "sim-embedding", "input": given, **beside}).encode()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), given=INPUTS, beside=BESIDE, strict=st.booleans())
@example(seed=0, given=["x"] * 2048, beside={}, strict=True)
@example(seed=0, given=[[0]] * 2048, beside={}, strict=True)
@example(seed=0, given=[0] * 8192, beside={}, strict=False)
def test_embeddings_are_refused_or_held_for(
    rates: Rates, seed: int, given: Any, beside: dict[str, Any], strict: bool
) -> None:
    event("held for" if check(document(seed, given, beside), rates, strict=strict) else "refused")


def test_most_bodies_tell_something(rates: Rates) -> None:
    told = 0

    @settings(max_examples=200, database=None, derandomize=True, deadline=None)
    @given(seed=st.integers(0, 2**32), given=INPUTS, beside=BESIDE)
    def count(seed: int, given: Any, beside: dict[str, Any]) -> None:
        nonlocal told
        told += check(document(seed, given, beside), rates, strict=True)

    count()
    assert told > 60


def test_a_strict_budget_takes_no_prompt_that_it_does_not_see(rates: Rates) -> None:
    body = json.dumps({"model": "sim-embedding", "input": "x", "input_type": "query"}).encode()
    assert not check(body, rates, strict=True)
    assert check(body, rates, strict=False)
