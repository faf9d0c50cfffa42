"""What the listed data lacks: regional factors, tiers of some models, fees of searches, prices of audio, sizes.

Each entry says where it is from and when that was read. An entry fills what is missing and never replaces a listed
price. Of several entries that match a model the first one that states a field decides it. ``docs/prices.md`` explains
how to add one.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from fastgate.pricing.amounts import femto, scaled
from fastgate.wire.prices import PriceRow
from fastgate.wire.usage import FEES, Bucket, Geo, Tier


@dataclass(frozen=True, slots=True)
class Entry:
    """Additions for the models of one listed provider whose ids match any of the patterns.

    ``prices`` are decimal strings: USD per million tokens, or per thousand requests for a fee. ``factors`` are tiers
    that cost a multiple (a decimal string) of the standard token prices at every prompt size. ``alike`` are tiers that
    cost what another listed tier costs.
    """

    provider: str
    models: tuple[str, ...]
    source: str
    read_on: str
    prices: dict[Bucket, str] = field(default_factory=dict)
    factors: dict[Tier, str] = field(default_factory=dict)
    alike: dict[Tier, Tier] = field(default_factory=dict)
    geo_permille: int | None = None
    context_window: int | None = None
    max_output: int | None = None
    reasons: bool | None = None

    def matches(self, provider: str, model: str) -> bool:
        """Whether it is about this model, by the catalogue's own ids."""
        return provider == self.provider and any(fnmatchcase(model, pattern) for pattern in self.models)


def _audio(heard: str, spoken: str) -> dict[Bucket, str]:
    return {Bucket.AUDIO_INPUT: heard, Bucket.AUDIO_OUTPUT: spoken}


_ANTHROPIC: Final = "Anthropic price page"
_OPENAI: Final = "OpenAI price page"
_GOOGLE: Final = "Gemini price page"
_VERTEX: Final = "Vertex AI price page"
_BEDROCK: Final = "Bedrock price page"
_MAP: Final = "LiteLLM 1.106.2 cost map"
_DAY: Final = "2026-11-21"

_SINCE_4_6: Final = (
    "claude-opus-4-[6-9]",
    "claude-sonnet-4-[6-9]",
    "claude-*-5",
    "claude-*-5-[0-9]",
)

_OPENAI_REASON: Final = ("o[134]*", "gpt-5*", "gpt-6*", "gpt-oss-*", "gpt-rosalind-*", "codex-mini")
_GOOGLE_REASON: Final = ("gemini-2.5-*", "gemini-[34]*")
_XAI_REASON: Final = ("grok-3-mini*", "grok-4*", "grok-build-*", "grok-code-*")

ENTRIES: Final = (
    # What reasons without being asked to, and does not show it all. Of those that are not here it is not known.
    Entry("anthropic", ("*",), "Anthropic, extended thinking", _DAY, reasons=False),
    Entry("openai", _OPENAI_REASON, "OpenAI, reasoning models", _DAY, reasons=True),
    Entry("openai", ("*",), "OpenAI, reasoning models", _DAY, reasons=False),
    Entry("google", _GOOGLE_REASON, "Gemini, thinking", _DAY, reasons=True),
    Entry("google", ("*",), "Gemini, thinking", _DAY, reasons=False),
    Entry("x-ai", ("*-non-reasoning",), "xAI, reasoning", _DAY, reasons=False),
    Entry("x-ai", _XAI_REASON, "xAI, reasoning", _DAY, reasons=True),
    Entry("x-ai", ("*",), "xAI, reasoning", _DAY, reasons=False),
    # Regions. ``inference_geo: us`` and the regional hosts of OpenAI and Vertex add a tenth to every token price.
    Entry("anthropic", ("claude-*-4-5",), _ANTHROPIC, _DAY, geo_permille=1000),
    Entry("anthropic", _SINCE_4_6, _ANTHROPIC, _DAY, geo_permille=1100),
    Entry("openai", ("gpt-5.[4-9]*", "gpt-6*", "gpt-realtime-2"), f"{_OPENAI}; {_MAP}", _DAY, geo_permille=1100),
    Entry("google", ("claude-*-4-5", *_SINCE_4_6), _VERTEX, _DAY, geo_permille=1100),
    # Tiers.
    Entry("openai", ("gpt-6-astra", "gpt-6.1-sol"), f"{_OPENAI}; {_MAP}", _DAY, factors={Tier.ULTRAFAST: "6"}),
    Entry(
        "google",
        ("gemini-2.5-*", "gemini-[34]*"),
        _GOOGLE,
        _DAY,
        factors={Tier.PRIORITY: "1.8"},
        alike={Tier.FLEX: Tier.BATCH},
    ),
    Entry("aws", ("amazon.nova-pro-v1:0",), _BEDROCK, _DAY, factors={Tier.FLEX: "0.5", Tier.PRIORITY: "1.75"}),
    # Fees per thousand requests.
    Entry("anthropic", ("*",), _ANTHROPIC, _DAY, prices={Bucket.WEB_SEARCH: "10"}),
    Entry("openai", ("*",), _OPENAI, _DAY, prices={Bucket.WEB_SEARCH: "10", Bucket.FILE_SEARCH: "2.5"}),
    # Audio of the preview models, which are listed with their text prices only.
    Entry("openai", ("gpt-4o-audio-preview",), _MAP, _DAY, prices=_audio("40", "80")),
    Entry("openai", ("gpt-4o-mini-audio-preview",), _MAP, _DAY, prices=_audio("10", "20")),
    # The most tokens of output, and contexts that are not listed. Exceptions stand before their family.
    Entry("anthropic", ("claude-*-4-5", "claude-sonnet-4-0"), _MAP, _DAY, max_output=64_000),
    Entry("anthropic", ("claude-*-5-2",), f"{_MAP} (there 5-1)", _DAY, max_output=128_000),
    Entry("anthropic", _SINCE_4_6, _MAP, _DAY, max_output=128_000),
    Entry("anthropic", ("claude-opus-4-[01]",), f"{_MAP} (at Bedrock)", _DAY, max_output=32_000),
    Entry("anthropic", ("claude-3-5-*",), f"{_MAP} (at Vertex)", _DAY, max_output=8_192),
    Entry("anthropic", ("claude-3-haiku", "claude-3-opus*"), f"{_MAP} (at Vertex)", _DAY, max_output=4_096),
    Entry("openai", ("gpt-5-pro",), _MAP, _DAY, max_output=272_000),
    Entry("openai", ("gpt-5.3",), _MAP, _DAY, max_output=16_384),
    Entry("openai", ("gpt-5.6-cyber", "gpt-chat-latest"), _MAP, _DAY, context_window=400_000, max_output=128_000),
    Entry("openai", ("gpt-5*", "gpt-6*"), _MAP, _DAY, max_output=128_000),
    Entry("openai", ("gpt-4.1*",), _MAP, _DAY, max_output=32_768),
    Entry("openai", ("gpt-4o-2024-05-13", "gpt-4-turbo", "gpt-3.5-turbo*"), _MAP, _DAY, max_output=4_096),
    Entry("openai", ("ft:gpt-4o*",), _MAP, _DAY, context_window=128_000, max_output=16_384),
    Entry("openai", ("gpt-4o*", "gpt-audio*"), _MAP, _DAY, max_output=16_384),
    Entry("openai", ("o1-mini",), f"{_MAP} (at Azure)", _DAY, max_output=65_536),
    Entry("openai", ("o1-preview",), f"{_MAP} (at Azure)", _DAY, max_output=32_768),
    Entry("openai", ("o1*", "o3*", "o4-*"), _MAP, _DAY, max_output=100_000),
)

