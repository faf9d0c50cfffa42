"""Providers, and the public names of their models."""

from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, field

from fastgate.config.marks import PLANNED, planned_values
from fastgate.config.scalars import Line, ModelName, ModelPattern, Name, Price, Secret, UnitPrice
from fastgate.config.settings import CacheWish, Seconds, Section
from fastgate.wire.prices import PriceOverride

Weight = Annotated[int, Meta(ge=0, le=1_000)]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]

ProviderType = Literal[
    "openai",
    "anthropic",
    "openai-compatible",
    "sim",
    "gemini",
    "vertex",
    "bedrock",
    "azure",
    "ollama",
    "groq",
    "mistral",
    "cohere",
    "deepseek",
    "xai",
    "openrouter",
    "together",
    "fireworks",
    "perplexity",
    "cerebras",
    "vllm",
]
BUILT_TYPES: Final = ("openai", "anthropic", "openai-compatible", "sim")
PLANNED_TYPES: Final = tuple(name for name in get_args(ProviderType) if name not in BUILT_TYPES)
DEFAULT_URLS: Final = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
"""Types that need no ``base_url``."""


class ProviderKey(Section, frozen=True, kw_only=True):
    """A credential; requests are spread over those whose ``models`` match, by weight."""

    name: Name
    value: Secret
    weight: Weight = 1
    models: tuple[ModelPattern, ...] = ("*",)


class Timeouts(Section, frozen=True, kw_only=True):
    """Bounds on one attempt."""

    connect: Seconds = 5.0
    first_byte: Seconds = 60.0
    idle: Seconds = 120.0
    total: Seconds = 600.0


class Retries(Section, frozen=True, kw_only=True):
    """When and how often a failed attempt is repeated."""

    max: Annotated[int, Meta(ge=0, le=10)] = 0
    on: tuple[int | Literal["connect", "timeout"], ...] = (429, 500, 502, 503, 504, "connect", "timeout")
    backoff_ms: tuple[int, int] = (100, 2_000)


class ModelPrices(PriceOverride, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator states for one model; replaces the catalogue's prices of it."""

    input_usd_per_million: Price
    output_usd_per_million: Price
    cache_read_usd_per_million: Price | None = None
    cache_read_audio_usd_per_million: Price | None = None
    cache_read_image_usd_per_million: Price | None = None
    cache_write_usd_per_million: Price | None = None
    cache_write_1h_usd_per_million: Price | None = None
    reasoning_usd_per_million: Price | None = None
    audio_input_usd_per_million: Price | None = None
    audio_output_usd_per_million: Price | None = None
    image_input_usd_per_million: Price | None = None
    web_search_usd_per_thousand: Price | None = None
    file_search_usd_per_thousand: Price | None = None
    audio_usd_per_hour: UnitPrice | None = None
    character_usd_per_million: Price | None = None
    request_usd: UnitPrice | None = None
    context_window: Tokens | None = None
    max_output: Tokens | None = None
    source: Line = "configuration"


class Provider(Section, frozen=True, kw_only=True):
    """An upstream service."""

    type: Annotated[ProviderType, planned_values(*PLANNED_TYPES)]
    base_url: Line | None = None
    keys: tuple[ProviderKey, ...] = ()
    timeout_seconds: Timeouts = Timeouts()
    proxy: Secret | None = None
    ca_file: Line | None = None
    retries: Annotated[Retries, PLANNED] = Retries()
    prices: dict[ModelName, ModelPrices] = field(default_factory=dict)


class Target(Section, frozen=True, kw_only=True):
    """Where a public model name may go."""

    provider: Name
    model: ModelName
    weight: Weight = 1


class PublicModel(Section, frozen=True, kw_only=True):
    """A name of ours, with the targets behind it."""

    targets: Annotated[tuple[Target, ...], Meta(min_length=1)]
    fallbacks: Annotated[tuple[Target, ...], PLANNED] = ()
    cache: CacheWish | None = None
