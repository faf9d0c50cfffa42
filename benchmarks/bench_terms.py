"""What a request may cost, as a ratio to the same sums in Python integers, taken in the same run.

Budget on the request path: 500 ns. The reference takes some 750 ns on a busy 2-core EPYC VM.
"""

from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.turns import Compare
from fastgate._core.arena import Arena
from fastgate._core.learned import OutputRate, TokenRate
from fastgate._core.price import PriceTable
from fastgate.budgets.holds import Terms
from fastgate.pricing.table import build_table
from fastgate.wire.prices import ModelPrice, PriceBand, PriceRow
from fastgate.wire.request import ChatRequest
from fastgate.wire.usage import PROMPT_BUCKETS, Bucket, Tier

NOON: Final = 1_795_262_400 * 10**9  # 2026-11-21 12:00 UTC
SIZE: Final = 1_000
INPUT: Final = 1_250
OUTPUT: Final = 10_000
PRICES: Final = dict.fromkeys(PROMPT_BUCKETS, INPUT) | {Bucket.OUTPUT: OUTPUT, Bucket.REASONING: OUTPUT}
"""Femto-USD per token."""
BAND: Final = PriceBand(-1, tuple(PRICES.get(bucket, 0) for bucket in Bucket))
TABLE: Final = PriceTable(build_table([ModelPrice("p", "m", (PriceRow(Tier.STANDARD, (BAND,)),))]))
REQUEST: Final = ChatRequest("m", output_cap=100, cap_field="max_tokens", has_tools=True)


def in_python() -> int:
    """The reference: the bounds of this request, that of its cost, rounded up, with prices already selected."""
    request = REQUEST
    inputs = SIZE - request.image_bytes + 64
    if request.has_tools:
        inputs += 1024
    outputs = min(request.output_cap or 4_000, 10**8) * min(request.n, 10_000) + request.prediction_bytes
    femto = inputs * INPUT + outputs * OUTPUT
    nano, rest = divmod(femto, 10**6)
    return nano + (rest > 0)


def test_quote(compare: Compare, tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), create=True)
    rates = TokenRate(arena, "m"), OutputRate(arena, "m answers"), OutputRate(arena, "m thoughts")
    terms = Terms(TABLE, 0, *rates, capped=True, strict=False, default_cap=4_000, cap_fields=("max_tokens",))
    assert terms.quote(REQUEST, SIZE, NOON, False)[2] == in_python()
    compare("terms: a quote", partial(terms.quote, REQUEST, SIZE, NOON, False), in_python)