_REGIONAL_HOSTS: Final = {
    "openai": re.compile(r"(us|eu|ae|au|in|jp)\.api\.openai\.com"),
    "vertex": re.compile(r"aiplatform\.(us|eu)\.rep\.googleapis\.com"),
}
"""By type of provider: the hosts that keep a request in a region and charge for it."""


@dataclass(frozen=True, slots=True)
class Additions:
    """What the entries say about one model; ``prices`` in femto-USD per unit, ``geo_permille`` 1000 for no factor."""

    prices: dict[Bucket, int]
    factors: dict[Tier, Decimal]
    alike: dict[Tier, Tier]
    geo_permille: int
    context_window: int | None
    max_output: int | None
    reasons: bool | None

    def fill(self, known: dict[Bucket, int]) -> None:
        """Adds the prices that are missing."""
        for bucket, price in self.prices.items():
            known.setdefault(bucket, price)

    def widen(self, rows: tuple[PriceRow, ...]) -> tuple[PriceRow, ...]:
        """Rows with the regional factor set, and those of tiers that are not listed appended."""
        rows = tuple(replace(row, geo_permille=self.geo_permille) for row in rows)
        listed = {row.tier for row in rows}
        added = [
            scaled(row, tier, *factor.as_integer_ratio())
            for tier, factor in self.factors.items()
            for row in rows
            if row.tier is Tier.STANDARD and tier not in listed
        ]
        added += [
            replace(row, tier=tier)
            for tier, other in self.alike.items()
            for row in rows
            if row.tier is other and tier not in listed
        ]
        return (*rows, *added)


def additions(provider: str, model: str) -> Additions:
    """Everything that the entries add to a listed model."""
    prices: dict[Bucket, int] = {}
    factors: dict[Tier, Decimal] = {}
    alike: dict[Tier, Tier] = {}
    geo_permille = context_window = max_output = reasons = None
    for entry in ENTRIES:
        if not entry.matches(provider, model):
            continue
        for bucket, usd in entry.prices.items():
            prices.setdefault(bucket, _femto(bucket, usd))
        for tier, factor in entry.factors.items():
            factors.setdefault(tier, Decimal(factor))
        for tier, other in entry.alike.items():
            alike.setdefault(tier, other)
        geo_permille = entry.geo_permille if geo_permille is None else geo_permille
        context_window = entry.context_window if context_window is None else context_window
        max_output = entry.max_output if max_output is None else max_output
        reasons = entry.reasons if reasons is None else reasons
    geo = 1000 if geo_permille is None else geo_permille
    return Additions(prices, factors, alike, geo, context_window, max_output, reasons)


def geo_of(provider_type: str, base_url: str | None) -> Geo:
    """The geography that a provider's address alone pins its requests to."""
    hosts = _REGIONAL_HOSTS.get(provider_type)
    host = urlsplit(base_url or "").hostname or ""
    return Geo.US if hosts is not None and hosts.fullmatch(host) else Geo.GLOBAL


def _femto(bucket: Bucket, usd: str) -> int:
    return femto(Decimal(usd), 10**3 if bucket in FEES else 10**6, bucket.name.lower())
