"""What the simulated models cost. The one place where the simulator states its prices.

============== ===== ========== ============== ============== ====== =========
USD / million  input cache read cache write 5m cache write 1h output reasoning
============== ===== ========== ============== ============== ====== =========
sim-small      0.15  0.075      0.1875         0.30           0.60   0.60
sim-large      2.50  0.25       3.125          5.00           10.00  10.00
  > 200,000    5.00  0.50       6.25           10.00          15.00  15.00
sim-reasoning  1.10  0.275      1.375          2.20           4.40   3.30
sim-cached     1.00  0.10       1.25           2.00           5.00   5.00
sim-embedding  0.02  0.02       0.02           0.02           0      0
============== ===== ========== ============== ============== ====== =========

Audio costs what text costs, but 40 in and 80 out on sim-large. A web search costs 0.01 USD on each. The prompt's total
decides on the long-context row, for every token of the request; exactly 200,000 is still the low one. Only sim-large
has tiers (flex 0.5, batch 0.5, priority 2, fast 2 times every token price) and a geography factor (us 1.1).

Reasoning costs less than output on sim-reasoning so that a token counted in both shows in the sum.
"""

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec
import yaml

# Positions of a tuple of counts. The buckets are disjoint: a token is in one of them. Those before the output, and the
# audio input, make up the prompt.
BUCKETS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "web_searches",
)
INPUT, CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, OUTPUT, REASONING, AUDIO_INPUT, AUDIO_OUTPUT, WEB_SEARCHES = range(9)

Counts = tuple[int, int, int, int, int, int, int, int, int]
Behaviour = Literal["plain", "reasoning", "cached", "embedding"]

MILLION = Decimal(1_000_000)
WEB_SEARCH = Decimal("0.01")
MAX_OUTPUT = 131_072

# Enough digits for any sum of any counts; a sum that would be rounded raises instead.
EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, Overflow])


class PricesError(ValueError):
    """A price file that cannot be used; the text says where."""


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens, as decimal strings; what is absent costs what its parent costs."""

    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    cache_read_usd_per_million: Decimal | None = None
    cache_write_usd_per_million: Decimal | None = None
    cache_write_1h_usd_per_million: Decimal | None = None
    reasoning_usd_per_million: Decimal | None = None
    audio_input_usd_per_million: Decimal | None = None
    audio_output_usd_per_million: Decimal | None = None

    def vector(self) -> tuple[Decimal, ...]:
        """USD per million by bucket, web searches left out."""
        fresh, output = self.input_usd_per_million, self.output_usd_per_million
        write = _given(self.cache_write_usd_per_million, fresh)
        return (
            fresh,
            _given(self.cache_read_usd_per_million, fresh),
            write,
            _given(self.cache_write_1h_usd_per_million, write),
            output,
            _given(self.reasoning_usd_per_million, output),
            _given(self.audio_input_usd_per_million, fresh),
            _given(self.audio_output_usd_per_million, output),
        )


class LongContext(Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rates of a request whose prompt has more than ``above_tokens`` tokens."""

    above_tokens: int


class Price(Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model's price, and how the model behaves; also the shape of an entry of ``--prices FILE``."""

    long_context: LongContext | None = None
    tiers: Mapping[str, Decimal] = {}
    geos: Mapping[str, Decimal] = {}
    behaves: Behaviour = "plain"
    source: str = ""

    def usd(self, counts: Counts, tier: str, geo: str, long: bool) -> Decimal:
        """What ``counts`` cost, in exact USD."""
        rates = self.long_context.vector() if long and self.long_context is not None else self.vector()
        tokens = Decimal(0)
        for rate, count in zip(rates, counts[:WEB_SEARCHES], strict=True):
            tokens = EXACT.add(tokens, EXACT.multiply(rate, Decimal(count)))
        for factor in (self.tiers.get(tier), self.geos.get(geo)):
            if factor is not None:
                tokens = EXACT.multiply(tokens, factor)
        searches = EXACT.multiply(WEB_SEARCH, Decimal(counts[WEB_SEARCHES]))
        return EXACT.add(EXACT.divide(tokens, MILLION), searches)

    def is_long(self, counts: Counts) -> bool:
        """Whether the long-context rates apply."""
        long = self.long_context
        return long is not None and sum(counts[:OUTPUT]) + counts[AUDIO_INPUT] > long.above_tokens


def _given(value: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if value is None else value


def _d(text: str) -> Decimal:
    return Decimal(text)


PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "sim-small": Price(
            input_usd_per_million=_d("0.15"),
            cache_read_usd_per_million=_d("0.075"),
            cache_write_usd_per_million=_d("0.1875"),
            cache_write_1h_usd_per_million=_d("0.30"),
            output_usd_per_million=_d("0.60"),
        ),
        "sim-large": Price(
            input_usd_per_million=_d("2.50"),
            cache_read_usd_per_million=_d("0.25"),
            cache_write_usd_per_million=_d("3.125"),
            cache_write_1h_usd_per_million=_d("5.00"),
            output_usd_per_million=_d("10.00"),
            audio_input_usd_per_million=_d("40"),
            audio_output_usd_per_million=_d("80"),
            long_context=LongContext(
                above_tokens=200_000,
                input_usd_per_million=_d("5.00"),
                cache_read_usd_per_million=_d("0.50"),
                cache_write_usd_per_million=_d("6.25"),
                cache_write_1h_usd_per_million=_d("10.00"),
                output_usd_per_million=_d("15.00"),
                audio_input_usd_per_million=_d("40"),
                audio_output_usd_per_million=_d("80"),
            ),
            tiers={"flex": _d("0.5"), "batch": _d("0.5"), "priority": _d("2"), "fast": _d("2")},
            geos={"us": _d("1.1")},
        ),
        "sim-reasoning": Price(
            input_usd_per_million=_d("1.10"),
            cache_read_usd_per_million=_d("0.275"),
            cache_write_usd_per_million=_d("1.375"),
            cache_write_1h_usd_per_million=_d("2.20"),
            output_usd_per_million=_d("4.40"),
            reasoning_usd_per_million=_d("3.30"),
            behaves="reasoning",
        ),
        "sim-cached": Price(
            input_usd_per_million=_d("1.00"),
            cache_read_usd_per_million=_d("0.10"),
            cache_write_usd_per_million=_d("1.25"),
            cache_write_1h_usd_per_million=_d("2.00"),
            output_usd_per_million=_d("5.00"),
            behaves="cached",
        ),
        "sim-embedding": Price(input_usd_per_million=_d("0.02"), output_usd_per_million=_d("0"), behaves="embedding"),
    }
)


def read_prices(path: Path) -> dict[str, Price]:
    """The prices of a YAML or JSON file ``{model: {input_usd_per_million: "0.15", ...}}``, and the built-in ones.

    Raises :class:`PricesError`. Amounts are decimal strings or whole numbers; a float is an error: it is not exact.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        _refuse_floats(loaded, str(path))
        return {**PRICES, **msgspec.convert(loaded, dict[str, Price])}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise PricesError(f"{path}: {error}") from error


def _refuse_floats(value: object, where: str) -> None:
    if isinstance(value, float):
        raise PricesError(f"{where}: {value} is not exact: write it as a string")
    if isinstance(value, dict):
        for name, member in value.items():
            _refuse_floats(member, f"{where}: {name}")
